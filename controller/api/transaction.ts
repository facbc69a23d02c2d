/** The participants of one write, as one: what the API core commits together with an object. */
import { GantryError } from '../../proto/base/errors.ts'
import type { Kind } from '../../proto/gen/types.ts'
import type { Kinds } from '../kinds/kinds.ts'
import type { CommitResult, Operation } from '../store/contract.ts'
import type {
  Participant,
  ParticipantTable,
  Participation,
  Preparation,
  ProposedWrite,
  TransactionOutcome,
} from './participant.ts'

const NOBODY: readonly Participant[] = []
const REFUSED: TransactionOutcome = { is: 'refused', conflicts: [] }

/** Which participants take part in writes of which kind. */
export class Participants {
  readonly #table: ParticipantTable
  readonly #kinds: Kinds
  readonly #byKind = new Map<Kind, readonly Participant[]>()

  constructor(table: ParticipantTable, kinds: Kinds) {
    this.#table = table
    this.#kinds = kinds
  }

  /** Internal for a kind whose strategy names a participant that this control plane was not given. */
  begin<K extends Kind>(kind: K): ObjectTransaction<K> {
    const participants = this.#byKind.get(kind) ?? this.#find(kind)
    return participants.length === 0
      ? (ALONE as unknown as ObjectTransaction<K>)
      : new ParticipantTransaction(participants.map((participant) => participant.begin()) as Participation<K>[])
  }

  #find(kind: Kind): readonly Participant[] {
    const names = this.#kinds.of(kind).participants ?? []
    const found = names.map((name) => {
      const participant = this.#table[name]
      if (participant === undefined)
        throw new GantryError('Internal', `${kind}: this control plane has no participant "${name}"`)
      return participant as unknown as Participant
    })
    this.#byKind.set(kind, found.length === 0 ? NOBODY : found)
    return this.#byKind.get(kind)!
  }
}

/** One write of one object, over all its tries: as Participation, for all participants together. */
export interface ObjectTransaction<K extends Kind> {
  prepare(write: ProposedWrite<K>): Preparation<K> | Promise<Preparation<K>>
  /** `result`: of the object's operation and then those of the preparation; undefined where it is not known. */
  settle(result: CommitResult | undefined): void | Promise<void>
  /** What was prepared is not committed. */
  abandon(): void | Promise<void>
}

/** Of kinds in whose writes nobody takes part. */
const ALONE: ObjectTransaction<Kind> = {
  prepare: ({ next }) => ({ object: next, operations: [] }),
  settle: () => undefined,
  abandon: () => undefined,
}

class ParticipantTransaction<K extends Kind> implements ObjectTransaction<K> {
  readonly #participations: readonly Participation<K>[]
  /** How many operations each has prepared that has prepared some in this try. */
  #prepared: number[] = []

  constructor(participations: readonly Participation<K>[]) {
    this.#participations = participations
  }

  prepare(write: ProposedWrite<K>): Preparation<K> | Promise<Preparation<K>> {
    this.#prepared = []
    return this.#prepareFrom(0, write, [])
  }

  /** Those from an index on, each with the object as the one before has left it. */
  #prepareFrom(
    index: number,
    write: ProposedWrite<K>,
    before: readonly Operation[],
  ): Preparation<K> | Promise<Preparation<K>> {
    const participation = this.#participations[index]
    if (participation === undefined) return { object: write.next, operations: before }
    const goOn = ({ object, operations }: Preparation<K>): Preparation<K> | Promise<Preparation<K>> => {
      this.#prepared.push(operations.length)
      return this.#prepareFrom(
        index + 1,
        object === undefined ? write : { ...write, next: object },
        before.length === 0 ? operations : [...before, ...operations],
      )
    }
    const undo = async (thrown: unknown): Promise<never> => {
      // A refusal by a later one undoes what earlier ones keep in memory.
      await this.abandon()
      throw thrown
    }
    try {
      const preparation = participation.prepare(write)
      return preparation instanceof Promise ? preparation.then(goOn, undo) : goOn(preparation)
    } catch (thrown) {
      if (this.#prepared.length === 0) throw thrown
      return undo(thrown)
    }
  }

  settle(result: CommitResult | undefined): void | Promise<void> {
    let first = 1 // after the object's own operation
    return this.#tell((count) => {
      const outcome = outcomeOf(result, first, count)
      first += count
      return outcome
    })
  }

  abandon(): void | Promise<void> {
    return this.#tell(() => REFUSED)
  }

  /** All of them, also after an error of one; the first error is the write's. */
  #tell(outcome: (operations: number) => TransactionOutcome): void | Promise<void> {
    const prepared = this.#prepared
    this.#prepared = []
    const waiting: Promise<void>[] = []
    for (const [index, count] of prepared.entries()) {
      const told = outcome(count)
      try {
        const settled = this.#participations[index]!.settle(told)
        if (settled instanceof Promise) waiting.push(settled)
      } catch (thrown) {
        waiting.push(Promise.reject(GantryError.from(thrown)))
      }
    }
    return waiting.length === 0 ? undefined : Promise.allSettled(waiting).then(throwFirst)
  }
}

function throwFirst(results: readonly PromiseSettledResult<void>[]): void {
  for (const result of results) if (result.status === 'rejected') throw result.reason
}

function outcomeOf(result: CommitResult | undefined, first: number, count: number): TransactionOutcome {
  switch (result?.outcome) {
    case undefined:
      return { is: 'unknown' }
    case 'committed':
      return { is: 'committed', revision: result.revision }
    case 'deposed':
      return REFUSED
    case 'conflict':
      // Where the object itself is another by now, everything is prepared anew in any case.
      return result.conflicts.some(({ index }) => index === 0)
        ? REFUSED
        : {
            is: 'refused',
            conflicts: result.conflicts
              .filter(({ index }) => index >= first && index < first + count)
              .map(({ index, current }) => ({ index: index - first, current })),
          }
  }
}
