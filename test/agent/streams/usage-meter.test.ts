import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { StreamTarget, TargetContainer } from '../../../agent/streams/target.ts'
import { busyTicks, UsageMeter } from '../../../agent/streams/usage-meter.ts'
import { FakeClock } from '../../../proto/base/clock.ts'
import { eventually } from '../../eventually.ts'

describe('what a node uses', () => {
  let proc: string
  const clock = new FakeClock()
  const counters = new Map<string, { cpuNanos: number; memory: number }>()
  let running: TargetContainer[]
  let looks = 0

  const machine = (busy: number, available: number): Promise<void[]> =>
    Promise.all([
      writeFile(join(proc, 'stat'), `cpu  ${busy} 0 0 1000 50 0 0 0 7 0\ncpu0 1 1 1 1\n`),
      writeFile(join(proc, 'meminfo'), `MemTotal:       1000 kB\nMemAvailable:   ${available} kB\n`),
    ])

  function meter(own?: () => Promise<{ cpuNanos: number; memory: number } | undefined>): UsageMeter {
    const target = {
      pod: { metadata: { uid: 'u1' } },
      get allRunning() {
        return running
      },
    } as unknown as StreamTarget
    return new UsageMeter({
      targets: () => [target],
      clock,
      proc,
      machine: own,
      runtime: {
        stats: (id) => {
          looks += 1
          const found = counters.get(id)
          return Promise.resolve(found && { ...found, memoryPeak: 0, processes: 1 })
        },
      },
    })
  }

  before(async () => (proc = await mkdtemp(join(tmpdir(), 'usage-'))))
  after(() => rm(proc, { recursive: true }))
  beforeEach(async () => {
    looks = 0
    running = [{ name: 'web', id: 'c1', attempt: 0, pid: 1 }]
    counters.clear()
    counters.set('c1', { cpuNanos: 5_000_000_000, memory: 4096 })
    await machine(100, 600)
  })

  it('is the difference of two looks half a second apart; those who ask together share them', async () => {
    const usage = meter()
    const [one, other] = [usage.measure(), usage.measure()]
    await eventually(() => (clock.pending > 0 ? undefined : assert.fail('nobody waits')))
    assert.equal(looks, 1)
    counters.set('c1', { cpuNanos: 5_250_000_000, memory: 8192 })
    await machine(150, 500)
    await clock.advance(500)
    const answer = await one
    assert.equal(await other, answer)
    assert.equal(answer.windowMillis, 500)
    assert.deepEqual(answer.machine, { cpuNanosPerSecond: 1_000_000_000, memoryBytes: 500 * 1024 })
    assert.deepEqual(answer.pods, [
      { uid: 'u1', containers: [{ name: 'web', usage: { cpuNanosPerSecond: 500_000_000, memoryBytes: 8192 } }] },
    ])
  })

  it('who asks again soon is answered at once; a container that is new used all of it in the window, one that is gone is left out', async () => {
    const usage = meter()
    const first = usage.measure()
    await eventually(() => (clock.pending > 0 ? undefined : assert.fail('nobody waits')))
    await clock.advance(500)
    await first
    await clock.advance(10_000)
    running = [
      { name: 'web', id: 'c2', attempt: 1, pid: 2 },
      { name: 'gone', id: 'c3', attempt: 0, pid: 3 },
    ]
    counters.set('c2', { cpuNanos: 2_000_000_000, memory: 1 })
    const answer = await usage.measure()
    assert.equal(answer.windowMillis, 10_000)
    assert.deepEqual(answer.pods[0]!.containers, [
      { name: 'web', usage: { cpuNanosPerSecond: 200_000_000, memoryBytes: 1 } },
    ])
  })

  it('is that of the machine where it shares its kernel with others; of the whole kernel where its group is not there', async () => {
    const own = { cpuNanos: 1_000_000_000, memory: 77 }
    const measured = async (read: () => Promise<typeof own | undefined>): Promise<unknown> => {
      const answer = meter(read).measure()
      await eventually(() => (clock.pending > 0 ? undefined : assert.fail('nobody waits')))
      own.cpuNanos += 100_000_000
      await clock.advance(500)
      return (await answer).machine
    }
    assert.deepEqual(await measured(() => Promise.resolve({ ...own })), {
      cpuNanosPerSecond: 200_000_000,
      memoryBytes: 77,
    })
    assert.deepEqual(await measured(() => Promise.resolve(undefined)), {
      cpuNanosPerSecond: 0,
      memoryBytes: 400 * 1024,
    })
  })

  it('counts what processors did, not what they waited for, nor guests twice', () => {
    assert.equal(busyTicks('cpu  1 2 4 1000 2000 8 16 32 64 128\ncpu0 9 9 9\n'), 63)
  })
})
