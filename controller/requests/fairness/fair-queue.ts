/**
 * Whose work begins next on the one thread that all share. While there is little to do everybody begins at once. Once
 * the work that came together has taken a while, what else came waits, and begins one piece at a time, in turn by user;
 * between two pieces the program looks at timers and connections, so that a flood delays leadership, node sessions and
 * other users by one piece of work at most.
 */
import type { Clock } from '../../../proto/base/clock.ts'
import { RoundRobin } from './round-robin.ts'

/** Milliseconds of work that may begin together. */
const TIME_SLICE_MS = 5

export class FairQueue {
  readonly #clock: Pick<Clock, 'monotonic'>
  readonly #waiting = new RoundRobin<() => void>()
  /** When the work began that came together; undefined before any came since the program last looked around. */
  #began: number | undefined

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock
  }

  /** How many wait. */
  get waiting(): number {
    return this.#waiting.size
  }

  /** Undefined for who may begin at once; otherwise resolves when it is the user's turn. */
  waitTurn(user: string): Promise<void> | undefined {
    const now = this.#clock.monotonic()
    if (this.#began === undefined) {
      this.#began = now
      setImmediate(() => this.#next())
    }
    if (this.#waiting.size === 0 && now - this.#began < TIME_SLICE_MS) return undefined
    return new Promise((resolve) => this.#waiting.push(user, resolve))
  }

  #next(): void {
    this.#began = undefined
    const begin = this.#waiting.shift()
    if (begin === undefined) return
    // What begins now counts as the first of what comes together: it runs as soon as this function has returned.
    this.#began = this.#clock.monotonic()
    setImmediate(() => this.#next())
    begin()
  }
}
