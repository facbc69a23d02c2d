/**
 * The watch cache: a decoded copy of every object, fed by one watch of the store, from which all reads and watches are
 * served. Objects are shared, also with who wrote them, and must not be changed; who wants to change one makes a copy
 * (proto/base/clone.ts).
 */
import type { GantryError } from '../../proto/base/errors.ts'
import type { AnyResource, Kind, Resources } from '../../proto/gen/types.ts'
import type { KindRegistry } from '../../proto/schema/kind-registry.ts'

export interface CachedObject<K extends Kind = Kind> {
  /** With resourceVersion. Frozen by convention. */
  readonly object: Resources[K]
  /** As stored, to be sent on without encoding again (withResourceVersion in proto/codec/wire.ts). */
  readonly bytes: Uint8Array
  readonly revision: number
}

export interface Change<K extends Kind = Kind> {
  readonly type: 'added' | 'modified' | 'deleted'
  /** The state after; for a deletion the last state, with the revision of the deletion. */
  readonly cached: CachedObject<K>
  /** The state before, if there was one. */
  readonly previous: CachedObject<K> | undefined
  readonly revision: number
}

/** Reads one kind from the cache. Never waits, never asks the store. */
export interface Lister<K extends Kind> {
  get(namespace: string, name: string): Resources[K] | undefined
  /** In key order; without a namespace all of them. */
  list(namespace?: string): Resources[K][]
  /** Objects by a key of a named index, in key order. */
  byIndex(index: IndexName, key: string): Resources[K][]
  cachedByIndex(index: IndexName, key: string): CachedObject<K>[]
  /** The index that answers an exact value of a field; undefined if the kind has none. */
  indexFor(field: string): IndexName | undefined
  cached(namespace: string, name: string): CachedObject<K> | undefined
  cachedList(namespace?: string): CachedObject<K>[]
}

/** Indexes: `owner`, of every kind, by the uid of each owner reference; the others as the strategies of kinds say. */
export type IndexName = 'owner' | 'node'

/** Who is called with changes; it must be quick and must not throw. */
export interface Follower<K extends Kind = Kind> {
  change(change: Change<K>): void
  /** Nothing more comes: the cache follows the store no more; with the error, if there was one. */
  end(error: GantryError | undefined): void
}

/** What becomes of a write: one of the two is called, once. */
export interface ExpectedWrite<K extends Kind = Kind> {
  committed(revision: number): CachedObject<K>
  /** It is not in the store, as far as is known: if it is, the watch reads it as what others write. */
  abandoned(): void
}

export interface Informer {
  /** Every kind that there is, those among them that definitions define as far as this cache knows them. */
  readonly kinds: KindRegistry
  /**
   * Begins with a complete list, then follows. Resolves when the signal is aborted; rejects when the store can no
   * longer be followed.
   */
  run(signal: AbortSignal): Promise<void>
  /** Resolves once the first complete list is in. */
  synced(): Promise<void>
  /** All changes up to this revision are in the cache. */
  readonly revision: number
  /**
   * Resolves when the cache has reached a revision; Unavailable after `timeout` milliseconds (default 5000), or when
   * `run` has ended.
   */
  waitForRevision(revision: number, timeout?: number): Promise<void>
  /**
   * This controller is about to write these bytes; `object` is what reading them gives, but for its resourceVersion,
   * and is not changed any more. It is not read out of them again: the first of the writer and the watch to hear that
   * they are in the store makes the object of that revision, and both have that one.
   */
  expectWrite<K extends Kind>(key: string, value: Uint8Array, object: Resources[K]): ExpectedWrite<K>
  lister<K extends Kind>(kind: K): Lister<K>
  /** The object with this uid, of whatever kind. */
  byUid(uid: string): AnyResource | undefined
  /**
   * Calls for every change from now on, in order, after the cache shows it; also, first, at once with `added` for
   * everything present. A handler must be quick and must not throw: it puts a key into a queue. Returns the call that
   * ends it.
   */
  on<K extends Kind>(kind: K, handler: (change: Change<K>) => void): () => void
  /** As `on`, for every kind, also those that are defined later. */
  onAny(handler: (change: Change) => void): () => void
  /**
   * Calls after each batch of changes with the revision reached: for handlers that gather and then act once. They must
   * not throw either.
   */
  onBatch(handler: (revision: number) => void): () => void
  /**
   * Changes of a kind after a revision, out of the recent history kept in memory (at least 1,000 changes, or 16 MiB of
   * them); Expired when it reaches back further, or when more than 10,000 changes wait to be taken. An entry without
   * change is progress up to its revision. Changes of one commit share a revision: who may have been told only some of
   * them begins again after the revision before, which is kept for as long as the cache has reached no later one.
   */
  watch<K extends Kind>(
    kind: K,
    after: number,
    signal: AbortSignal,
  ): AsyncIterable<{ readonly revision: number; readonly change?: Change<K> }>
  /**
   * As watch, for thousands who wait: calls for each change after a revision, those of the recent history before it
   * returns, then each as it comes, without progress and without end but that of the cache. Whoever follows keeps what
   * it has not dealt with, and says when that is too much. Expired, Unavailable. Returns the call that ends it.
   */
  follow<K extends Kind>(kind: K, after: number, follower: Follower<K>): () => void
  /**
   * The objects of a kind as they were at a revision that the cache has reached, in key order: made out of the recent
   * history, or, where that reaches back less far, read from the store. Expired for a revision that the store does not
   * keep any more either.
   */
  listAt<K extends Kind>(kind: K, revision: number): Promise<readonly CachedObject<K>[]>
}
