/**
 * What was left out of a copy, and why: told as a list of bounded length, since it is the container that decides how
 * much there is to tell of.
 */
const MAX_WARNINGS = 100

export class Warnings {
  readonly #list: string[] = []
  #more = 0

  add(warning: string): void {
    if (this.#list.length < MAX_WARNINGS) this.#list.push(warning)
    else this.#more++
  }

  list(): string[] {
    return this.#more === 0 ? this.#list : [...this.#list, `${this.#more} more of the kind`]
  }
}
