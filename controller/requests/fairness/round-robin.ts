/** What waits, in turn by user: one of each user, whose own come in their order. */
export class RoundRobin<T> {
  /** Whose turn is next comes first. No list is empty. */
  readonly #queues = new Map<string, T[]>()
  #size = 0

  get size(): number {
    return this.#size
  }

  push(user: string, item: T): void {
    this.#size++
    const queue = this.#queues.get(user)
    if (queue === undefined) this.#queues.set(user, [item])
    else queue.push(item)
  }

  /** Undefined if nothing waits. */
  shift(): T | undefined {
    for (const [user, queue] of this.#queues) {
      this.#size--
      const item = queue.shift()
      this.#queues.delete(user)
      if (queue.length > 0) this.#queues.set(user, queue)
      return item
    }
    return undefined
  }
}
