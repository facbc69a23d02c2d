/**
 * Many writers, few transactions: writes made in the same turn of the event loop, or while transactions are under way,
 * go to the store together. So the more is written, the more goes together: a lone write waits for the rest of its turn
 * only.
 *
 *   write ─┐                        ┌─ transaction ──┐   committed → their answers
 *   write ─┼─ waiting ── gather ───▶│  ≤ 100 writes  │   conflict  → those that met it are told, the rest go again
 *   write ─┘  (a key in order)      └─ ≤ 2 at a time ┘   deposed   → all are told
 *
 * Nothing waits for a timer.
 */
import { GantryError } from '../../proto/base/errors.ts'
import { COMMIT_LIMIT, type CommitResult, type Entry, type Operation, type Store, type Term } from './contract.ts'
import { checkOperations } from './operations.ts'

/** Of operations that happen together or not at all. */
export type GroupResult = CommitResult

export type WriteResult =
  | { readonly outcome: 'committed'; readonly revision: number }
  /** The key was not as expected: its state then, undefined if absent. */
  | { readonly outcome: 'conflict'; readonly current: Entry | undefined }
  /** The term is over. */
  | { readonly outcome: 'deposed' }

/** Bytes in one transaction beyond which no further write joins: etcd's default limit for a request is 1.5 MiB. */
const BYTES_LIMIT = 1_000_000
const IN_FLIGHT_LIMIT = 2

interface Write {
  /** All or none. */
  readonly operations: readonly Operation[]
  readonly term: Term | undefined
  readonly resolve: (result: GroupResult) => void
  readonly reject: (error: GantryError) => void
}

export class GroupCommit {
  readonly #store: Store
  #waiting: Write[] = []
  /** Keys in transactions under way: further writes of them wait, so that each key's writes happen in order. */
  readonly #busy = new Set<string>()
  #inFlight = 0
  #scheduled = false

  constructor(store: Store) {
    this.#store = store
  }

  /**
   * One compare-and-set. ResourceExhausted for a value over VALUE_LIMIT; Unavailable when the store cannot be reached,
   * and then the write may have happened.
   */
  async write(operation: Operation, term?: Term): Promise<WriteResult> {
    const result = await this.writeAll([operation], term)
    return result.outcome === 'conflict' ? { outcome: 'conflict', current: result.conflicts[0]?.current } : result
  }

  /**
   * Several, all or none; conflicts by their index. InvalidArgument for more than a transaction takes, or a key twice;
   * otherwise as `write`.
   */
  writeAll(operations: readonly Operation[], term?: Term): Promise<GroupResult> {
    return new Promise((resolve, reject) => {
      checkOperations(operations)
      this.#waiting.push({ operations, term, resolve, reject })
      this.#schedule()
    })
  }

  /** At the end of this turn of the event loop: all that came with it has been looked at by then. */
  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      while (this.#inFlight < IN_FLIGHT_LIMIT) {
        const writes = this.#gather()
        if (writes.length === 0) return
        this.#start(writes)
      }
    })
  }

  /** The next transaction: the longest-waiting write and all that may go with it, of the same term. */
  #gather(): Write[] {
    const taken: Write[] = []
    const left: Write[] = []
    const passedOver = new Set<string>()
    let bytes = 0
    let count = 0
    for (const [index, write] of this.#waiting.entries()) {
      if (count === COMMIT_LIMIT) {
        left.push(...this.#waiting.slice(index))
        break
      }
      const { operations } = write
      const size = operations.reduce((sum, operation) => sum + sizeOf(operation), 0)
      const fits =
        taken.length === 0 ||
        (sameTerm(taken[0]!.term, write.term) &&
          bytes + size <= BYTES_LIMIT &&
          count + operations.length <= COMMIT_LIMIT)
      if (!fits || operations.some(({ key }) => this.#busy.has(key) || passedOver.has(key))) {
        for (const { key } of operations) passedOver.add(key)
        left.push(write)
        continue
      }
      for (const { key } of operations) this.#busy.add(key)
      bytes += size
      count += operations.length
      taken.push(write)
    }
    this.#waiting = left
    return taken
  }

  #start(writes: readonly Write[]): void {
    this.#inFlight++
    const settle = (): void => {
      this.#inFlight--
      for (const { operations } of writes) for (const { key } of operations) this.#busy.delete(key)
      this.#schedule()
    }
    this.#store
      .commit(
        writes.flatMap(({ operations }) => operations),
        writes[0]!.term,
      )
      .then(
        (result) => {
          this.#answer(writes, result)
          settle()
        },
        (thrown: unknown) => {
          const error = GantryError.from(thrown)
          for (const { reject } of writes) reject(error)
          settle()
        },
      )
  }

  #answer(writes: readonly Write[], result: CommitResult): void {
    switch (result.outcome) {
      case 'committed':
      case 'deposed':
        for (const { resolve } of writes) resolve(result)
        return
      case 'conflict': {
        let first = 0
        const again = writes.filter((write) => {
          const { length } = write.operations
          const own = result.conflicts
            .filter(({ index }) => index >= first && index < first + length)
            .map(({ index, current }) => ({ index: index - first, current }))
          first += length
          if (own.length > 0) write.resolve({ outcome: 'conflict', conflicts: own })
          return own.length === 0
        })
        this.#waiting.unshift(...again)
      }
    }
  }
}

function sizeOf(operation: Operation): number {
  return operation.key.length + (operation.kind === 'put' ? operation.value.length : 0)
}

function sameTerm(one: Term | undefined, other: Term | undefined): boolean {
  return one?.key === other?.key && one?.createRevision === other?.createRevision
}
