/** Waiting with an end. */
import { setMaxListeners } from 'node:events'
import type { Clock } from './clock.ts'
import { GantryError } from './errors.ts'

/**
 * Runs with a signal that ends after `millis` (never, if undefined): what waits on it then throws DeadlineExceeded with
 * the text given.
 */
export async function withDeadline<T>(
  clock: Clock,
  millis: number | undefined,
  signal: AbortSignal,
  text: () => string,
  body: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  if (millis === undefined) return body(signal)
  const controller = new AbortController()
  setMaxListeners(0, controller.signal)
  const timer = clock.after(millis, () => controller.abort(new GantryError('DeadlineExceeded', text())))
  const abort = (): void => controller.abort(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  try {
    return await body(controller.signal)
  } catch (thrown) {
    throw controller.signal.aborted ? controller.signal.reason : thrown
  } finally {
    timer.cancel()
    signal.removeEventListener('abort', abort)
  }
}
