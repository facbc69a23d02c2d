/**
 * A way to a store whose watches can be held back, as those of a controller that hears late: reads and writes go
 * through at once. Held watches deliver one commit at a time, when told to.
 */
import type { CommitResult, Entry, Operation, Page, Store, Term, WatchBatch } from '../../controller/store/contract.ts'

export class LaggingStore implements Store {
  readonly #store: Store
  /** Of each watch that has a commit to deliver and may not: the call that lets it. */
  readonly #waiting: (() => void)[] = []
  #held = false

  constructor(store: Store) {
    this.#store = store
  }

  get held(): boolean {
    return this.#held
  }

  /** From now on watches deliver nothing by themselves. */
  hold(): void {
    this.#held = true
  }

  /** Lets the watch that has waited longest deliver one commit; false if none has anything to deliver. */
  deliverNext(): boolean {
    const deliver = this.#waiting.shift()
    deliver?.()
    return deliver !== undefined
  }

  /** Watches deliver what they have held, and from now on everything at once. */
  release(): void {
    this.#held = false
    for (const deliver of this.#waiting.splice(0)) deliver()
  }

  async *watch(prefix: string, after: number, signal: AbortSignal): AsyncGenerator<WatchBatch, void, undefined> {
    for await (const batch of this.#store.watch(prefix, after, signal)) {
      if (this.#held) await this.#turn(signal)
      if (signal.aborted) return
      yield batch
    }
  }

  get(key: string): Promise<Entry | undefined> {
    return this.#store.get(key)
  }

  list(prefix: string, options?: { limit?: number; after?: string; revision?: number }): Promise<Page> {
    return this.#store.list(prefix, options)
  }

  commit(operations: readonly Operation[], term?: Term): Promise<CommitResult> {
    return this.#store.commit(operations, term)
  }

  revision(): Promise<number> {
    return this.#store.revision()
  }

  grantLease(ttlSeconds: number): Promise<string> {
    return this.#store.grantLease(ttlSeconds)
  }

  keepLease(leaseId: string): Promise<boolean> {
    return this.#store.keepLease(leaseId)
  }

  revokeLease(leaseId: string): Promise<void> {
    return this.#store.revokeLease(leaseId)
  }

  close(): Promise<void> {
    return this.#store.close()
  }

  /** Resolves when a commit may be delivered, or nobody waits for it any more. */
  #turn(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const deliver = (): void => {
        signal.removeEventListener('abort', leave)
        resolve()
      }
      const leave = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(deliver), 1)
        resolve()
      }
      this.#waiting.push(deliver)
      signal.addEventListener('abort', leave, { once: true })
    })
  }
}
