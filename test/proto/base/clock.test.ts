import assert from 'node:assert/strict'
import { delay, FakeClock, systemClock } from '../../../proto/base/clock.ts'

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
    assert.deepEqual(calls, [['a', 1010, 10], ['b', 1020, 20], ['c', 1020, 20]])
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

  it('works with the system\'s clock', async () => {
    const before = systemClock.monotonic()
    await delay(systemClock, 1)
    assert(systemClock.monotonic() > before)
    const timer = systemClock.after(60_000, () => assert.fail('a cancelled timer called'))
    timer.cancel()
  })
})
