/** Those who wait until the cache has reached a revision. */
import { GantryError } from '../../proto/base/errors.ts'
import type { Clock } from '../../proto/base/clock.ts'

interface Waiter {
  readonly revision: number
  readonly resolve: () => void
  readonly reject: (error: GantryError) => void
}

export class RevisionWaiters {
  readonly #clock: Clock
  readonly #waiters = new Set<Waiter>()
  #reached = 0
  /** Why no further revision will be reached. */
  #over: GantryError | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Resolves when the revision is reached; Unavailable after `timeout` milliseconds, or at the end. */
  waitFor(revision: number, timeout: number): Promise<void> {
    if (this.#reached >= revision) return Promise.resolve()
    if (this.#over !== undefined) return Promise.reject(this.#over)
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        timer.cancel()
        this.#waiters.delete(waiter)
      }
      const timer = this.#clock.after(timeout, () => {
        leave()
        reject(
          new GantryError(
            'Unavailable',
            `the cache is at revision ${this.#reached} and did not reach ${revision} within ${timeout} ms`,
          ),
        )
      })
      const waiter: Waiter = {
        revision,
        resolve: () => {
          leave()
          resolve()
        },
        reject: (error) => {
          leave()
          reject(error)
        },
      }
      this.#waiters.add(waiter)
    })
  }

  advanceTo(revision: number): void {
    this.#reached = revision
    for (const waiter of this.#waiters) if (waiter.revision <= revision) waiter.resolve()
  }

  end(error: GantryError): void {
    this.#over = error
    for (const waiter of this.#waiters) waiter.reject(error)
  }
}
