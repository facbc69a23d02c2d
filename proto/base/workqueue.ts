/**
 * Keys that wait to be worked on. A key added while it waits is there once; added while it is being worked on, it comes
 * again afterwards; one key is never worked on twice at once. Failed keys come back with growing delays.
 */
import { backoffDelay, type BackoffOptions } from './backoff.ts'
import type { Clock, Timer } from './clock.ts'
import type { Random } from './random.ts'

const RETRY: BackoffOptions = { first: 5, max: 60_000 }

export class WorkQueue {
  readonly #clock: Clock
  readonly #random: Random
  readonly #retry: BackoffOptions
  readonly #ready: string[] = []
  readonly #waiting = new Set<string>()
  readonly #processing = new Set<string>()
  readonly #failures = new Map<string, number>()
  readonly #delayed = new Map<string, { at: number; timer: Timer }>()
  #wake: (() => void) | undefined
  #closed = false

  constructor(clock: Clock, random: Random, retry: BackoffOptions = RETRY) {
    this.#clock = clock
    this.#random = random
    this.#retry = retry
  }

  /** Keys that are ready. */
  get length(): number {
    return this.#ready.length
  }

  add(key: string): void {
    if (this.#closed || this.#waiting.has(key)) return
    this.#waiting.add(key)
    if (this.#processing.has(key)) return
    this.#ready.push(key)
    this.#wake?.()
  }

  /** Adds a key after a time; an earlier time already set for it stands. */
  addAfter(key: string, millis: number): void {
    if (this.#closed) return
    const at = this.#clock.monotonic() + millis
    const known = this.#delayed.get(key)
    if (known !== undefined && known.at <= at) return
    known?.timer.cancel()
    const timer = this.#clock.after(millis, () => {
      this.#delayed.delete(key)
      this.add(key)
    })
    this.#delayed.set(key, { at, timer })
  }

  /**
   * Works on keys until the signal is aborted, at most `concurrency` at once. A pass that throws is told to `failed`
   * and the key comes back later; one that succeeds clears the key's failures. Resolves when the passes under way have
   * ended.
   */
  async run(
    pass: (key: string) => Promise<void>,
    failed: (key: string, error: unknown, failures: number) => void,
    signal: AbortSignal,
    concurrency = 1,
  ): Promise<void> {
    const active = new Set<Promise<void>>()
    const close = (): void => this.#close()
    signal.addEventListener('abort', close, { once: true })
    if (signal.aborted) close()
    while (!this.#closed) {
      const key = active.size < concurrency ? this.#ready.shift() : undefined
      if (key === undefined) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve
          if (this.#closed || (active.size < concurrency && this.#ready.length > 0)) resolve()
        })
        this.#wake = undefined
        continue
      }
      const work = this.#work(key, pass, failed).finally(() => {
        active.delete(work)
        this.#wake?.()
      })
      active.add(work)
    }
    signal.removeEventListener('abort', close)
    await Promise.all(active)
  }

  async #work(
    key: string,
    pass: (key: string) => Promise<void>,
    failed: (key: string, error: unknown, failures: number) => void,
  ): Promise<void> {
    this.#waiting.delete(key)
    this.#processing.add(key)
    try {
      await pass(key)
      this.#failures.delete(key)
    } catch (error) {
      const failures = (this.#failures.get(key) ?? 0) + 1
      this.#failures.set(key, failures)
      failed(key, error, failures)
      this.addAfter(key, backoffDelay(this.#retry, failures, this.#random))
    } finally {
      this.#processing.delete(key)
      if (this.#waiting.has(key)) {
        this.#ready.push(key)
        this.#wake?.()
      }
    }
  }

  #close(): void {
    this.#closed = true
    for (const { timer } of this.#delayed.values()) timer.cancel()
    this.#delayed.clear()
    this.#ready.length = 0
    this.#wake?.()
  }
}
