/** One line at the bottom of a terminal that says what is waited for; elsewhere each new state is a line of its own. */
import type { Sink } from '../environment.ts'

export class Progress {
  readonly #sink: Sink
  readonly #terminal: boolean
  #last = ''

  constructor(sink: Sink) {
    this.#sink = sink
    this.#terminal = sink.isTTY === true
  }

  update(text: string): void {
    if (text === this.#last) return
    this.#last = text
    if (!this.#terminal) return void this.#sink.write(`${text}\n`)
    const columns = this.#sink.columns ?? 80
    this.#sink.write(`\r\u001b[2K${[...text].slice(0, columns - 1).join('')}`)
  }

  /** Takes the line away, so that other output may follow. */
  clear(): void {
    if (this.#terminal && this.#last !== '') this.#sink.write('\r\u001b[2K')
    this.#last = ''
  }
}
