/** Waiting in tests: for a condition, never for a time. */
import { setTimeout } from 'node:timers/promises'

/** Milliseconds between looks, at least. */
const INTERVAL = 5
/**
 * A look that starts a program takes as much of a processor as what is waited for: the pause after it is so many times
 * its length.
 */
const PAUSE_PER_LOOK = 2
/**
 * Milliseconds until what does not come is given up: a machine that is slow, and busy with other things, takes many
 * times its usual time.
 */
const EVENTUALLY_TIMEOUT_MS = 40_000

/** Tries until `check` neither throws nor answers false; after `timeout` milliseconds fails with the last reason. */
export async function eventually<T>(
  check: () => T | Promise<T>,
  timeout = EVENTUALLY_TIMEOUT_MS,
): Promise<Exclude<T, false>> {
  const deadline = performance.now() + timeout
  let last: unknown = new Error('it stayed false')
  for (;;) {
    const begun = performance.now()
    try {
      const result = await check()
      if (result !== false) return result as Exclude<T, false>
    } catch (thrown) {
      last = thrown
    }
    const now = performance.now()
    if (now > deadline) break
    await setTimeout(Math.max(INTERVAL, Math.min(PAUSE_PER_LOOK * (now - begun), deadline - now)))
  }
  throw new Error(`not within ${timeout} ms: ${(last as Error).message}`, { cause: last })
}

/** As `eventually`, for a condition that needs words: what was waited for stands in the failure. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  timeout = EVENTUALLY_TIMEOUT_MS,
): Promise<void> {
  await eventually(async () => {
    if (!(await holds())) throw new Error(what)
  }, timeout)
}
