/**
 * The watch cache over any store: a complete list, then one watch; a new list with the differences when the watch has
 * lost its place.
 */
import { isDeepStrictEqual } from 'node:util'
import { GantryError } from '../../proto/base/errors.ts'
import { customKinds, type CustomKind } from '../../proto/schema/custom/definitions.ts'
import { KindRegistry } from '../../proto/schema/kind-registry.ts'
import { resources, unknownKind } from '../../proto/schema/schema.ts'
import { decodeResource } from '../../proto/codec/wire.ts'
import { backoffDelay } from '../../proto/base/backoff.ts'
import { delay, type Clock } from '../../proto/base/clock.ts'
import type { Logger } from '../../proto/base/logger.ts'
import type { Random } from '../../proto/base/random.ts'
import type { AnyResource, Kind } from '../../proto/gen/types.ts'
import { createKinds, type Kinds } from '../kinds/kinds.ts'
import type { Entry, Store, StoreEvent } from '../store/contract.ts'
import { kindPrefix, objectKey, OBJECTS_PREFIX, parseKey, type ObjectKey } from '../store/keys.ts'
import { UnknownKindEntries } from './unknown-kind-entries.ts'
import { deletion, revertChanges } from './changes.ts'
import type { CachedObject, Change, Follower, Informer, Lister } from './contract.ts'
import { WatchCache } from './watch-cache.ts'
import { KindCache } from './kind-cache.ts'
import { newestCommit, readAll } from './listing.ts'
import { RevisionWaiters } from './revision-waiters.ts'
import { WriteThroughCache } from './write-through-cache.ts'

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
  readonly handlers: Set<(change: Change) => void>
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
  readonly #aside = new UnknownKindEntries()
  readonly #written = new WriteThroughCache()
  readonly #anyHandlers = new Set<(change: Change) => void>()
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
    this.#strategies = kinds
    this.#kinds = new Map(resources.map(({ kind }) => [kind as Kind, this.#newKind(kind as Kind)]))
    this.#store = store
    this.#clock = clock
    this.#random = random
    this.#logger = logger
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

  recordWrite<K extends Kind>(kind: K, entry: Pick<Entry, 'key' | 'value' | 'revision'>): CachedObject<K> {
    const { key, value: bytes, revision } = entry
    // Of a custom kind another definition, or none, may hold by the time that the watch tells it.
    const place = kind.includes('.') ? undefined : parseKey(key, this.kinds)
    const cached = place && this.#kind(kind).cache.cached(place.namespace, place.name)
    if (cached?.revision === revision) return cached as unknown as CachedObject<K>
    const decoded: CachedObject<K> = { object: decodeResource(kind, bytes, String(revision)), bytes, revision }
    if (place !== undefined && revision > this.#revision) this.#written.keep(key, decoded as unknown as CachedObject)
    return decoded
  }

  lister<K extends Kind>(kind: K): Lister<K> {
    return this.#kind(kind).cache as unknown as Lister<K>
  }

  byUid(uid: string): AnyResource | undefined {
    return this.#uids.get(uid)
  }

  on<K extends Kind>(kind: K, handler: (change: Change<K>) => void): () => void {
    const { cache, handlers } = this.#kind(kind)
    const general = handler as unknown as (change: Change) => void
    for (const cached of cache.cachedList())
      this.#tell(general, { type: 'added', cached, previous: undefined, revision: cached.revision })
    // A wrapper of its own, so that one function may be registered twice.
    const registered = (change: Change): void => this.#tell(general, change)
    handlers.add(registered)
    return () => void handlers.delete(registered)
  }

  onAny(handler: (change: Change) => void): () => void {
    for (const { cache } of this.#kinds.values())
      for (const cached of cache.cachedList())
        this.#tell(handler, { type: 'added', cached, previous: undefined, revision: cached.revision })
    const registered = (change: Change): void => this.#tell(handler, change)
    this.#anyHandlers.add(registered)
    return () => void this.#anyHandlers.delete(registered)
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
    return [...entries.values()].flatMap((entry) => this.#cachedOf(entry) ?? [])
  }

  /** Lists everything and applies what differs; again until it succeeds, as long as the store cannot be reached. */
  async #list(signal: AbortSignal): Promise<void> {
    for (let failures = 0; ;) {
      try {
        const { entries, revision } = await readAll(this.#store)
        this.#defineAll(entries, revision)
        const newest = this.#isSynced
          ? undefined
          : await newestCommit(this.#store, entries, revision, (entry) => this.#cachedOf(entry))
        const changes = this.#differences(entries, revision)
        this.#announce(
          revision,
          changes.flatMap((change) => this.#put(change)),
        )
        this.#written.forget(revision)
        this.#forgetKinds()
        if (newest !== undefined) this.#begin(revision, newest)
        else for (const { history } of this.#kinds.values()) history.markGap(revision)
        return
      } catch (error) {
        if (signal.aborted || !GantryError.is(error, 'Unavailable', 'Expired')) throw error
        this.#logger.warn({ err: error }, 'cannot list the store yet')
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

  /** From what the cache has to what the store has, in order of revision. */
  #differences(entries: ReadonlyMap<string, Entry>, revision: number): Change[] {
    const changes: Change[] = []
    const listed = new Map<Kind, Set<string>>()
    for (const entry of entries.values()) {
      const key = this.#parse(entry)
      if (key === undefined) continue
      let names = listed.get(key.kind)
      if (names === undefined) listed.set(key.kind, (names = new Set()))
      names.add(`${key.namespace}/${key.name}`)
      const previous = this.#kind(key.kind).cache.cached(key.namespace, key.name)
      if (previous?.revision === entry.revision) continue
      const cached = this.#decode(key, entry)
      if (cached === undefined) continue
      if (previous !== undefined && previous.object.metadata.uid !== cached.object.metadata.uid)
        changes.push(deletion(previous, entry.revision))
      const before = previous?.object.metadata.uid === cached.object.metadata.uid ? previous : undefined
      changes.push({
        type: before === undefined ? 'added' : 'modified',
        cached,
        previous: before,
        revision: entry.revision,
      })
    }
    changes.sort((one, other) => one.revision - other.revision)
    for (const [kind, { cache }] of this.#kinds) {
      for (const cached of cache.cachedList()) {
        const { namespace, name } = cached.object.metadata
        if (listed.get(kind)?.has(`${namespace}/${name}`) !== true) changes.push(deletion(cached, revision))
      }
    }
    return changes
  }

  #changeOf({ type, entry }: StoreEvent): Change | undefined {
    const key = type === 'delete' ? parseKey(entry.key, this.kinds) : this.#parse(entry)
    if (key === undefined) {
      if (type === 'delete') this.#aside.drop(entry.key)
      return undefined
    }
    const previous = this.#kind(key.kind).cache.cached(key.namespace, key.name)
    if (type === 'delete') return previous === undefined ? undefined : deletion(previous, entry.revision)
    const cached = this.#decode(key, entry)
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
      for (const handler of handlers) handler(change)
      for (const handler of this.#anyHandlers) handler(change)
    }
    for (const { history } of this.#kinds.values()) history.progress(revision, monotonic)
    this.#waiters.advanceTo(revision)
    for (const handler of this.#batchHandlers) handler(revision)
  }

  #tell(handler: (change: Change) => void, change: Change): void {
    try {
      handler(change)
    } catch (error) {
      const {
        kind,
        metadata: { namespace, name },
      } = change.cached.object
      this.#logger.error({ err: error, kind, namespace, name }, 'a handler of changes failed')
    }
  }

  /** Undefined for an entry of a kind that is not defined: it is put aside. */
  #parse(entry: Entry): ObjectKey | undefined {
    const parsed = parseKey(entry.key, this.kinds)
    if (parsed === undefined && !this.#aside.keep(entry))
      this.#logger.error({ key: entry.key }, 'an entry of the store is of no known kind')
    return parsed
  }

  /** Takes in all definitions of a list before the objects of their kinds, whose keys may come before theirs. */
  #defineAll(entries: ReadonlyMap<string, Entry>, revision: number): void {
    const known = new Map([...this.#defined.values()].map((kind) => [kind.id, kind]))
    this.#defined.clear()
    this.#aside.clear()
    for (const [kind, { defines }] of this.#strategies.all()) {
      if (defines === undefined) continue
      const prefix = kindPrefix(kind)
      for (const entry of entries.values()) {
        if (!entry.key.startsWith(prefix)) continue
        const name = entry.key.slice(entry.key.lastIndexOf('/') + 1)
        const definition = this.#decode({ kind, namespace: '', name }, entry)?.object
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
      ...this.#aside.take(kindPrefix(after.id)).flatMap((entry) => this.#put(this.#changeOf({ type: 'put', entry }))),
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
      this.#aside.keep({
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
      const again = this.#decode(
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
    return { cache: new KindCache(indexes), history: new WatchCache(() => this.#fellBehind(kind)), handlers: new Set() }
  }

  #cachedOf(entry: Entry): CachedObject | undefined {
    const key = this.#parse(entry)
    return key === undefined ? undefined : this.#decode(key, entry)
  }

  #fellBehind(kind: string): void {
    this.#logger.warn(
      { kind, slowSinceStart: ++this.#slowFollowers },
      'a watcher reads too slowly and has to list again',
    )
  }

  /**
   * Undefined, and reported, for bytes that are no such object: one bad entry must not stop the cluster. What the cache
   * has of it stays.
   */
  #decode(key: ObjectKey, entry: Entry): CachedObject | undefined {
    try {
      const written = this.#written.take(entry)
      if (written !== undefined) return written
      const object = decodeResource(key.kind, entry.value, String(entry.revision))
      const { namespace, name } = object.metadata
      if (name !== key.name || namespace !== key.namespace)
        throw new GantryError('Internal', `the bytes are of ${namespace}/${name}`)
      return { object, bytes: entry.value, revision: entry.revision }
    } catch (error) {
      this.#logger.error({ err: error, key: entry.key }, 'an entry of the store cannot be decoded and is left out')
      return undefined
    }
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
