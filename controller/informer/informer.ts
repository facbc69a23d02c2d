/**
 * The watch cache over any store: a complete list, then one watch; a new list with the differences when the watch has
 * lost its place.
 */
import { isDeepStrictEqual } from 'node:util'
import { GantryError } from '../../proto/base/errors.ts'
import { customKinds, type CustomKind } from '../../proto/schema/custom/definitions.ts'
import { KindRegistry } from '../../proto/schema/kind-registry.ts'
import { resources, unknownKind } from '../../proto/schema/schema.ts'
import { backoffDelay } from '../../proto/base/backoff.ts'
import { delay, type Clock } from '../../proto/base/clock.ts'
import type { Logger } from '../../proto/base/logger.ts'
import type { Random } from '../../proto/base/random.ts'
import type { AnyResource, Kind, Resources } from '../../proto/gen/types.ts'
import { createKinds, type Kinds } from '../kinds/kinds.ts'
import type { Entry, Store, StoreEvent } from '../store/contract.ts'
import { kindPrefix, objectKey, OBJECTS_PREFIX, parseKey } from '../store/keys.ts'
import { ChangeHandlers } from './change-handlers.ts'
import { deletion, differences, revertChanges } from './changes.ts'
import type { CachedObject, Change, ExpectedWrite, Follower, Informer, Lister } from './contract.ts'
import { EntryDecoder } from './entry-decoder.ts'
import { WatchCache } from './watch-cache.ts'
import { KindCache } from './kind-cache.ts'
import { newestCommit, readAll } from './listing.ts'
import { RevisionWaiters } from './revision-waiters.ts'

const LIST_RETRY = { first: 100, max: 5000 }
const REACHED_TIMEOUT = 5000

export interface InformerOptions {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** What is special about each kind: its indexes, and whether its objects define kinds. */
  readonly kinds?: Kinds
}

interface OneKind {
  readonly cache: KindCache<Kind>
  readonly history: WatchCache<Kind>
  readonly handlers: ChangeHandlers
}

export class StoreInformer implements Informer {
  readonly kinds = new KindRegistry()
  readonly #store: Store
  readonly #clock: Clock
  readonly #random: Random
  readonly #logger: Logger
  readonly #strategies: Kinds
  readonly #kinds: Map<Kind, OneKind>
  /** What definitions define, by their names: the definitions that this cache has. */
  readonly #defined = new Map<string, CustomKind>()
  readonly #entries: EntryDecoder
  readonly #anyHandlers: ChangeHandlers
  readonly #uids = new Map<string, AnyResource>()
  readonly #batchHandlers = new Set<(revision: number) => void>()
  readonly #waiters: RevisionWaiters
  readonly #synced: Promise<void>
  #nowSynced!: () => void
  #isSynced = false
  #revision = 0
  /** Why the cache follows the store no more. */
  #over: GantryError | undefined
  #slowFollowers = 0

  constructor({ store, clock, random, logger, kinds = createKinds() }: InformerOptions) {
    this.#logger = logger
    this.#strategies = kinds
    this.#entries = new EntryDecoder(this.kinds, logger)
    this.#anyHandlers = new ChangeHandlers(logger)
    this.#kinds = new Map(resources.map(({ kind }) => [kind as Kind, this.#newKind(kind as Kind)]))
    this.#store = store
    this.#clock = clock
    this.#random = random
    this.#waiters = new RevisionWaiters(clock)
    this.#synced = new Promise((resolve) => (this.#nowSynced = resolve))
  }

  async run(signal: AbortSignal): Promise<void> {
    let failure: GantryError | undefined
    try {
      await this.#list(signal)
      while (!signal.aborted) {
        try {
          for await (const { revision, events } of this.#store.watch(OBJECTS_PREFIX, this.#revision, signal)) {
            // One by one: a batch may hold several changes of one key.
            this.#announce(
              revision,
              events.flatMap((event) =>
                this.#put(this.#changeOf(event)).flatMap((change) => [change, ...this.#define(change)]),
              ),
            )
            this.#forgetKinds()
          }
        } catch (error) {
          if (signal.aborted || !GantryError.is(error, 'Expired')) throw error
          this.#logger.warn(
            { revision: this.#revision },
            'the watch fell behind what the store has kept: listing again',
          )
          await this.#list(signal)
        }
      }
    } catch (error) {
      if (!signal.aborted) throw (failure = GantryError.from(error))
    } finally {
      this.#over = failure ?? new GantryError('Unavailable', 'the cache follows the store no more')
      for (const { history } of this.#kinds.values()) history.close(failure)
      this.#waiters.end(this.#over)
    }
  }

