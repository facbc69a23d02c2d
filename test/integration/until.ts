/** Waits for a condition of the world outside, which no clock of ours moves. */
import { systemClock, delay } from '../../proto/base/clock.ts'

/** Looks every 10 ms; fails with the words of `what` after `timeout` milliseconds. */
export async function until(what: string, holds: () => boolean | Promise<boolean>, timeout = 20_000): Promise<void> {
  const end = systemClock.monotonic() + timeout
  while (!(await holds())) {
    if (systemClock.monotonic() > end) throw new Error(`waited ${timeout} ms in vain: ${what}`)
    await delay(systemClock, 10)
  }
}
