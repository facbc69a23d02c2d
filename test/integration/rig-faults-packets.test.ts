/** What packet faults do to what a bystander sends and receives, on machines of the namespaces driver. */
import assert from 'node:assert/strict'
import { GantryError } from '../../proto/base/errors.ts'
import { until } from '../eventually.ts'
import { RigLab } from './rig-lab.ts'

const MEBI = 2 ** 20

describe('packet faults', function () {
  this.timeout(60_000)
  let lab: RigLab

  before(async () => {
    lab = await RigLab.make('faults-packets', 3)
  })

  afterEach(() => lab.engine.heal())

  after(() => lab.remove())

  /** Pairs of machines that answer each other, as "n1-n2". */
  async function answering(): Promise<string[]> {
    const pairs = [
      ['n1', 'n2'],
      ['n1', 'n3'],
      ['n2', 'n3'],
    ] as const
    const answers = await Promise.all(pairs.map(([from, to]) => lab.ask(from, to)))
    return pairs.filter((_, place) => answers[place]!.answered > 0).map((pair) => pair.join('-'))
  }

  /** nftables tables and shapers of faults on a machine. */
  async function traces(name: string): Promise<string> {
    const { stdout } = await lab.run(name, ['sh', '-c', 'nft list tables; tc qdisc show'])
    return stdout
      .split('\n')
      .filter((line) => /gantry_fault|htb/.test(line))
      .join('\n')
  }

  it('a partition of one machine cuts it off from all others, and heal undoes it', async () => {
    assert.deepEqual(await answering(), ['n1-n2', 'n1-n3', 'n2-n3'])
    const fault = await lab.engine.begin('partition', { from: 'n1' })
    assert.equal(fault.description, 'no packets between n1 and all other machines')
    assert.deepEqual(await answering(), ['n2-n3'])
    await lab.engine.heal()
    assert.deepEqual(await answering(), ['n1-n2', 'n1-n3', 'n2-n3'])
    for (const name of ['n1', 'n2', 'n3']) assert.equal(await traces(name), '')
  })

  it('a partition of two groups leaves each its own', async () => {
    await lab.engine.begin('partition', { from: ['n1', 'n2'], to: ['n3'] })
    assert.deepEqual(await answering(), ['n1-n2'])
  })

  it('a partition between two machines leaves the third to both', async () => {
    await lab.engine.begin('partition', { from: 'n1', to: 'n2' })
    assert.deepEqual(await answering(), ['n1-n3', 'n2-n3'])
  })

  it('packets vanish: nobody is told, and nothing is refused', async () => {
    await lab.engine.begin('partition', { from: 'n1', to: 'n2' })
    assert.deepEqual(await lab.ask('n1', 'n2'), { answered: 0, arrived: 0, failures: [] })
    assert.equal((await lab.open('n1', 'n2')).outcome, 'silence')
    assert.equal((await lab.open('n1', 'n2', 7003)).outcome, 'silence')
    await lab.engine.heal()
    assert.equal((await lab.open('n1', 'n2', 7003)).outcome, 'ECONNREFUSED')
  })

  it('an established connection is cut too, and goes on after heal', async () => {
    const { id } = await lab.open('n1', 'n2')
    assert.equal(await lab.say('n1', id), 'answer')
    await lab.engine.begin('partition', { from: 'n1', to: 'n2' })
    assert.equal(await lab.say('n1', id), 'silence')
    await lab.engine.heal()
    let outcome = 'silence'
    // Retransmissions come later and later.
    for (let attempt = 0; attempt < 20 && outcome === 'silence'; attempt++) outcome = await lab.say('n1', id)
    assert.equal(outcome, 'answer')
  })

  it('one way: packets arrive in the other direction only', async () => {
    await lab.engine.begin('partition', { from: 'n1', to: 'n2', oneWay: true })
    assert.equal((await lab.ask('n1', 'n2')).arrived, 0)
    assert.deepEqual(await lab.ask('n2', 'n1'), { answered: 0, arrived: 3, failures: [] })
  })

  it('one port: others and other protocols pass', async () => {
    await lab.engine.begin('partition', { from: 'n1', to: 'n2', port: 7000, protocol: 'tcp' })
    assert.equal((await lab.open('n1', 'n2', 7000)).outcome, 'silence')
    assert.equal((await lab.open('n2', 'n1', 7000)).outcome, 'silence')
    assert.equal((await lab.open('n1', 'n2', 7001)).outcome, 'open')
    assert.equal((await lab.ask('n1', 'n2', { port: 7000 })).answered, 3)
    await lab.engine.begin('partition', { from: 'n1', to: 'n2', port: 7001 })
    assert.equal((await lab.ask('n1', 'n2', { port: 7001 })).answered, 0)
    assert.equal((await lab.ask('n1', 'n2', { port: 7000 })).answered, 3)
  })

  it('what pods send through their node is cut as well, though it has an address of its own', async () => {
    const { address } = await lab.machine('n1')
    const gateway = (await lab.machine('n2')).address
    // As pods of n1 and n2 that are routed, not translated: only the hardware address tells whose they are.
    const pods = [
      ['n1', '10.99.1.1', `10.99.2.0/24 via ${gateway}`],
      ['n2', '10.99.2.1', `10.99.1.0/24 via ${address}`],
    ] as const
    for (const [name, pod, route] of pods)
      assert.equal(
        (await lab.run(name, ['sh', '-c', `ip addr add ${pod}/32 dev lo && ip route add ${route} src ${pod}`])).code,
        0,
      )
    const knock = ['busybox', 'ping', '-c', '2', '-i', '0.2', '-W', '1', '10.99.2.1']
    assert.equal((await lab.run('n1', knock)).code, 0)
    await lab.engine.begin('partition', { from: 'n1', to: 'n2' })
    assert.equal((await lab.run('n1', knock)).code, 1)
    await lab.engine.heal()
    for (const [name, pod, route] of pods)
      await lab.run(name, ['sh', '-c', `ip route del ${route}; ip addr del ${pod}/32 dev lo`])
  })

  it('the host reaches a machine that is cut off, unless it is named', async () => {
    const knock = async (): Promise<number> =>
      (await lab.run('n1', ['sh', '-c', 'busybox ping -c 1 -W 1 "$(ip route show default | cut -d" " -f3)"'])).code
    await lab.engine.begin('partition', { from: 'n1' })
    assert.equal(await knock(), 0)
    await lab.engine.begin('partition', { from: 'n1', to: 'host' })
    assert.equal(await knock(), 1)
    await assert.rejects(
      fetch(`http://${(await lab.machine('n1')).address}:7999/heard`, { signal: AbortSignal.timeout(300) }),
      { name: 'TimeoutError' },
    )
    await lab.engine.heal()
    assert.equal(await knock(), 0)
    assert.deepEqual(await answering(), ['n1-n2', 'n1-n3', 'n2-n3'])
  })

  it('the end of one partition leaves another that overlaps it', async () => {
    const first = await lab.engine.begin('partition', { from: 'n1' })
    const second = await lab.engine.begin('partition', { from: ['n1', 'n3'], to: 'n2' })
    assert.deepEqual(await answering(), [])
    await lab.engine.heal([first.id])
    assert.deepEqual(await answering(), ['n1-n3'])
    await lab.engine.heal([second.id])
    assert.deepEqual(await answering(), ['n1-n2', 'n1-n3', 'n2-n3'])
  })

  it('a partition outlives the reboot of its machine', async () => {
    await lab.engine.begin('partition', { from: 'n1', to: 'n2' })
    await lab.engine.begin('reboot', { machine: 'n2' })
    await lab.stand('n2')
    assert.deepEqual(await answering(), ['n1-n3', 'n2-n3'])
    await lab.engine.heal()
    assert.deepEqual(await answering(), ['n1-n2', 'n1-n3', 'n2-n3'])
  })

  it('a machine that is off can be cut off: it is when it starts', async () => {
    const kill = await lab.engine.begin('kill', { target: 'n2' })
    await lab.engine.begin('partition', { from: 'n2', to: 'n3' })
    await lab.engine.heal([kill.id])
    await lab.stand('n2')
    assert.deepEqual(await answering(), ['n1-n2', 'n1-n3'])
  })

  it('sides that are no sides are refused', async () => {
    for (const [values, message] of [
      [{ from: 'all' }, /no machine is left beside n1, n2, n3/],
      [{ from: 'host', to: 'host' }, /no machine is left/],
      [{ from: 'n1', port: 0 }, /0 is not a port/],
      [{ from: 'n1', protocol: 'tcp' }, /a protocol without a port/],
    ] as const)
      await assert.rejects(
        lab.engine.begin('partition', values),
        (error) => GantryError.is(error, 'InvalidArgument') && message.test(error.message),
      )
    assert.deepEqual(await lab.engine.inForce(), [])
  })

  it('loss takes its share of packets in both directions, or in one', async () => {
    const count = 3_000
    await lab.engine.begin('loss', { from: 'n1', to: 'n2', share: 0.3, oneWay: true })
    const there = await lab.ask('n1', 'n2', { count })
    // Six standard deviations of so many throws.
    assert.ok(Math.abs(there.arrived / count - 0.7) < 0.05, `${there.arrived} of ${count} arrived`)
    assert.equal(there.answered, there.arrived)
    assert.deepEqual(there.failures, [])
    await lab.engine.heal()
    await lab.engine.begin('loss', { from: 'n1', to: 'n2', share: 0.5 })
    const both = await lab.ask('n2', 'n1', { count })
    assert.ok(Math.abs(both.arrived / count - 0.5) < 0.055, `${both.arrived} of ${count} arrived`)
    assert.ok(Math.abs(both.answered / both.arrived - 0.5) < 0.08, `${both.answered} of ${both.arrived} came back`)
    assert.equal((await lab.ask('n1', 'n3', { count: 100 })).answered, 100)
    await lab.engine.heal()
    assert.equal((await lab.ask('n1', 'n2', { count: 100 })).answered, 100)
  })

  it('losses lie over one another', async () => {
    const count = 3_000
    for (let time = 0; time < 2; time++)
      await lab.engine.begin('loss', { from: 'n1', to: 'n2', share: '50%', oneWay: true })
    const { arrived } = await lab.ask('n1', 'n2', { count })
    assert.ok(Math.abs(arrived / count - 0.25) < 0.05, `${arrived} of ${count} arrived`)
  })

  /** In one try of several: a machine with other things to do slows streams, and never makes one faster. */
  const reaches = (bytesPerSecond: number, from: string, to: string, bytes = 16 * MEBI): Promise<void> =>
    until(
      `${bytesPerSecond} bytes a second from ${from} to ${to}`,
      async () => (await lab.pour(from, to, bytes)) > bytesPerSecond,
    )

  it('bandwidth holds a stream to its rate, and only that', async () => {
    const fault = await lab.engine.begin('bandwidth', { from: 'n1', to: 'n2', rate: '1Mi', oneWay: true })
    assert.equal(fault.note, 'by the kernel (tc htb on the senders)')
    const held = await lab.pour('n1', 'n2', MEBI)
    assert.ok(held < 1.3 * MEBI, `${Math.round(held)} bytes a second of ${MEBI}`)
    if (held <= 0.7 * MEBI) await reaches(0.7 * MEBI, 'n1', 'n2', MEBI)
    await reaches(2 * MEBI, 'n2', 'n1')
    await reaches(2 * MEBI, 'n1', 'n3')
    await lab.engine.heal()
    await reaches(2 * MEBI, 'n1', 'n2')
    assert.equal(await traces('n1'), '')
  })

  it('of two rates the narrower holds, and the wider when that has ended', async () => {
    await lab.engine.begin('bandwidth', { from: 'n1', to: 'n2', rate: '2Mi' })
    const narrow = await lab.engine.begin('bandwidth', { from: 'n1', rate: '500Ki' })
    const wide = await lab.engine.begin('bandwidth', { from: 'n1', to: 'n2', rate: '4Mi' })
    assert.ok((await lab.pour('n1', 'n2', MEBI / 2)) < 0.7 * MEBI)
    await lab.engine.heal([narrow.id])
    const held = await lab.pour('n1', 'n2', 2 * MEBI)
    assert.ok(held < 2.7 * MEBI, `${Math.round(held)} bytes a second`)
    if (held <= 1.3 * MEBI) await reaches(1.3 * MEBI, 'n1', 'n2', 2 * MEBI)
    await lab.engine.heal([wide.id])
    await lab.engine.heal()
    for (const name of ['n1', 'n2', 'n3']) assert.equal(await traces(name), '')
  })

  it('where the senders have another shaper, what is beyond the rate is dropped', async () => {
    for (const name of ['n1', 'n2']) await lab.run(name, ['tc', 'qdisc', 'add', 'dev', 'eth0', 'root', 'pfifo'])
    const fault = await lab.engine.begin('bandwidth', { from: 'n1', to: 'n2', rate: '1Mi' })
    assert.match(fault.note!, /dropped where it arrives/)
    await lab.pour('n1', 'n2', MEBI) // a second's worth may come at once
    const held = await lab.pour('n1', 'n2', 2 * MEBI)
    assert.ok(held < 1.4 * MEBI, `${Math.round(held)} bytes a second`)
    await lab.engine.heal()
    for (const name of ['n1', 'n2']) await lab.run(name, ['tc', 'qdisc', 'del', 'dev', 'eth0', 'root'])
    await reaches(2 * MEBI, 'n1', 'n2')
  })

  it('a fault that fails on one machine leaves nothing on the others', async () => {
    const { address } = await lab.machine('n3')
    await lab.run('n3', ['ip', 'addr', 'flush', 'dev', 'eth0'])
    await assert.rejects(lab.engine.begin('partition', { from: 'n1' }), (error) =>
      GantryError.is(error, 'FailedPrecondition'),
    )
    await lab.run('n3', ['sh', '-c', 'ip addr add "$0/24" dev eth0 && ip route add default via "${0%.*}.1"', address])
    assert.deepEqual(await lab.engine.inForce(), [])
    assert.deepEqual(await answering(), ['n1-n2', 'n1-n3', 'n2-n3'])
    for (const name of ['n1', 'n2']) assert.equal(await traces(name), '')
  })

  it('the end of a fault that was broken off in its midst undoes what it did', async () => {
    const fault = await lab.engine.begin('partition', { from: 'n1' })
    await lab.changeFault(fault.id, { beginning: { pid: 1, startTime: 0, bootId: 'gone' } })
    await lab.engine.sweep()
    assert.deepEqual(await answering(), ['n1-n2', 'n1-n3', 'n2-n3'])
  })

  it('the end of a fault whose machine was removed frees the others', async () => {
    await lab.engine.begin('partition', { from: 'n1', to: ['n2', 'n3'] })
    await lab.removeMachine('n3')
    await lab.engine.heal()
    assert.equal((await lab.ask('n1', 'n2')).answered, 3)
    for (const name of ['n1', 'n2']) assert.equal(await traces(name), '')
  })
})