  synced(): Promise<void> {
    return this.#synced
  }

  get revision(): number {
    return this.#revision
  }

  waitForRevision(revision: number, timeout = REACHED_TIMEOUT): Promise<void> {
    return this.#waiters.waitFor(revision, timeout)
  }

  expectWrite<K extends Kind>(key: string, value: Uint8Array, object: Resources[K]): ExpectedWrite<K> {
    return this.#entries.written.expect(key, value, object as AnyResource) as unknown as ExpectedWrite<K>
  }

  lister<K extends Kind>(kind: K): Lister<K> {
    return this.#kind(kind).cache as unknown as Lister<K>
  }

  byUid(uid: string): AnyResource | undefined {
    return this.#uids.get(uid)
  }

  on<K extends Kind>(kind: K, handler: (change: Change<K>) => void): () => void {
    const { cache, handlers } = this.#kind(kind)
    return handlers.add(handler as unknown as (change: Change) => void, cache.cachedList())
  }

  onAny(handler: (change: Change) => void): () => void {
    return this.#anyHandlers.add(handler, this.#all())
  }

  *#all(): Generator<CachedObject, void, undefined> {
    for (const { cache } of this.#kinds.values()) yield* cache.cachedList()
  }

  onBatch(handler: (revision: number) => void): () => void {
    const registered = (revision: number): void => {
      try {
        handler(revision)
      } catch (error) {
        this.#logger.error({ err: error, revision }, 'a handler of batches failed')
      }
    }
    this.#batchHandlers.add(registered)
    return () => void this.#batchHandlers.delete(registered)
  }

  watch<K extends Kind>(
    kind: K,
    after: number,
    signal: AbortSignal,
  ): AsyncIterable<{ readonly revision: number; readonly change?: Change<K> }> {
    const { history } = this.#kind(kind)
    return history.iterate(after, this.#revision, this.#clock.monotonic(), signal) as AsyncIterable<{
      revision: number
      change?: Change<K>
    }>
  }

