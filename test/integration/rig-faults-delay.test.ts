import assert from 'node:assert/strict'
import { delayFault } from '../../deploy/rig/faults/latency.ts'
import type { JsonValue } from '../../proto/gen/types.ts'
import { eventually, until } from '../eventually.ts'
import { TinyRig } from './tiny-rig.ts'

/** Answers each line with the peer's address and the line; keeps count of connections. */
const ECHO = `
require('net').createServer((socket) => {
  socket.on('error', () => socket.destroy())
  socket.on('data', (line) => socket.write(socket.remoteAddress + ' ' + line))
}).listen(Number(process.argv[1]), process.argv[2], () => console.log('up'))
`
/** Milliseconds for a line there and back on a new connection, and the answer. */
const ASK = `
const socket = require('net').connect(Number(process.argv[2]), process.argv[1], () => {
  const begun = performance.now()
  socket.write('hello')
  socket.on('data', (answer) => { console.log(Math.round(performance.now() - begun), String(answer)); socket.destroy() })
})
socket.on('error', (error) => { console.log(-1, error.code); socket.destroy() })
`

function withoutProgram(undo: JsonValue | undefined): JsonValue {
  const { programs } = undo as { programs: Record<string, JsonValue>[] }
  return { programs: programs.map(({ program: _, ...place }) => place) }
}

