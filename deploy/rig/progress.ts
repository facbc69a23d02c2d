/** One line that says what is being done: rewritten in place on a terminal, a line each elsewhere. */
import { systemClock } from '../../proto/base/clock.ts'

export class Progress {
  readonly #title: string
  readonly #began = systemClock.monotonic()
  #last = ''

  constructor(title: string) {
    this.#title = title
  }

  show(text: string): void {
    if (text === this.#last) return
    this.#last = text
    const seconds = ((systemClock.monotonic() - this.#began) / 1000).toFixed(1)
    process.stderr.write(process.stderr.isTTY ? `\r\x1b[K${this.#title}: ${text} (${seconds} s)` : `${this.#title}: ${text} (${seconds} s)\n`)
  }

  end(): void {
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')
  }
}