  follow<K extends Kind>(kind: K, after: number, follower: Follower<K>): () => void {
    if (this.#over !== undefined) throw this.#over
    return this.#kind(kind).history.follow(after, follower as unknown as Follower)
  }

  async listAt<K extends Kind>(kind: K, revision: number): Promise<readonly CachedObject<K>[]> {
    const { cache, history } = this.#kind(kind)
    const changes = history.complete(revision)
    const now = cache.cachedList() as readonly CachedObject[]
    const then =
      changes === undefined
        ? await this.#storedAt(kind, revision)
        : changes.length === 0
          ? now
          : revertChanges(now, changes)
    return then as unknown as readonly CachedObject<K>[]
  }

  async #storedAt(kind: Kind, revision: number): Promise<readonly CachedObject[]> {
    const { entries } = await readAll(this.#store, revision, kindPrefix(kind))
    return [...entries.values()].flatMap((entry) => this.#entries.cachedOf(entry) ?? [])
  }

  /** Lists everything and applies what differs; again until it succeeds, as long as the store cannot be reached. */
  async #list(signal: AbortSignal): Promise<void> {
    for (let failures = 0; ;) {
      try {
        // Of a later list most is known.
        const arrived = this.#isSynced ? undefined : (page: readonly Entry[]) => this.#entries.decodeAhead(page)
        const { entries, revision } = await readAll(this.#store, undefined, undefined, arrived)
        this.#defineAll(entries, revision)
        const newest = this.#isSynced
          ? undefined
          : await newestCommit(this.#store, entries, revision, (entry) => this.#entries.cachedOf(entry))
        const changes = differences(entries, revision, this.#entries, this.#kinds, (kind) => this.#kind(kind))
        this.#announce(
          revision,
          changes.flatMap((change) => this.#put(change)),
        )
        this.#entries.forgetAhead()
        this.#entries.written.forget(revision)
        this.#forgetKinds()
        if (newest !== undefined) this.#begin(revision, newest)
        else for (const { history } of this.#kinds.values()) history.markGap(revision)
        return
      } catch (error) {
        if (signal.aborted || !GantryError.is(error, 'Unavailable', 'Expired')) throw error
        this.#logger.warn({ err: error }, 'cannot list the store yet')
        this.#entries.forgetAhead()
        await delay(this.#clock, backoffDelay(LIST_RETRY, ++failures, this.#random), signal)
      }
    }
  }

  /** The cache is complete for the first time. */
  #begin(revision: number, newest: readonly Change[]): void {
    for (const [kind, { history }] of this.#kinds)
      history.begin(
        revision - 1,
        newest.filter(({ cached }) => cached.object.kind === kind),
      )
    this.#isSynced = true
    this.#nowSynced()
  }

  #changeOf({ type, entry }: StoreEvent): Change | undefined {
    const key = type === 'delete' ? parseKey(entry.key, this.kinds) : this.#entries.parse(entry)
    if (key === undefined) {
      if (type === 'delete') this.#entries.aside.drop(entry.key)
      return undefined
    }
    const previous = this.#kind(key.kind).cache.cached(key.namespace, key.name)
    if (type === 'delete') return previous === undefined ? undefined : deletion(previous, entry.revision)
    const cached = this.#entries.decode(key, entry)
    if (cached === undefined) return undefined
    return { type: previous === undefined ? 'added' : 'modified', cached, previous, revision: entry.revision }
  }

  /** Brings a change into the cache; gives it back as a list. */
  #put(change: Change | undefined): Change[] {
    if (change === undefined) return []
    const { object } = change.cached
    const { namespace, name, uid } = object.metadata
    const { cache } = this.#kind(object.kind)
    if (change.type === 'deleted') {
      cache.delete(namespace, name)
      this.#uids.delete(uid)
    } else {
      cache.set(change.cached)
      this.#uids.set(uid, object)
    }
    return [change]
  }

  /** The cache is at a revision: tells everybody. */
  #announce(revision: number, changes: readonly Change[]): void {
    const monotonic = this.#clock.monotonic()
    this.#revision = revision
    for (const change of changes) {
      const { history, handlers } = this.#kind(change.cached.object.kind)
      history.add(change, monotonic)
      handlers.tell(change)
      this.#anyHandlers.tell(change)
    }
    for (const { history } of this.#kinds.values()) history.progress(revision, monotonic)
    this.#waiters.advanceTo(revision)
    for (const handler of this.#batchHandlers) handler(revision)
  }

  /** Takes in all definitions of a list before the objects of their kinds, whose keys may come before theirs. */
  #defineAll(entries: ReadonlyMap<string, Entry>, revision: number): void {
    const known = new Map([...this.#defined.values()].map((kind) => [kind.id, kind]))
    this.#defined.clear()
    this.#entries.aside.clear()
    for (const [kind, { defines }] of this.#strategies.all()) {
      if (defines === undefined) continue
      const prefix = kindPrefix(kind)
      for (const entry of entries.values()) {
        if (!entry.key.startsWith(prefix)) continue
        const name = entry.key.slice(entry.key.lastIndexOf('/') + 1)
        const definition = this.#entries.decode({ kind, namespace: '', name }, entry)?.object
        const defined = definition === undefined ? undefined : defines(definition, this.kinds)
        if (defined !== undefined) this.#defined.set(name, defined)
      }
    }
    for (const kind of this.#defined.values()) this.kinds.set(kind)
    for (const kind of this.#defined.values()) {
      const before = known.get(kind.id)
      if (before !== undefined) this.#redefine(before, kind, revision)
    }
  }

  /**
   * A definition has changed: its kind appears with what was put aside, is read anew, or vanishes with all its objects.
   */
  #define({ type, cached, revision }: Change): Change[] {
    const definition = cached.object
    const { defines } = this.#strategies.of(definition.kind)
    if (defines === undefined) return []
    const { name } = definition.metadata
    const [before, after] = [this.#defined.get(name), type === 'deleted' ? undefined : defines(definition, this.kinds)]
    const gone = before !== undefined && before.id !== after?.id ? this.#vanish(name, before, revision) : []
    if (after === undefined) return gone
    this.#defined.set(name, after)
    this.kinds.set(after)
    if (before?.id === after.id) {
      this.#redefine(before, after, revision)
      return []
    }
    this.#kind(after.id)
    return [
      ...gone,
      ...this.#entries.aside
        .take(kindPrefix(after.id))
        .flatMap((entry) => this.#put(this.#changeOf({ type: 'put', entry }))),
    ]
  }

  /**
   * Where the objects of a kind read otherwise from a revision on, though nobody wrote them, who watches them has to
   * list again, as in Kubernetes.
   */
  #redefine(before: CustomKind, after: CustomKind, revision: number): void {
    if (isDeepStrictEqual({ ...before, terminating: after.terminating }, after)) return
    this.#readAgain(after.id)
    // What the commit itself changes stays known, for who lists just then and goes on from there.
    this.#kind(after.id).history.restart(
      revision - 1,
      new GantryError('Expired', `the definition of ${after.id} has changed: list again`),
    )
  }

  #vanish(name: string, { id }: CustomKind, revision: number): Change[] {
    const changes = (this.#kinds.get(id)?.cache.cachedList() ?? []).flatMap((cached) => {
      const { namespace, name: own } = cached.object.metadata
      this.#entries.aside.keep({
        key: objectKey(id, namespace, own),
        value: cached.bytes,
        revision: cached.revision,
        createRevision: 0,
      })
      return this.#put(deletion(cached, revision))
    })
    this.#defined.delete(name)
    return changes
  }

  /** By a new schema an object may have other defaults, and lose fields, though nobody wrote it. */
  #readAgain(kind: Kind): void {
    const cache = this.#kinds.get(kind)?.cache
    for (const {
      object: {
        metadata: { namespace, name },
      },
      bytes,
      revision,
    } of cache?.cachedList() ?? []) {
      const again = this.#entries.decode(
        { kind, namespace, name },
        { key: objectKey(kind, namespace, name), value: bytes, revision, createRevision: 0 },
      )
      if (again !== undefined) this.#put({ type: 'modified', cached: again, previous: undefined, revision })
    }
  }

