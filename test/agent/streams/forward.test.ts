import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { localAddress, parseListeners } from '../../../agent/streams/listeners.ts'
import { PodDialer } from '../../../agent/streams/pod-dialer.ts'
import type { StreamTarget } from '../../../agent/streams/target.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { run } from '../../../proto/base/command.ts'
import { FakeClock, systemClock } from '../../../proto/base/clock.ts'
import { silentLogger } from '../../../proto/base/logger.ts'
import { eventually } from '../../eventually.ts'
import { makePod } from '../fakes.ts'

describe('listeners of a network namespace', () => {
  const HEAD = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode'

  it('are read as the kernel lists them', () => {
    const table = `${HEAD}
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0100007F:1F91 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0        0 2 1 0 100 0 0 10 0
   2: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 3 1 0 100 0 0 10 0
   3: B80D0120000000000000000001000000:0051 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4 1 0 100 0 0 10 0
   4: 0000000000000000FFFF00000100007F:0052 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 5 1 0 100 0 0 10 0
`
    assert.deepEqual(parseListeners(table), [
      { address: '127.0.0.1', port: 8080 },
      { address: '::1', port: 80 },
      { address: '2001:db8:0:0:0:0:0:1', port: 81 },
      { address: '::ffff:127.0.0.1', port: 82 },
    ])
    assert.deepEqual(parseListeners(''), [])
  })

  it('are reached the way localhost is: IPv4 first, then IPv6, another address at last', () => {
    const at = (...addresses: string[]): string | undefined =>
      localAddress(
        addresses.map((address) => ({ address, port: 80 })),
        80,
      )
    assert.deepEqual(
      [
        at('::1', '127.0.0.1'),
        at('0.0.0.0'),
        at('127.0.0.5'),
        at('::'),
        at('10.1.2.3', '::1'),
        at('10.1.2.3'),
        at('::ffff:127.0.0.1'),
        at(),
      ],
      ['127.0.0.1', '127.0.0.1', '127.0.0.5', '::1', '::1', '10.1.2.3', '127.0.0.1', undefined],
    )
    assert.equal(localAddress([{ address: '127.0.0.1', port: 81 }], 80), undefined)
  })
})

describe('connections into a pod', function () {
  this.timeout(60_000)
  let folder: string
  let pin: string
  let server: ChildProcess
  let dialer: PodDialer
  let changed: Set<() => void>
  let gone: boolean
  const processes: ChildProcess[] = []

  /** A process in the pod's network. */
  function inPod(...command: string[]): ChildProcess {
    const child = spawn('nsenter', [`--net=${pin}`, ...command], { stdio: 'ignore' })
    processes.push(child)
    return child
  }

  const target = (attached = true, pid = server.pid!): StreamTarget =>
    ({
      pod: makePod('web'),
      attachment: attached ? { netns: pin, address: '10.0.0.1', addresses: ['10.0.0.1'] } : undefined,
      anyRunning: { name: 'c', id: 'c', attempt: 0, pid },
      get gone() {
        return gone
      },
      onChange: (handler: () => void) => {
        changed.add(handler)
        return () => changed.delete(handler)
      },
    }) as unknown as StreamTarget

  const dial = (port: number, to = target()): Promise<Socket> => dialer.dial(to, port, new AbortController().signal)
  const doors = (): string[] => readdirSync(join(folder, 'doors'))

  async function everything(socket: Socket): Promise<string> {
    let text = ''
    for await (const chunk of socket.setEncoding('utf8').iterator({ destroyOnReturn: false })) text += chunk as string
    return text
  }

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'gantry-forward-'))
    pin = join(folder, 'net')
    await run('sh', ['-c', `: > ${pin} && unshare --net=${pin} ip link set lo up`])
    // One that listens on 127.0.0.1 only and echoes, and one that answers when the question has ended.
    server = inPod('socat', '-t', '60', 'TCP-LISTEN:80,bind=127.0.0.1,fork,reuseaddr,backlog=128', 'PIPE')
    inPod('socat', '-t', '10', 'TCP6-LISTEN:81,bind=[::1],fork,reuseaddr', 'EXEC:"wc -c"')
    await eventually(
      async () => (await run('nsenter', [`--net=${pin}`, 'ss', '-Hltn'])).stdout.trim().split('\n').length === 2,
    )
  })

  after(async () => {
    for (const child of processes) {
      child.kill('SIGKILL')
      if (child.exitCode === null && child.signalCode === null)
        await new Promise((resolve) => child.once('exit', resolve))
    }
    await run('umount', [pin])
    rmSync(folder, { recursive: true })
  })

  beforeEach(() => {
    gone = false
    changed = new Set()
    dialer = new PodDialer({ directory: join(folder, 'doors'), clock: systemClock, log: silentLogger })
  })

  afterEach(() => dialer.stop())

  it('reach what listens on its loopback only, many at once, by one door', async () => {
    const answers = await Promise.all(
      Array.from({ length: 50 }, async (_, at) => {
        const socket = await dial(80)
        socket.end(`client ${at}`)
        return everything(socket)
      }),
    )
    assert.deepEqual(
      answers,
      Array.from({ length: 50 }, (_, at) => `client ${at}`),
    )
    assert.equal(doors().length, 1)
  })

  it('may be closed in one direction first, also over IPv6', async () => {
    const socket = await dial(81)
    socket.end('x'.repeat(100_000))
    assert.equal((await everything(socket)).trim(), '100000')
  })

  it('are refused with what listens instead', async () => {
    await assert.rejects(
      dial(9),
      (error) =>
        GantryError.is(error, 'FailedPrecondition') &&
        error.message === 'connection refused: nothing listens on port 9 in Pod default/web; it listens on 80, 81',
    )
  })

  it('end with the pod, whose network nothing keeps then', async () => {
    const socket = await dial(80)
    socket.write('x')
    await new Promise((resolve) => socket.once('data', resolve))
    assert.equal(changed.size, 1)
    gone = true
    for (const tell of [...changed]) tell()
    assert.deepEqual([doors(), changed.size], [[], 0])
    await assert.rejects(dial(80), (error) => GantryError.is(error, 'FailedPrecondition'))
    socket.destroy()
  })

  it('leave the door open for a while, and close it then', async () => {
    const clock = new FakeClock()
    const patient = new PodDialer({ directory: join(folder, 'doors'), clock, log: silentLogger })
    let first: Socket | undefined
    void patient.dial(target(), 80, new AbortController().signal).then((socket) => (first = socket))
    await eventually(async () => {
      await clock.advance(5)
      return first !== undefined
    })
    const closed = new Promise((resolve) => first!.once('close', resolve))
    first!.destroy()
    await closed
    await clock.advance(9_000)
    assert.equal(doors().length, 1)
    const second = await patient.dial(target(), 80, new AbortController().signal)
    await clock.advance(20_000)
    assert.equal(doors().length, 1)
    second.destroy()
    await eventually(async () => {
      await clock.advance(10_000)
      return doors().length === 0
    })
    patient.stop()
  })

  it("of a pod with the node's own network need no door", async () => {
    const here = createServer((socket) => socket.end('here'))
    await new Promise<void>((resolve) => here.listen({ host: '127.0.0.1', port: 0 }, resolve))
    const socket = await dial((here.address() as AddressInfo).port, target(false, process.pid))
    assert.equal(await everything(socket), 'here')
    // It may be half-closed: our side is ours to end.
    socket.destroy()
    here.close()
  })
})
