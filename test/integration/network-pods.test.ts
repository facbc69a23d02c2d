import assert from 'node:assert/strict'
import { mkdtemp, open, readFile, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { RoutedNetwork } from '../../agent/network/routed-network.ts'
import type { Attachment, NodeRanges } from '../../agent/network/contract.ts'
import { eventually } from '../eventually.ts'
import { run } from '../../proto/base/command.ts'
import { systemClock } from '../../proto/base/clock.ts'
import { silentLogger } from '../../proto/base/logger.ts'

const POD_CIDR = '10.203.7.0/28'
const ranges = (...podCidrs: string[]): NodeRanges => ({
  podCidrs,
  cluster: { podCidrs: ['10.203.0.0/16', 'fd00:203::/48'], serviceCidrs: [], domain: 'cluster.local' },
})

/** A machine of two network namespaces: the node's, and one outside that knows no way to the pods. */
class TestMachine {
  readonly directory: string
  readonly node: string
  readonly outside: string

  private constructor(directory: string) {
    this.directory = directory
    this.node = join(directory, 'node')
    this.outside = join(directory, 'outside')
  }

  static async make(): Promise<TestMachine> {
    const machine = new TestMachine(await mkdtemp(join(tmpdir(), 'gantry-network-')))
    for (const pin of [machine.node, machine.outside]) {
      await (await open(pin, 'a')).close()
      await run('unshare', [`--net=${pin}`, '--', 'ip', 'link', 'set', 'lo', 'up'])
    }
    await machine.in(
      machine.node,
      'ip',
      ['-batch', '-'],
      [
        `link add up0 type veth peer name up0 netns ${machine.outside}`,
        'addr add 192.0.2.1/24 dev up0',
        'link set up0 up',
        '',
      ].join('\n'),
    )
    await machine.in(machine.outside, 'ip', ['-batch', '-'], 'addr add 192.0.2.2/24 dev up0\nlink set up0 up\n')
    return machine
  }

  in(
    netns: string,
    program: string,
    args: readonly string[],
    stdin?: string,
    allow: readonly number[] = [0],
  ): Promise<{ code: number; stdout: string }> {
    return run('nsenter', [`--net=${netns}`, '--', program, ...args], {
      allow,
      timeout: 10_000,
      ...(stdin === undefined ? {} : { stdin }),
    })
  }

  async reaches(from: string, address: string): Promise<boolean> {
    return (await this.in(from, 'busybox', ['ping', '-c', '1', '-W', '2', address], undefined, [0, 1])).code === 0
  }

  async pins(): Promise<string[]> {
    return (await readFile('/proc/self/mountinfo', 'utf8'))
      .split('\n')
      .map((line) => line.split(' ')[4] ?? '')
      .filter((point) => point.startsWith(`${this.directory}/`))
  }

  async remove(): Promise<void> {
    const pins = await this.pins()
    if (pins.length > 0) await run('umount', pins)
    await rm(this.directory, { recursive: true })
  }
}

describe('RoutedNetwork', function () {
  this.timeout(60_000)
  let machine: TestMachine
  let network: RoutedNetwork

  const make = (prepared: number): RoutedNetwork =>
    new RoutedNetwork({
      stateDir: machine.directory,
      logger: silentLogger,
      clock: systemClock,
      netns: machine.node,
      prepared,
    })
  const directories = async (): Promise<string[]> => (await readdir(join(machine.directory, 'netns'))).sort()
  const readyOnes = async (count: number): Promise<void> => {
    await eventually(async () => {
      const names = await directories()
      assert.equal(
        names.filter((name) => name.startsWith('ready-')).length,
        count,
        `never ${count} ready: ${names.join(' ')}`,
      )
    })
  }

  beforeEach(async () => {
    machine = await TestMachine.make()
    network = make(0)
  })

  afterEach(async () => {
    await network.stop()
    await machine.remove()
  })

  it('connects pods with each other, with the node, and through it with what is outside', async () => {
    await network.start(ranges(POD_CIDR), new Map())
    const [a, b] = await Promise.all([network.attach('a'), network.attach('b')])
    assert.notEqual(a.address, b.address)
    assert.ok(await machine.reaches(a.netns, '127.0.0.1'), 'loopback')
    assert.ok(await machine.reaches(a.netns, b.address), 'pod to pod')
    assert.ok(await machine.reaches(b.netns, '10.203.7.1'), 'pod to node')
    assert.ok(await machine.reaches(machine.node, a.address), 'node to pod')
    assert.ok(await machine.reaches(a.netns, '192.0.2.2'), 'pod to outside, masqueraded')
  })

  it('believes no router advertisement, on the node or in a pod', async () => {
    await network.start(ranges(POD_CIDR), new Map())
    const { netns } = await network.attach('a')
    for (const [place, device] of [
      [machine.node, 'gantry0'],
      [netns, 'eth0'],
    ] as const) {
      // Absent where the kernel has no IPv6.
      const { stdout } = await machine.in(place, 'sh', [
        '-c',
        `cat /proc/sys/net/ipv6/conf/${device}/accept_ra 2>/dev/null || echo 0`,
      ])
      assert.equal(stdout, '0\n', device)
    }
  })

  it('leaves nothing once all is detached and stopped', async () => {
    await network.start(ranges(POD_CIDR), new Map())
    await network.attach('a')
    await network.attach('b')
    await network.detach('a')
    await network.detach('a')
    assert.deepEqual(await directories(), ['b'])
    await network.stop()
    assert.ok(await machine.reaches(machine.node, '10.203.7.1'), 'the gateway stays while a pod uses it')
    await network.detach('b')
    assert.deepEqual((await machine.pins()).sort(), [machine.node, machine.outside])
    assert.equal(
      (await machine.in(machine.node, 'ip', ['-o', 'link'])).stdout.trim().split('\n').length,
      2,
      'loopback and the uplink',
    )
    assert.equal((await machine.in(machine.node, 'nft', ['list', 'ruleset'])).stdout, '')
  })

  it('makes namespaces ahead, gives them out and refills', async () => {
    network = make(3)
    await network.start(ranges(POD_CIDR), new Map())
    await readyOnes(3)
    const ahead = await directories()
    const attachment = await network.attach('quick')
    assert.ok(ahead.includes(`ready-${attachment.address}`), `${attachment.address} is none of ${ahead.join(' ')}`)
    assert.ok(await machine.reaches(attachment.netns, '10.203.7.1'))
    assert.deepEqual(await network.attach('quick'), attachment)
    await readyOnes(3)
    await network.stop()
    assert.deepEqual(await directories(), ['quick'])
  })

  it('adopts what is known after a restart and removes the rest', async () => {
    await network.start(ranges(POD_CIDR), new Map())
    const kept = await network.attach('kept')
    const lost = await network.attach('lost')
    const next = make(0)
    await next.start(
      ranges(POD_CIDR),
      new Map<string, Attachment>([
        ['kept', kept],
        [
          'rebooted',
          {
            netns: join(machine.directory, 'netns', 'rebooted', 'net'),
            address: '10.203.7.9',
            addresses: ['10.203.7.9'],
          },
        ],
      ]),
    )
    assert.deepEqual(await directories(), ['kept'])
    assert.deepEqual(await next.attach('kept'), kept)
    assert.ok(await machine.reaches(kept.netns, '192.0.2.2'))
    const others = await Promise.all(Array.from({ length: 12 }, (_, index) => next.attach(`n${index}`)))
    const addresses = new Set(others.map(({ address }) => address))
    assert.equal(addresses.size, 12)
    assert.ok(addresses.has(lost.address) && !addresses.has(kept.address))
  })

  it('says when no address is free, and goes on when one is', async () => {
    network = make(2)
    await network.start(ranges('10.203.7.0/30'), new Map())
    const only = await network.attach('a')
    await assert.rejects(network.attach('b'), { code: 'ResourceExhausted' })
    await network.detach('a')
    assert.equal((await network.attach('b')).address, only.address)
  })

  it('refuses names that are no file names, and work before the start', async () => {
    await assert.rejects(network.attach('a'), { code: 'FailedPrecondition' })
    await assert.rejects(network.attach('../a'), { code: 'InvalidArgument' })
    await assert.rejects(network.attach('ready-10.0.0.1'), { code: 'InvalidArgument' })
  })
})