describe('the fault "delay"', function () {
  this.timeout(60_000)
  let rig: TinyRig

  before(async () => {
    rig = await TinyRig.start([delayFault], {
      controller: { role: 'controller', index: 2 },
      registry: { role: 'registry', index: 3 },
      n1: { role: 'node', index: 11 },
      n2: { role: 'node', index: 12 },
    })
    for (const [machine, port] of [
      ['controller', 7443],
      ['controller', 2380],
      ['n1', 8080],
      ['controller', 9999],
    ] as const)
      await rig.serve(machine, ECHO, String(port), rig.machine(machine).address)
  })
  after(() => rig.stop())
  afterEach(() => rig.engine.heal())

  async function ask(from: string, to: string, port: number): Promise<{ millis: number; answer: string }> {
    const [millis, ...answer] = (
      await rig.ask(from, process.execPath, '-e', ASK, rig.machine(to).address, String(port))
    ).split(' ')
    return { millis: Number(millis), answer: answer.join(' ') }
  }

  /** Only what is not delayed is ever as quick, however slow the machine is. */
  const quicker = (than: number, from: string, to: string, port: number): Promise<void> =>
    until(`an answer from ${to}:${port} to ${from} within ${than} ms`, async () => {
      const { millis } = await ask(from, to, port)
      return millis >= 0 && millis < than
    })

  it('delays connections of the control plane both ways, as they come from where they come from, and no others', async () => {
    const fault = await rig.engine.begin('delay', { from: ['n1'], to: ['controller'], by: 150 })
    assert.match(
      fault.note!,
      /by a proxy in user space on the control plane's own connections; other traffic is not delayed/,
    )
    for (const port of [7443, 2380]) {
      const { millis, answer } = await ask('n1', 'controller', port)
      assert(millis >= 295, `${millis} ms to ${port}`)
      assert.equal(answer, `${rig.machine('n1').address} hello`)
    }
    await quicker(290, 'n2', 'controller', 7443)
    await quicker(290, 'n1', 'controller', 9999)
    await rig.engine.heal([fault.id])
    await quicker(290, 'n1', 'controller', 7443)
  })

  it('delays one way', async () => {
    await rig.engine.begin('delay', { from: ['n1'], to: ['controller'], by: 200, oneWay: true })
    const { millis } = await ask('n1', 'controller', 7443)
    assert(millis >= 195, `${millis} ms`)
    await quicker(390, 'n1', 'controller', 7443)
  })

  it('cuts connections that were there before, so that they come back through it', async () => {
    const child = rig.spawn(
      'n2',
      process.execPath,
      '-e',
      `
      const socket = require('net').connect(7443, process.argv[1], () => { socket.setNoDelay(); setInterval(() => socket.write('x'), 20) })
      socket.on('data', () => process.stdout.write('.'))
      socket.on('error', (error) => { console.log(error.code); process.exit() })
    `,
      rig.machine('controller').address,
    )
    let text = ''
    child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()))
    await eventually(() => text.length > 2)
    await rig.engine.begin('delay', { from: ['n2'], to: ['controller'], by: 10 })
    await eventually(() => text.endsWith('ECONNRESET\n'))
  })

  it('takes any TCP port, between nodes too', async () => {
    await rig.engine.begin('delay', { from: ['n2'], to: ['n1'], port: 8080, by: 100 })
    const { millis } = await ask('n2', 'n1', 8080)
    assert(millis >= 195, `${millis} ms`)
  })

  it('comes back after its machine was rebooted, and leaves nothing when it is healed', async () => {
    const fault = await rig.engine.begin('delay', { from: ['n2'], to: ['n1'], port: 8081, by: 100 })
    await rig.machine('n1').kill()
    await rig.engine.start('n1')
    for (const port of [8080, 8081]) await rig.serve('n1', ECHO, String(port), rig.machine('n1').address)
    const { millis } = await ask('n2', 'n1', 8081)
    assert(millis >= 195, `${millis} ms`)
    await rig.engine.heal([fault.id])
    assert.equal(await rig.ask('n1', 'nft', 'list', 'ruleset'), '')
    assert.equal(await rig.ask('n1', 'sh', '-c', `ls ${rig.machine('n1').spec.runDir} | grep fault`), '')
    assert.equal(await rig.ask('n1', 'sh', '-c', 'ps ax | grep [g]antry-fault'), '')
  })

  it('is undone also when the process that began it ended before it wrote down the program that it had started', async () => {
    await rig.engine.begin('delay', { from: ['n1'], to: ['controller'], by: 10 })
    await rig.update((faults) =>
      faults.map((fault) => (fault.ended === undefined ? { ...fault, undo: withoutProgram(fault.undo) } : fault)),
    )
    await rig.engine.heal()
    await until(
      'the program has ended',
      async () => (await rig.ask('controller', 'sh', '-c', 'ps ax | grep [g]antry-fault')) === '',
    )
    assert.equal(await rig.ask('controller', 'nft', 'list', 'ruleset'), '')
  })

  it('holds a connection to a rate', async () => {
    await rig.serve(
      'controller',
      `
      require('net').createServer((socket) => { socket.on('error', () => socket.destroy()); socket.end(Buffer.alloc(200000)) }).listen(6222, () => console.log('up'))
    `,
    )
    await rig.engine.begin('delay', { from: ['controller'], to: ['n1'], rate: 200_000, oneWay: true })
    const millis = Number(
      await rig.ask(
        'n1',
        process.execPath,
        '-e',
        `
      const begun = performance.now()
      let bytes = 0
      require('net').connect(6222, process.argv[1]).on('data', (chunk) => (bytes += chunk.length)).on('end', () => console.log(bytes === 200000 ? Math.round(performance.now() - begun) : -1))
    `,
        rig.machine('controller').address,
      ),
    )
    assert(millis >= 950, `${millis} ms for a second's worth`)
  })

  it('refuses what cannot be, and leaves nothing of it', async () => {
    const begin = (given: Record<string, unknown>) => () => rig.engine.begin('delay', given)
    await assert.rejects(begin({ from: ['n1'], to: ['n2'], by: 10 }), {
      code: 'FailedPrecondition',
      message: /no connections between n1 and n2, and this host's kernel has no netem/,
    })
    await assert.rejects(begin({ from: ['n1'] }), { code: 'InvalidArgument', message: /nothing is delayed/ })
    await assert.rejects(begin({ from: ['n1'], by: 10, jitter: 20 }), {
      code: 'InvalidArgument',
      message: /jitter of 20 ms is more than the delay of 10 ms/,
    })
    await assert.rejects(begin({ from: ['n1'], rate: 1000, reorder: 0.5 }), {
      code: 'InvalidArgument',
      message: /nothing comes out of order/,
    })
    const { id } = await rig.engine.begin('delay', { from: ['n1'], to: ['controller'], by: 10 })
    await assert.rejects(begin({ from: ['nodes'], to: ['controllers'], by: 10 }), {
      code: 'FailedPrecondition',
      message: `connections of n1 to port 7443 of controller are delayed already, by ${id}`,
    })
    assert.deepEqual(
      (await rig.engine.inForce()).map((fault) => fault.id),
      [id],
    )
  })
})
