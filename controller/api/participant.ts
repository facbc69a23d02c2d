/**
 * The contract of a participant: something that takes part in the transaction that writes an object, since the object
 * holds what only one may hold (an address, a port, a range, a number; later a quota's share or a volume). It prepares
 * operations that are committed with the object's own or not at all, and is told what became of them. The shape is that
 * of Kubernetes' allocation around a Service (begin, commit, undo: pkg/registry/core/service/storage/alloc.go); etcd's
 * transactions make the undo needless: what was not committed was never there.
 *
 * One write of one object, as the API core makes it:
 *
 *   begin ─▶ prepare ─▶ transaction: the object's operation, then each participant's ─▶ settle ─┐
 *               ▲                                                                               │
 *               └──── refused, and worth another try: from the newest state of the object ──────┘
 *
 * What every participant keeps, whoever fails when (test/contract/participant.ts is the suite that all of them pass):
 *
 * - *Exclusion.* Claims are keys of the store that a transaction makes only where they are absent. Two writers, in one
 *   controller or in several whose caches lag, never get the same value: one is refused and chooses again, or is
 *   told who has what it asked for. Memory (a cache, a set of choices under way) only makes a good choice likely.
 * - *A write in doubt leaks nothing for ever.* When nobody knows whether a transaction was made, a participant forgets
 *   its choice: the store decides. Either the object is there with its claims, or neither is.
 * - *A restart rebuilds from the store.* A participant that has just been made knows all that one knew that ran for a
 *   year, as soon as its cache is synced. Nothing has to be handed over.
 * - *A dry run leaves no claim*, in the store or in memory, and says what the write would, as far as the cache knows.
 * - *Deletion releases in the same transaction* that removes the object; an update that gives something up does so too.
 * - *A claim whose owner is gone is found and freed*: by whoever meets it, and by the leader from time to time (see
 *   claims/claim-collector.ts). Who takes it over compares its revision, so that two never do.
 *
 * Kinds say in their strategy which participants take part in their writes. A kind without any pays nothing.
 */
import type { Kind, Resources } from '../../proto/gen/types.ts'
import type { Entry, Operation } from '../store/contract.ts'

/** Participants by the names that strategies give them; createParticipants makes them. */
export type ParticipantName = keyof ParticipantTable

export interface ParticipantTable {
  readonly 'service-addresses': Participant<'Service'>
  readonly 'node-ranges': Participant<'Node'>
  readonly 'network-allocations': Participant<'Network'>
}

export interface Participant<K extends Kind = Kind> {
  /**
   * Begins to take part in one write of one object. Must be quick and without effect: many writes change nothing, and
   * then neither prepare nor settle is called.
   */
  begin(): Participation<K>
}

/** One participant's part in one write. Not shared: what it learns in one try it may use in the next. */
export interface Participation<K extends Kind = Kind> {
  /**
   * What the object holds from this write on. Called once for each try, and each call is followed by exactly one of
   * settle, before the next. At once where nothing has to be read, so that writes of one turn stay together.
   *
   * Errors are for whoever writes (InvalidArgument for what is asked for and cannot be had, ResourceExhausted when
   * nothing is left); after one, settle is not called, and nothing may have been kept.
   */
  prepare(write: ProposedWrite<K>): Preparation<K> | Promise<Preparation<K>>
  /**
   * What became of the preparation. Throws, or rejects, to end the write with an error for whoever writes: what was
   * asked for is another's. Otherwise a refused write is tried again.
   */
  settle(outcome: TransactionOutcome): void | Promise<void>
}

export interface ProposedWrite<K extends Kind = Kind> {
  /** As it is to be stored, admitted and valid; undefined: the object goes. It may not be changed. */
  readonly next: Resources[K] | undefined
  /** The object in whose place it comes: the transaction happens only while that is what is stored. */
  readonly previous: Resources[K] | undefined
  /** Who writes: a user, or a part of the control plane. */
  readonly author: 'user' | 'control-plane'
  /** Nothing will be committed: settle is told `refused` without conflicts. */
  readonly dryRun: boolean
}

export interface Preparation<K extends Kind = Kind> {
  /** `next` completed with what it was given; the same one if nothing was. */
  readonly object: Resources[K] | undefined
  /**
   * To be committed with the object, after its own operation. They count towards what one transaction takes
   * (COMMIT_LIMIT), and none has a key that another participant writes.
   */
  readonly operations: readonly Operation[]
}

export type TransactionOutcome =
  | { readonly is: 'committed'; readonly revision: number }
  /**
   * Nothing was written. `conflicts`: those of its own operations (by their index) that met another state; empty where
   * something else stood in the way, or nothing was tried.
   */
  | { readonly is: 'refused'; readonly conflicts: readonly OperationConflict[] }
  /** No answer: it may have been written or not. The write is not tried again. */
  | { readonly is: 'unknown' }

export interface OperationConflict {
  readonly index: number
  /** What is there instead; undefined: nothing. */
  readonly current: Entry | undefined
}
