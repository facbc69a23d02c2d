/**
 * Many writers, few transactions: writes made in the same turn, or while transactions are under way, go to the store together.
 *
 *   write ─┐                        ┌─ transaction ─┐   committed → their answers
 *   write ─┼─ waiting ── gather ───▶│  ≤ 100 writes  │   conflict  → those that met it are told, the rest go again at once
 *   write ─┘  (a key in order)      └─ ≤ 4 at a time ┘   deposed   → all are told
 *
 * Nothing waits for a timer: a write that comes alone goes alone.
 */
import { GantryError } from '../../proto/api/errors.ts'
import { COMMIT_LIMIT, type CommitResult, type Entry, type Operation, type Store, type Term } from './contract.ts'
import { checkSize } from './operations.ts'

export type WriteResult =
  | { readonly outcome: 'committed'; readonly revision: number }
  /** The key was not as expected: its state then, undefined if absent. */
  | { readonly outcome: 'conflict'; readonly current: Entry | undefined }
  /** The term is over. */
  | { readonly outcome: 'deposed' }

/** Bytes in one transaction beyond which no further write joins: etcd's default limit for a request is 1.5 MiB. */
const BYTES_LIMIT = 1_000_000
const IN_FLIGHT_LIMIT = 4

interface Write {
  readonly operation: Operation
  readonly term: Term | undefined
  readonly resolve: (result: WriteResult) => void
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
   * One compare-and-set. ResourceExhausted for a value over VALUE_LIMIT; Unavailable when the store cannot be reached, and then the write may
   * have happened.
   */
  write(operation: Operation, term?: Term): Promise<WriteResult> {
    return new Promise((resolve, reject) => {
      checkSize(operation)
      this.#waiting.push({ operation, term, resolve, reject })
      this.#schedule()
    })
  }

  /** At the end of this turn, so that all who write in it are gathered. */
  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    queueMicrotask(() => {
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
    for (const [index, write] of this.#waiting.entries()) {
      if (taken.length === COMMIT_LIMIT) {
        left.push(...this.#waiting.slice(index))
        break
      }
      const { key } = write.operation
      const size = sizeOf(write.operation)
      const fits = taken.length === 0 || (sameTerm(taken[0]!.term, write.term) && bytes + size <= BYTES_LIMIT)
      if (!fits || this.#busy.has(key) || passedOver.has(key)) {
        passedOver.add(key)
        left.push(write)
        continue
      }
      this.#busy.add(key)
      bytes += size
      taken.push(write)
    }
    this.#waiting = left
    return taken
  }

  #start(writes: readonly Write[]): void {
    this.#inFlight++
    const settle = (): void => {
      this.#inFlight--
      for (const { operation } of writes) this.#busy.delete(operation.key)
      this.#schedule()
    }
    this.#store.commit(writes.map(({ operation }) => operation), writes[0]!.term).then(
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
        const conflicts = new Map(result.conflicts.map(({ index, current }) => [index, current]))
        const again = writes.filter((write, index) => {
          if (conflicts.has(index)) write.resolve({ outcome: 'conflict', current: conflicts.get(index) })
          return !conflicts.has(index)
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
