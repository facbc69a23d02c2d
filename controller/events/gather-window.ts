/**
 * How long what is to be told waits for what is told together with it, since to tell many costs little more than
 * to tell one: a moment while little happens, and as long as nobody minds while much does.
 */
import type { Clock } from '../../proto/base/clock.ts'

/** Milliseconds that the first waits for others, and between two writes in a row. */
const MOMENT_MS = 10
const INTERVAL_MS = 50

export class GatherWindow {
  readonly #clock: Pick<Clock, 'monotonic'>
  #last = -Infinity

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock
  }

  /** Milliseconds from now until what is gathered is to be told. */
  get delay(): number {
    return Math.max(MOMENT_MS, this.#last + INTERVAL_MS - this.#clock.monotonic())
  }

  /** What was gathered is being told now. */
  told(): void {
    this.#last = this.#clock.monotonic()
  }
}
