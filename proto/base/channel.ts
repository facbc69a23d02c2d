/** An unbounded queue between one who pushes and one who iterates. */
export class Channel<T> implements AsyncIterable<T> {
  readonly #items: T[] = []
  #end: { error?: unknown } | undefined
  #wake: (() => void) | undefined

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

  /** Ends the iteration after the items already there; with an error it then throws. */
  close(error?: unknown): void {
    this.#end ??= error === undefined ? {} : { error }
    this.#wake?.()
  }

  /** Ends the iteration with an error at the next step: items not yet taken are dropped. */
  fail(error: unknown): void {
    this.#items.length = 0
    this.close(error)
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    for (;;) {
      while (this.#items.length > 0) yield this.#items.shift()!
      if (this.#end !== undefined) {
        if ('error' in this.#end) throw this.#end.error
        return
      }
      await new Promise<void>((resolve) => (this.#wake = resolve))
      this.#wake = undefined
    }
  }
}
