/**
 * A queue between one who pushes and one who iterates. It holds all that is pushed: who pushes much waits for `room`.
 */
export class Channel<T> implements AsyncIterable<T> {
  readonly #items: T[] = []
  #end: { error?: unknown } | undefined
  #wake: (() => void) | undefined
  #waiting: { readonly limit: number; readonly resolve: () => void }[] = []

  /** Items not yet taken. */
  get length(): number {
    return this.#items.length
  }

  /** False once closed: the item is then not kept. */
  push(item: T): boolean {
    if (this.#end !== undefined) return false
    this.#items.push(item)
    this.#wake?.()
    return true
  }

  /** Resolves once fewer than `limit` items wait, or nothing more is taken because the channel is closed. */
  waitForRoom(limit: number): Promise<void> {
    if (this.#items.length < limit || this.#end !== undefined) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push({ limit, resolve }))
  }

  /** Ends the iteration after the items already there; with an error it then throws. */
  close(error?: unknown): void {
    this.#end ??= error === undefined ? {} : { error }
    this.#wake?.()
    for (const { resolve } of this.#waiting.splice(0)) resolve()
  }

  /** Ends the iteration with an error at the next step: items not yet taken are dropped. */
  fail(error: unknown): void {
    this.#items.length = 0
    this.close(error)
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    for (;;) {
      while (this.#items.length > 0) {
        const item = this.#items.shift()!
        this.#makeRoom()
        yield item
      }
      if (this.#end !== undefined) {
        if ('error' in this.#end) throw this.#end.error
        return
      }
      await new Promise<void>((resolve) => (this.#wake = resolve))
      this.#wake = undefined
    }
  }

  #makeRoom(): void {
    if (this.#waiting.length === 0) return
    const fit = this.#waiting.filter(({ limit }) => this.#items.length < limit)
    this.#waiting = this.#waiting.filter((one) => !fit.includes(one))
    for (const { resolve } of fit) resolve()
  }
}
