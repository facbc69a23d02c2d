/** One step at a time for each key, in the order asked for. */
export class KeyLocks {
  readonly #tails = new Map<string, Promise<void>>()

  async run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key)
    const working = before === undefined ? work() : before.then(work)
    const tail = Promise.allSettled([working]).then(() => undefined) // a failure goes to whoever asked; the next one only waits
    this.#tails.set(key, tail)
    try {
      return await working
    } finally {
      if (this.#tails.get(key) === tail) this.#tails.delete(key)
    }
  }
}
