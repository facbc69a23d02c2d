/** Who waits for the next time that something happens. */
import { GantryError } from './errors.ts'

export class ConditionVariable {
  readonly #waiting = new Set<() => void>()

  /** Resolves with the next `wake`; rejects with the signal's reason, or Cancelled, when that is aborted first. */
  wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (settle: () => void): void => {
        this.#waiting.delete(go)
        signal.removeEventListener('abort', abort)
        settle()
      }
      const go = (): void => end(resolve)
      const abort = (): void => end(() => reject(GantryError.from(signal.reason, 'Cancelled')))
      if (signal.aborted) return abort()
      this.#waiting.add(go)
      signal.addEventListener('abort', abort, { once: true })
    })
  }

  /** All who wait now go on. */
  broadcast(): void {
    for (const go of this.#waiting) go()
  }
}
