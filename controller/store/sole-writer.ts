/**
 * A store that only this process writes: its newest revision is known without a question. Every write that was
 * acknowledged to anybody was acknowledged here first, so what was committed here last is what a consistent read must
 * show. What the store removes because a lease ran out is not counted: no object has a lease. Whoever builds a
 * controller says whether it is the sole writer (main.ts: of an etcd of its own, behind a socket that nobody else
 * reaches); docs/controllers.md says what users are promised.
 */
import { OBJECTS_PREFIX } from './keys.ts'
import type { CommitResult, Entry, Operation, Page, Store, Term, WatchBatch } from './contract.ts'

export class SoleWriterStore implements Store {
  readonly #store: Store
  readonly #prefix: string
  /** Of the commits under the prefix that are known to have happened. */
  #newest = 0
  /**
   * Counts what made the revision unknown: a commit without an answer, one that no watch of the prefix tells, the end
   * of a lease, and whatever shows that something happened later than is known (as a commit without an answer does that
   * happens after a question has settled it).
   */
  #doubts = 1
  /** The doubts that a question has settled since. */
  #settled = 0

  /** `prefix`: of the keys whose watch is waited for with what `revision` says. */
  constructor(store: Store, prefix = OBJECTS_PREFIX) {
    this.#store = store
    this.#prefix = prefix
  }

  async commit(operations: readonly Operation[], term?: Term): Promise<CommitResult> {
    let result: CommitResult
    try {
      result = await this.#store.commit(operations, term)
    } catch (thrown) {
      // It may have happened, or may happen yet.
      this.#doubts++
      throw thrown
    }
    switch (result.outcome) {
      case 'committed':
        if (operations.some((operation) => this.#isTold(operation))) this.#advance(result.revision)
        else this.#doubts++
        break
      case 'conflict':
        // One that met what a commit without an answer has done shows that.
        for (const { current } of result.conflicts) {
          if (current === undefined) this.#doubts++
          else if (this.#isFollowed(current.key)) this.#advance(current.revision)
          else this.#see([current])
        }
        break
      case 'deposed':
    }
    return result
  }

  async revision(): Promise<number> {
    const doubts = this.#doubts
    if (this.#settled === doubts) return this.#newest
    const revision = await this.#store.revision()
    this.#advance(revision)
    this.#settled = Math.max(this.#settled, doubts)
    return this.#newest
  }

  async get(key: string): Promise<Entry | undefined> {
    const entry = await this.#store.get(key)
    if (entry !== undefined) this.#see([entry])
    return entry
  }

  async list(prefix: string, options?: { limit?: number; after?: string; revision?: number }): Promise<Page> {
    const page = await this.#store.list(prefix, options)
    this.#see(page.entries)
    return page
  }

  watch(prefix: string, after: number, signal: AbortSignal): AsyncIterable<WatchBatch> {
    return this.#store.watch(prefix, after, signal)
  }

  grantLease(ttlSeconds: number): Promise<string> {
    return this.#store.grantLease(ttlSeconds)
  }

  keepLease(leaseId: string): Promise<boolean> {
    return this.#store.keepLease(leaseId)
  }

  async revokeLease(leaseId: string): Promise<void> {
    try {
      await this.#store.revokeLease(leaseId)
    } finally {
      this.#doubts++
    }
  }

  close(): Promise<void> {
    return this.#store.close()
  }

  #isFollowed(key: string): boolean {
    return key.startsWith(this.#prefix)
  }

  /** Whether it surely makes an event under the prefix: a delete of what may not be there may change nothing. */
  #isTold({ kind, key, expect }: Operation): boolean {
    return this.#isFollowed(key) && (kind === 'put' || expect.is === 'at')
  }

  /** What the store shows to anybody, whoever reads objects after it must be shown as well. */
  #see(entries: readonly Entry[]): void {
    if (entries.some(({ revision }) => revision > this.#newest)) this.#doubts++
  }

  #advance(revision: number): void {
    if (revision > this.#newest) this.#newest = revision
  }
}
