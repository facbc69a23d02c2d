/** Work that many may ask for at once and that is done once. */
import { GantryError } from '../../proto/base/errors.ts'

interface Job<T> {
  readonly result: Promise<T>
  readonly controller: AbortController
  waiters: number
}

/**
 * One job per key, whoever waits for it. A waiter whose signal is aborted leaves with that signal's reason; the job
 * itself is aborted only when its last waiter has left, and whoever asks for the key after that waits for the old job
 * to end and starts a new one.
 */
export class SingleFlight<T> {
  readonly #jobs = new Map<string, Job<T>>()

  async run(key: string, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    for (;;) {
      if (signal.aborted) throw GantryError.from(signal.reason, 'Cancelled')
      const known = this.#jobs.get(key)
      if (known === undefined) return this.#join(this.#begin(key, work), signal)
      if (!known.controller.signal.aborted) return this.#join(known, signal)
      await known.result.then(ignoreOutcome, ignoreOutcome)
    }
  }

  /** Resolves when every job that runs now has ended, well or badly. */
  async idle(): Promise<void> {
    await Promise.allSettled([...this.#jobs.values()].map((job) => job.result))
  }

  #begin(key: string, work: (signal: AbortSignal) => Promise<T>): Job<T> {
    const controller = new AbortController()
    const result = Promise.resolve()
      .then(() => work(controller.signal))
      .finally(() => this.#jobs.delete(key))
    const job = { result, controller, waiters: 0 }
    this.#jobs.set(key, job)
    return job
  }

  #join(job: Job<T>, signal: AbortSignal): Promise<T> {
    job.waiters++
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        job.waiters--
        signal.removeEventListener('abort', abort)
      }
      const abort = (): void => {
        leave()
        if (job.waiters === 0) job.controller.abort(signal.reason)
        reject(GantryError.from(signal.reason, 'Cancelled'))
      }
      signal.addEventListener('abort', abort, { once: true })
      job.result.then(
        (value) => (leave(), resolve(value)),
        (error: unknown) => (leave(), reject(error as Error)),
      )
    })
  }
}

/** The job's own waiters are told of its outcome; one who only waits for its end is not. */
function ignoreOutcome(): void {
  return undefined
}
