/**
 * What happened, as a hash and, where somebody wants to read it, as lines: two runs of one seed have the same hash, or
 * something that is not simulated has crept in.
 */

/** Lines kept, the newest; all of them where the trace is to be read whole. */
const KEPT_LINES = 400

export class Trace {
  readonly #whole: boolean
  #one = 2166136261
  #other = 5381
  #count = 0
  #lines: string[] = []

  /** `whole`: every line is kept. */
  constructor(whole = false) {
    this.#whole = whole
  }

  note(time: number, what: string): void {
    const line = `${time.toFixed(3)} ${what}`
    for (let index = 0; index < line.length; index++) {
      const code = line.charCodeAt(index)
      this.#one = Math.imul(this.#one ^ code, 16777619)
      this.#other = (Math.imul(this.#other, 33) + code) | 0
    }
    this.#count++
    this.#lines.push(line)
    if (!this.#whole && this.#lines.length > 2 * KEPT_LINES) this.#lines = this.#lines.slice(-KEPT_LINES)
  }

  /** Lines in all. */
  get length(): number {
    return this.#count
  }

  get lines(): readonly string[] {
    return this.#lines
  }

  get hash(): string {
    return [this.#one, this.#other].map((half) => (half >>> 0).toString(16).padStart(8, '0')).join('')
  }
}
