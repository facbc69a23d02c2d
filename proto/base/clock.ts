/** Time as it is handed to every component; tests and simulation hand in their own. The only place, beside main.ts, that reads the system's. */

export interface Timer {
  cancel(): void
}

export interface Clock {
  /** Milliseconds since 1970: what people and other machines are told. May jump. */
  now(): number
  /** Milliseconds that never go back: what deadlines are measured with. */
  monotonic(): number
  /** Calls once after `millis`, unless cancelled. */
  after(millis: number, call: () => void): Timer
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(millis, call) {
    const timer = setTimeout(call, millis)
    return { cancel: () => clearTimeout(timer) }
  },
}

/** Resolves after `millis`; rejects with the signal's reason when it is aborted before. */
export function delay(clock: Clock, millis: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) return reject(signal.reason as Error)
    const abort = (): void => {
      timer.cancel()
      reject(signal!.reason as Error)
    }
    const timer = clock.after(millis, () => {
      signal?.removeEventListener('abort', abort)
      resolve()
    })
    signal?.addEventListener('abort', abort, { once: true })
  })
}

/** A clock that stands still until it is moved: for tests and simulation. */
export class FakeClock implements Clock {
  #time: number
  readonly #start: number
  #timers: { at: number; order: number; call: () => void }[] = []
  #order = 0

  constructor(start = Date.UTC(2026, 0, 1)) {
    this.#time = this.#start = start
  }

  now(): number {
    return this.#time
  }

  monotonic(): number {
    return this.#time - this.#start
  }

  after(millis: number, call: () => void): Timer {
    const timer = { at: this.#time + Math.max(0, millis), order: this.#order++, call }
    this.#timers.push(timer)
    return { cancel: () => void (this.#timers = this.#timers.filter((other) => other !== timer)) }
  }

  /** Moves time on, calling what falls due in order; what those calls schedule within the span is called too. */
  async advance(millis: number): Promise<void> {
    const end = this.#time + millis
    for (;;) {
      await settle()
      const next = this.#timers.filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at || a.order - b.order)[0]
      if (next === undefined) break
      this.#timers = this.#timers.filter((timer) => timer !== next)
      this.#time = next.at
      next.call()
    }
    this.#time = end
    await settle()
  }

  /** Timers not yet due. */
  get pending(): number {
    return this.#timers.length
  }
}

/** Lets promise callbacks that are ready run. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve()
}
