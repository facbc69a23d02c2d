import assert from 'node:assert/strict'
import { unwatchFile, watchFile } from 'node:fs'
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  CLOCK_OFFSET_VARIABLE,
  clockFromEnvironment,
  delay,
  FakeClock,
  OffsetClock,
  systemClock,
} from '../../../proto/base/clock.ts'
import { until } from '../../eventually.ts'

describe('systemClock', () => {
  it('keeps what is due in months, and in no time at all, from being due at once', async () => {
    const called: number[] = []
    const timers = [2 ** 31, 2_147_483_647_000, Infinity].map((millis) =>
      systemClock.after(millis, () => called.push(millis)),
    )
    // Set later: what the system takes for a moment comes before it.
    await delay(systemClock, 20)
    for (const timer of timers) timer.cancel()
    assert.deepEqual(called, [])
  })
})

describe('FakeClock', () => {
  it('calls what falls due in order of time, then of setting, with the clock at that time', async () => {
    const clock = new FakeClock(1000)
    const calls: [string, number, number][] = []
    const note = (name: string) => (): void => void calls.push([name, clock.now(), clock.monotonic()])
    clock.after(20, note('b'))
    clock.after(10, note('a'))
    clock.after(20, note('c'))
    clock.after(21, note('d'))
    await clock.advance(20)
    assert.deepEqual(calls, [
      ['a', 1010, 10],
      ['b', 1020, 20],
      ['c', 1020, 20],
    ])
    assert.equal(clock.pending, 1)
    assert.equal(clock.now(), 1020)
  })

  it('calls what is set meanwhile too, if it falls due, and nothing that is cancelled', async () => {
    const clock = new FakeClock()
    const calls: number[] = []
    const tick = (): void => {
      calls.push(clock.monotonic())
      clock.after(10, tick)
    }
    clock.after(10, tick)
    clock.after(5, () => calls.push(-1)).cancel()
    await clock.advance(35)
    assert.deepEqual(calls, [10, 20, 30])
  })

  it('tells how long it is until the next timer falls due', async () => {
    const clock = new FakeClock()
    assert.equal(clock.untilNext, undefined)
    clock.after(50, () => undefined)
    const sooner = clock.after(20, () => undefined)
    assert.equal(clock.untilNext, 20)
    await clock.advance(5)
    assert.equal(clock.untilNext, 15)
    sooner.cancel()
    assert.equal(clock.untilNext, 45)
    clock.after(-1, () => undefined)
    assert.equal(clock.untilNext, 0)
    await clock.advance(45)
    assert.equal(clock.untilNext, undefined)
  })

  it('takes a negative time for now', async () => {
    const clock = new FakeClock()
    let called = false
    clock.after(-5, () => (called = true))
    await clock.advance(0)
    assert(called)
  })
})

describe('delay', () => {
  it('resolves when the time is over', async () => {
    const clock = new FakeClock()
    let over = false
    const waiting = delay(clock, 10).then(() => (over = true))
    await clock.advance(9)
    assert(!over)
    await clock.advance(1)
    await waiting
    assert(over)
  })

  it('rejects with the reason when it is aborted, and leaves no timer and no listener', async () => {
    const clock = new FakeClock()
    const controller = new AbortController()
    const waiting = delay(clock, 10, controller.signal)
    controller.abort(new Error('enough'))
    await assert.rejects(waiting, /enough/)
    assert.equal(clock.pending, 0)
    await assert.rejects(delay(clock, 10, controller.signal), /enough/)
    assert.equal(clock.pending, 0)
  })

  it("works with the system's clock", async () => {
    const before = systemClock.monotonic()
    await delay(systemClock, 1)
    assert(systemClock.monotonic() > before)
    const timer = systemClock.after(60_000, () => assert.fail('a cancelled timer called'))
    timer.cancel()
  })
})

describe('OffsetClock', () => {
  let folder: string
  let file: string
  let base: FakeClock
  let clock: OffsetClock
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gantry-clock-'))
    file = join(folder, 'offset')
    base = new FakeClock(1_000_000)
    clock = new OffsetClock(base, file)
  })
  afterEach(async () => {
    clock.close()
    await rm(folder, { recursive: true })
  })

  it('is off by the sum of the lines, notices each change, and is right again without the file', async () => {
    assert.equal(clock.now(), 1_000_000)
    await writeFile(file, 'f1 -3600000\n')
    await until('an hour behind', () => clock.now() === 1_000_000 - 3_600_000)
    await writeFile(file, 'f1 -3600000\nf2 5000\n')
    await until('both', () => clock.now() === 1_000_000 - 3_595_000)
    await writeFile(file, '')
    await until('right with no line', () => clock.now() === 1_000_000)
    await writeFile(file, 'f3 1\n')
    await until('a millisecond', () => clock.now() === 1_000_001)
    await rm(file)
    await until('right again', () => clock.now() === 1_000_000)
  })

  it('leaves deadlines and timers alone', async () => {
    await writeFile(file, 'f1 86400000\n')
    await until('a day ahead', () => clock.now() === 1_000_000 + 86_400_000)
    assert.equal(clock.monotonic(), 0)
    let calls = 0
    clock.after(10, () => calls++)
    await base.advance(9)
    assert.equal(calls, 0)
    await base.advance(1)
    assert.equal(calls, 1)
    assert.equal(clock.monotonic(), 10)
  })

  it('stays off as it was while the file says something else', async () => {
    await writeFile(file, 'f1 500\n')
    await until('off', () => clock.now() === 1_000_500)
    for (const text of ['f1 500\nf2 soon\n', '700\n', 'f1 1.5\n']) {
      // Called after the clock's own listener, by the same look.
      const looked = new Promise<void>((resolve) =>
        watchFile(file, function listener() {
          unwatchFile(file, listener)
          resolve()
        }),
      )
      // Whole: it may be looked at between the making of a file and its first byte.
      await writeFile(`${file}.next`, text)
      await rename(`${file}.next`, file)
      await looked
      assert.equal(clock.now(), 1_000_500, text)
    }
  })

  it('is there when it begins', async () => {
    await writeFile(file, 'f1 42\n')
    assert.equal(timeBy(base, file), 1_000_042)
  })

  it("is made where the environment names a file, and else is the system's", async () => {
    assert.equal(clockFromEnvironment({}), systemClock)
    assert.equal(clockFromEnvironment({ [CLOCK_OFFSET_VARIABLE]: '' }), systemClock)
    await writeFile(file, 'f1 3600000\n')
    const made = clockFromEnvironment({ [CLOCK_OFFSET_VARIABLE]: file }) as OffsetClock
    const ahead = made.now() - systemClock.now()
    made.close()
    assert(Math.abs(ahead - 3_600_000) < 1_000, `${ahead} ms`)
  })
})

/** The time by a clock that has looked once. */
function timeBy(base: FakeClock, file: string): number {
  const clock = new OffsetClock(base, file)
  clock.close()
  return clock.now()
}
