/** Whole numbers that change by little, of which the smallest and the largest are always known. */

export class CountHistogram {
  /** How many of the numbers are 0, 1, 2 … */
  readonly #having: (number | undefined)[] = []
  #size = 0
  #least = 0
  #most = 0

  /** How many numbers there are. */
  get size(): number {
    return this.#size
  }

  /** 0 when there are none. */
  get least(): number {
    return this.#least
  }

  /** 0 when there are none. */
  get most(): number {
    return this.#most
  }

  add(count: number): void {
    this.#having[count] = (this.#having[count] ?? 0) + 1
    if (this.#size++ === 0) this.#least = this.#most = count
    else if (count < this.#least) this.#least = count
    else if (count > this.#most) this.#most = count
  }

  /** Takes one such number away, which must be there. */
  remove(count: number): void {
    this.#having[count]!--
    if (--this.#size === 0) {
      this.#least = this.#most = 0
      return
    }
    while ((this.#having[this.#least] ?? 0) === 0) this.#least++
    while ((this.#having[this.#most] ?? 0) === 0) this.#most--
  }

  /** A number, which must be there, has become another. The time taken grows with the difference at most. */
  move(from: number, to: number): void {
    if (from === to) return
    this.add(to)
    this.remove(from)
  }
}
