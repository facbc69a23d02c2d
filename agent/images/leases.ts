/** Names that somebody needs now: collection passes over them, whether they are there already or not. */
export class Leases {
  readonly #counts = new Map<string, number>()

  /** Holds the names until the function returned is called. */
  acquire(names: readonly string[]): () => void {
    for (const name of names) this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1)
    let held = true
    return () => {
      if (!held) return
      held = false
      for (const name of names) {
        const left = this.#counts.get(name)! - 1
        if (left === 0) this.#counts.delete(name)
        else this.#counts.set(name, left)
      }
    }
  }

  has(name: string): boolean {
    return this.#counts.has(name)
  }
}