  /** Kinds without definition, after their last changes were told: who follows them hears that they are gone. */
  #forgetKinds(): void {
    const defined = new Set<string>([...this.#defined.values()].map(({ id }) => id))
    for (const { id } of this.kinds.custom()) if (!defined.has(id)) this.kinds.delete(id)
    for (const [kind, { history }] of this.#kinds) {
      if (!kind.includes('.') || defined.has(kind)) continue
      history.close(new GantryError('Expired', `the kind ${kind} is not defined any more`))
      this.#kinds.delete(kind)
    }
  }

  #newKind(kind: Kind): OneKind {
    const { indexes } = this.#strategies.of(kind)
    return {
      cache: new KindCache(indexes),
      history: new WatchCache(() => this.#fellBehind(kind)),
      handlers: new ChangeHandlers(this.#logger),
    }
  }

  #fellBehind(kind: string): void {
    this.#logger.warn(
      { kind, slowSinceStart: ++this.#slowFollowers },
      'a watcher reads too slowly and has to list again',
    )
  }

  #kind(kind: Kind): OneKind {
    let one = this.#kinds.get(kind)
    if (one === undefined) {
      if (customKinds.get(kind) === undefined) throw unknownKind(kind)
      // Known to this process a moment before its definition is in this cache.
      this.#kinds.set(kind, (one = this.#newKind(kind)))
      one.history.begin(this.#revision, []) // what is put aside is older
    }
    return one
  }
}
