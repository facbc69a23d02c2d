/** Taking turns: at most so many at once, and one at a time per key. */
import { GantryError } from './errors.ts'

/** At most `places` run at once; the others wait in the order they came. */
export class Semaphore {
  #free: number
  readonly #queue: (() => void)[] = []

  constructor(places: number) {
    this.#free = places
  }

  async run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    if (this.#free > 0) this.#free--
    else await this.#wait(signal)
    try {
      return await work()
    } finally {
      const next = this.#queue.shift()
      if (next === undefined) this.#free++
      else next()
    }
  }

  #wait(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const enter = (): void => {
        signal?.removeEventListener('abort', leave)
        resolve()
      }
      const leave = (): void => {
        this.#queue.splice(this.#queue.indexOf(enter), 1)
        reject(GantryError.from(signal!.reason, 'Cancelled'))
      }
      if (signal?.aborted === true) return reject(GantryError.from(signal.reason, 'Cancelled'))
      signal?.addEventListener('abort', leave, { once: true })
      this.#queue.push(enter)
    })
  }
}

/** One at a time for each key. */
export class KeyedLock {
  readonly #locks = new Map<string, { readonly semaphore: Semaphore; users: number }>()

  /** Whether somebody has it, or waits for it. */
  isLocked(key: string): boolean {
    return this.#locks.has(key)
  }

  async run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const lock = this.#locks.get(key) ?? { semaphore: new Semaphore(1), users: 0 }
    this.#locks.set(key, lock)
    lock.users++
    try {
      return await lock.semaphore.run(work)
    } finally {
      if (--lock.users === 0) this.#locks.delete(key)
    }
  }
}
