/**
 * Time as it is handed to every component; tests and simulation hand in their own. The only place, beside main.ts, that
 * reads the system's.
 */
import { readFileSync, unwatchFile, watchFile } from 'node:fs'

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

/**
 * Milliseconds that setTimeout takes at most, not quite 25 days: what is longer it takes for 1.
 * https://nodejs.org/api/timers.html#settimeoutcallback-delay-args
 */
const LONGEST = 2 ** 31 - 1

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(millis, call) {
    let timer: NodeJS.Timeout
    const wait = (left: number): void => {
      timer = left > LONGEST ? setTimeout(() => wait(left - LONGEST), LONGEST) : setTimeout(call, left)
    }
    wait(millis)
    return { cancel: () => clearTimeout(timer) }
  },
}

/**
 * Names the file that a program's wall clock is set off by, so that a test of the whole program can do it from outside.
 */
export const CLOCK_OFFSET_VARIABLE = 'GANTRY_CLOCK_OFFSET_FILE'

/** Milliseconds between looks at that file. */
const OFFSET_POLL_MS = 250

/** The clock of a program: the system's, or one set off by a file where the environment names one. */
export function clockFromEnvironment(environment: NodeJS.ProcessEnv): Clock {
  const file = environment[CLOCK_OFFSET_VARIABLE]
  return file === undefined || file === '' ? systemClock : new OffsetClock(systemClock, file)
}

/**
 * A clock whose wall time is off by what a file says, noticed within a second; deadlines and timers go on undisturbed.
 * Each line of the file is a name and milliseconds, "f3 -3600000", which add up; no file is no offset. While the file
 * cannot be read or a line is something else, the offset stays as it was. Looking keeps no process alive.
 */
export class OffsetClock implements Clock {
  readonly #base: Clock
  readonly #file: string
  readonly #look = (): void => void (this.#offset = readOffset(this.#file) ?? this.#offset)
  #offset = 0

  constructor(base: Clock, file: string) {
    this.#base = base
    this.#file = file
    watchFile(file, { interval: OFFSET_POLL_MS, persistent: false }, this.#look)
    this.#look()
  }

  now(): number {
    return this.#base.now() + this.#offset
  }

  monotonic(): number {
    return this.#base.monotonic()
  }

  after(millis: number, call: () => void): Timer {
    return this.#base.after(millis, call)
  }

  /** Looks at the file no more. */
  close(): void {
    unwatchFile(this.#file, this.#look)
  }
}

/** Milliseconds; undefined for a file that says none. Read at once: there is nothing to wait for on a line or two. */
function readOffset(file: string): number | undefined {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code === 'ENOENT' ? 0 : undefined
  }
  const lines = text.split('\n').filter((line) => line !== '')
  const offsets = lines.map((line) => /^\S+ (-?\d+)$/.exec(line)?.[1])
  return offsets.includes(undefined) ? undefined : offsets.reduce((sum, offset) => sum + Number(offset), 0)
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

/** As `delay`, for loops: true after `millis`, false as soon as the signal is aborted. */
export async function elapsed(clock: Clock, millis: number, signal: AbortSignal): Promise<boolean> {
  try {
    await delay(clock, millis, signal)
    return true
  } catch (error) {
    if (signal.aborted) return false
    throw error
  }
}

/** A clock that stands still until it is moved: for tests and simulation. */
export class FakeClock implements Clock {
  #time: number
  readonly #start: number
  #timers: { at: number; order: number; call: () => void }[] = []
  #order = 0
  #set = 0

  constructor(start = Date.UTC(2026, 0, 1)) {
    this.#time = this.#start = start
  }

  now(): number {
    return this.#time + this.#set
  }

  monotonic(): number {
    return this.#time - this.#start
  }

  /** Sets the wall clock by so many milliseconds, back if they are negative; deadlines and timers go on undisturbed. */
  set(millis: number): void {
    this.#set += millis
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

  /** Milliseconds until the next timer falls due; undefined if there is none. */
  get untilNext(): number | undefined {
    if (this.#timers.length === 0) return undefined
    return Math.max(0, Math.min(...this.#timers.map(({ at }) => at)) - this.#time)
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
