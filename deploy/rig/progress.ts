/**
 * One line that says what is being done: rewritten in place on a terminal; elsewhere a line each, those that come in a
 * burst left out.
 */
import type { Sink } from '../../proto/terminal/environment.ts'
import type { Clock } from '../../proto/base/clock.ts'

/** Milliseconds between lines elsewhere. */
const BURST = 500

export class Progress {
  readonly #title: string
  readonly #sink: Sink
  readonly #clock: Clock
  readonly #began: number
  #last = ''
  #written = -Infinity

  constructor(title: string, { stderr, clock }: { readonly stderr: Sink; readonly clock: Clock }) {
    this.#title = title
    this.#sink = stderr
    this.#clock = clock
    this.#began = clock.monotonic()
  }

  show(text: string): void {
    if (text === this.#last) return
    this.#last = text
    const now = this.#clock.monotonic()
    if (this.#sink.isTTY !== true && now - this.#written < BURST) return
    this.#written = now
    const line = `${this.#title}: ${text} (${((now - this.#began) / 1000).toFixed(1)} s)`
    this.#sink.write(this.#sink.isTTY === true ? `\r\x1b[K${line}` : `${line}\n`)
  }

  /** Takes the line away, so that other output may follow. */
  end(): void {
    if (this.#sink.isTTY === true && this.#last !== '') this.#sink.write('\r\x1b[K')
    this.#last = ''
  }
}
