/** The API and the watch cache over one map, for tests of reconcilers. The cache can be made to lag behind. */
import { GantryError } from '../../../proto/base/errors.ts'
import { apiVersionOf, resourceOf } from '../../../proto/schema/schema.ts'
import { sameJson } from '../../../proto/base/json.ts'
import { formatTime } from '../../../proto/base/time.ts'
import { FakeClock } from '../../../proto/base/clock.ts'
import { silentLogger } from '../../../proto/base/logger.ts'
import { seededRandom } from '../../../proto/base/random.ts'
import type { AnyResource, Deployment, Kind, Pod, Resources } from '../../../proto/gen/types.ts'
import { KindRegistry } from '../../../proto/schema/kind-registry.ts'
import type { DeleteOptions, Draft, EventSink, ObjectApi } from '../../../controller/api/contract.ts'
import type { CachedObject, Change, IndexName, Informer, Lister } from '../../../controller/informer/contract.ts'
import { runReconcilers, type Reconciler, type ReconcileParts } from '../../../controller/runner/runner.ts'

type Handler = (change: Change) => void
type Call = { verb: string; object: string }

const keyOf = (kind: string, namespace: string, name: string): string => `${kind}/${namespace}/${name}`
const keyOfObject = ({ kind, metadata }: AnyResource): string => keyOf(kind, metadata.namespace, metadata.name)

export class FakeCluster {
  readonly clock = new FakeClock()
  /** "Normal SuccessfulCreate Created pod: …" */
  readonly events: string[] = []
  readonly calls: Call[] = []
  /** Throws instead of the call, or lets it pass. */
  refuse: (verb: string, object: { kind: Kind; metadata: { name?: string } }) => GantryError | undefined = () =>
    undefined
  readonly #stored = new Map<string, AnyResource>()
  readonly #cache = new Map<string, AnyResource>()
  readonly #handlers: { kind: Kind | 'any'; handler: Handler }[] = []
  readonly #waiting: { revision: number; resolve: () => void }[] = []
  #held: (() => void)[] | undefined
  #revision = 0
  #cacheRevision = 0

  /** Everything in the store, not the cache. */
  list<K extends Kind>(kind: K): Resources[K][] {
    return [...this.#stored.values()]
      .filter((object) => object.kind === kind)
      .map((object) => structuredClone(object)) as Resources[K][]
  }

  get<K extends Kind>(kind: K, name: string, namespace = 'default'): Resources[K] | undefined {
    return structuredClone(this.#stored.get(keyOf(kind, namespace, name))) as Resources[K] | undefined
  }

  /** From now on the cache shows nothing new. */
  holdCache(): void {
    this.#held ??= []
  }

  /** Shows held changes one by one, letting everything run after each that can. */
  async releaseCache(): Promise<void> {
    for (;;) {
      const show = this.#held?.shift()
      if (show === undefined) break
      show()
      await this.settle()
    }
    this.#held = undefined
  }

  /** Stores an object as it is given, as a user or an agent would. */
  put(object: AnyResource): AnyResource {
    const { metadata } = object
    metadata.uid ||= `uid-${this.#revision + 1}`
    metadata.creationTimestamp ??= formatTime(this.clock.now())
    return this.#store(structuredClone(object))
  }

  change<K extends Kind>(kind: K, name: string, change: (object: Resources[K]) => void, namespace = 'default'): void {
    const object = this.get(kind, name, namespace)!
    change(object)
    this.#store(object as AnyResource)
  }

  remove(kind: Kind, name: string, namespace = 'default'): void {
    this.#drop(this.#stored.get(keyOf(kind, namespace, name))!)
  }

  /** A pod becomes what the agent would report once it runs and is ready. */
  makeReady(name: string): void {
    this.change('Pod', name, (pod) => {
      pod.spec.nodeName ??= 'n1'
      pod.status.phase = 'Running'
      pod.status.conditions = [{ type: 'Ready', status: 'True', lastTransitionTime: formatTime(this.clock.now()) }]
    })
  }

  readonly api: ObjectApi = {
    get: async (kind, namespace, name) => {
      await this.#begin('get', { kind, metadata: { name } })
      return structuredClone(this.#need(kind, namespace, name))
    },
    create: async (draft) => {
      await this.#begin('create', draft as Draft<Kind>)
      return structuredClone(this.#create(draft as Draft<Kind>)) as never
    },
    mutate: async (kind, namespace, name, subresource, change) => {
      await this.#begin('mutate', { kind, metadata: { name } })
      const fresh = structuredClone(this.#need(kind, namespace, name))
      if (change(fresh) === false) return fresh
      return structuredClone(this.#write(fresh as AnyResource, subresource)) as never
    },
    delete: async (kind, namespace, name, options) => {
      await this.#begin('delete', { kind, metadata: { name } })
      return this.#delete(this.#need(kind, namespace, name) as AnyResource, options) as never
    },
    deletion: () => {
      throw new TypeError('not used by reconcilers')
    },
    update: () => {
      throw new TypeError('not used by reconcilers')
    },
    updateStatus: () => {
      throw new TypeError('not used by reconcilers')
    },
    patch: () => {
      throw new TypeError('not used by reconcilers')
    },
    apply: () => {
      throw new TypeError('not used by reconcilers')
    },
    bind: () => {
      throw new TypeError('not used by reconcilers')
    },
    release: () => {
      throw new TypeError('not used by reconcilers')
    },
    admitConnection: () => {
      throw new TypeError('not used by reconcilers')
    },
  }

  readonly #sink: EventSink = {
    record: ({ type, reason, message }) => void this.events.push(`${type} ${reason} ${message}`),
  }

  readonly informer: Informer = Object.defineProperty(
    {
      run: async () => undefined,
      synced: async () => undefined,
      revision: 0,
      kinds: new KindRegistry(),
      waitForRevision: (revision: number) => this.#reached(revision),
      recordWrite: () => {
        throw new TypeError('not used by reconcilers')
      },
      lister: <K extends Kind>(kind: K) => this.#lister(kind),
      byUid: (uid: string) => [...this.#cache.values()].find(({ metadata }) => metadata.uid === uid),
      on: <K extends Kind>(kind: K, handler: (change: Change<K>) => void) => this.#on(kind, handler as Handler),
      onAny: (handler: Handler) => this.#on('any', handler),
      onBatch: () => () => undefined,
      watch: () => {
        throw new TypeError('not used by reconcilers')
      },
      follow: () => {
        throw new TypeError('not used by reconcilers')
      },
      listAt: () => {
        throw new TypeError('not used by reconcilers')
      },
    },
    'revision',
    { get: () => this.#cacheRevision },
  )

  readonly parts: ReconcileParts = {
    api: this.api,
    informer: this.informer,
    events: this.#sink,
    clock: this.clock,
    random: seededRandom(1),
    logger: silentLogger,
    controller: 'c1',
    replicas: { present: () => true, kubeAddresses: () => new Map(), on: () => () => undefined },
    term: undefined,
    authority: 'the authority',
    caughtUp: () => this.#reached(this.#revision),
    clusterRanges: ['10.244.0.0/16', '10.96.0.0/16'],
  }

  /** Runs reconcilers while `work` goes on, and ends them. */
  async running(reconcilers: readonly Reconciler[], work: () => Promise<void>): Promise<void> {
    const controller = new AbortController()
    const ended = runReconcilers(reconcilers, this.parts, controller.signal)
    try {
      await work()
    } finally {
      controller.abort()
      await ended
    }
  }

  /** Lets everything run that can run without time passing, until nothing is written any more. */
  async settle(): Promise<void> {
    for (let quiet = 0, seen = -1; quiet < 5;) {
      await this.clock.advance(0)
      await new Promise((resolve) => setImmediate(resolve))
      quiet = this.calls.length === seen ? quiet + 1 : 0
      seen = this.calls.length
    }
  }

  async #begin(
    verb: string,
    object: { kind: Kind; metadata: { name?: string; generateName?: string } },
  ): Promise<void> {
    this.calls.push({ verb, object: `${object.kind} ${object.metadata.name ?? object.metadata.generateName}` })
    await Promise.resolve()
    const refusal = this.refuse(verb, object)
    if (refusal !== undefined) throw refusal
  }

  #need<K extends Kind>(kind: K, namespace: string, name: string): Resources[K] {
    const object = this.#stored.get(keyOf(kind, namespace, name))
    if (object === undefined) throw new GantryError('NotFound', `no ${kind} ${namespace}/${name}`)
    return object as Resources[K]
  }

  #create(draft: Draft<Kind>): AnyResource {
    const { name = `${draft.metadata.generateName}${this.#revision + 1}`, namespace = '' } = draft.metadata
    if (this.#stored.has(keyOf(draft.kind, namespace, name)))
      throw new GantryError('AlreadyExists', `${draft.kind} ${name} exists`)
    const metadata = {
      ...draft.metadata,
      name,
      namespace,
      uid: `uid-${this.#revision + 1}`,
      resourceVersion: '',
      generation: 1,
      creationTimestamp: formatTime(this.clock.now()),
    }
    const status = draft.kind === 'Pod' ? { phase: 'Pending' } : {}
    return this.#store({
      status,
      ...structuredClone(draft),
      apiVersion: apiVersionOf(resourceOf(draft.kind)),
      metadata,
    } as unknown as AnyResource)
  }

  /**
   * Keeps the other half as stored; raises generation with the spec; lets go what is being deleted and held by nothing.
   */
  #write(next: AnyResource, subresource: '' | 'status'): AnyResource {
    const stored = this.#stored.get(keyOfObject(next)) as AnyResource & { status?: unknown; spec?: unknown }
    const object = (
      subresource === 'status'
        ? { ...stored, status: (next as { status?: unknown }).status }
        : { ...next, status: stored.status }
    ) as AnyResource & { spec?: unknown }
    if (!sameJson(object.spec, stored.spec)) object.metadata.generation = (stored.metadata.generation ?? 0) + 1
    if (sameJson(object, stored)) return stored
    if (object.metadata.deletionTimestamp !== undefined && !isHeld(object)) return this.#drop(object)
    return this.#store(object)
  }

  #delete(stored: AnyResource, options: DeleteOptions): AnyResource {
    const { uid, resourceVersion, propagation, gracePeriodSeconds } = options
    if (uid !== undefined && uid !== stored.metadata.uid) throw new GantryError('Conflict', 'another uid')
    if (resourceVersion !== undefined && resourceVersion !== stored.metadata.resourceVersion)
      throw new GantryError('Conflict', 'another resourceVersion')
    const object = structuredClone(stored)
    const finalizers = (object.metadata.finalizers ?? []).filter(
      (name) => propagation === undefined || !['orphan', 'foregroundDeletion'].includes(name),
    )
    if (propagation === 'FOREGROUND') finalizers.push('foregroundDeletion')
    if (propagation === 'ORPHAN') finalizers.push('orphan')
    object.metadata.finalizers = finalizers
    const bound =
      object.kind === 'Pod' &&
      object.spec.nodeName !== undefined &&
      object.status.phase !== 'Succeeded' &&
      object.status.phase !== 'Failed'
    object.metadata.deletionTimestamp ??= formatTime(this.clock.now())
    object.metadata.deletionGracePeriodSeconds = bound ? (gracePeriodSeconds ?? 30) : 0
    return isHeld(object) ? this.#store(object) : this.#drop(object)
  }

  #store(object: AnyResource): AnyResource {
    object.metadata.resourceVersion = String(++this.#revision)
    this.#stored.set(keyOfObject(object), object)
    this.#tell(object, this.#revision, false)
    return object
  }

  #drop(object: AnyResource): AnyResource {
    const last = structuredClone(object)
    last.metadata.resourceVersion = String(++this.#revision)
    this.#stored.delete(keyOfObject(object))
    this.#tell(last, this.#revision, true)
    return last
  }

  #tell(object: AnyResource, revision: number, deleted: boolean): void {
    const show = (): void => {
      const key = keyOfObject(object)
      const previous = this.#cache.get(key)
      if (deleted) this.#cache.delete(key)
      else this.#cache.set(key, structuredClone(object))
      this.#cacheRevision = revision
      const type = deleted ? 'deleted' : previous === undefined ? 'added' : 'modified'
      const change = { type, cached: cached(object), previous: previous && cached(previous), revision } as Change
      for (const { kind, handler } of this.#handlers) if (kind === 'any' || kind === object.kind) handler(change)
      for (const waiting of this.#waiting.splice(0)) {
        if (waiting.revision <= revision) waiting.resolve()
        else this.#waiting.push(waiting)
      }
    }
    if (this.#held === undefined) show()
    else this.#held.push(show)
  }

  #reached(revision: number): Promise<void> {
    if (this.#cacheRevision >= revision) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push({ revision, resolve }))
  }

  #on(kind: Kind | 'any', handler: Handler): () => void {
    const entry = { kind, handler }
    this.#handlers.push(entry)
    for (const object of this.#cache.values())
      if (kind === 'any' || object.kind === kind)
        handler({ type: 'added', cached: cached(object), previous: undefined, revision: this.#cacheRevision } as Change)
    return () => void this.#handlers.splice(this.#handlers.indexOf(entry), 1)
  }

  #lister<K extends Kind>(kind: K): Lister<K> {
    const list = (namespace?: string): Resources[K][] =>
      [...this.#cache.values()].filter(
        (object) => object.kind === kind && (namespace === undefined || object.metadata.namespace === namespace),
      ) as Resources[K][]
    const get = (namespace: string, name: string): Resources[K] | undefined =>
      this.#cache.get(keyOf(kind, namespace, name)) as Resources[K] | undefined
    return {
      get,
      list,
      indexFor: (field) => (kind === 'Pod' && field === 'spec.nodeName' ? 'node' : undefined),
      byIndex: (index: IndexName, key: string) =>
        list().filter((object) =>
          index === 'owner'
            ? object.metadata.ownerReferences?.some(({ uid }) => uid === key)
            : object.kind === 'Pod' && (object.spec.nodeName ?? '') === key,
        ),
      cached: (namespace, name) =>
        get(namespace, name) && (cached(get(namespace, name)!) as unknown as CachedObject<K>),
      cachedList: (namespace) =>
        list(namespace).map((object) => cached(object as AnyResource) as unknown as CachedObject<K>),
    }
  }
}

function cached(object: AnyResource): CachedObject {
  return { object: object as never, bytes: new Uint8Array(), revision: Number(object.metadata.resourceVersion) }
}

/** By a finalizer, or by a process on a node. */
function isHeld(object: AnyResource): boolean {
  if ((object.metadata.finalizers ?? []).length > 0) return true
  if (object.kind === 'Namespace') return (object.spec.finalizers ?? []).length > 0
  return object.kind === 'Pod' && (object.metadata.deletionGracePeriodSeconds ?? 0) > 0
}

const LABELS = { app: 'web' }

function template(image: string): Deployment['spec']['template'] {
  return {
    metadata: { name: '', namespace: '', uid: '', resourceVersion: '', labels: { ...LABELS } },
    spec: { containers: [{ name: 'c', image }] },
  } as unknown as Deployment['spec']['template']
}

export function metadata(name: string, more: Partial<AnyResource['metadata']> = {}): AnyResource['metadata'] {
  return { name, namespace: 'default', uid: '', resourceVersion: '', generation: 1, ...more }
}

export function deployment(name: string, replicas: number, spec: Partial<Deployment['spec']> = {}): Deployment {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: metadata(name),
    status: {},
    spec: {
      replicas,
      selector: { matchLabels: { ...LABELS } },
      template: template('one'),
      strategy: { type: 'RollingUpdate' },
      revisionHistoryLimit: 10,
      progressDeadlineSeconds: 600,
      ...spec,
    },
  }
}

export function replicaSet(
  name: string,
  replicas: number,
  more: Partial<Resources['ReplicaSet']['spec']> = {},
): Resources['ReplicaSet'] {
  return {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: metadata(name),
    spec: { replicas, selector: { matchLabels: { ...LABELS } }, template: template('one'), ...more },
    status: {},
  }
}

export function pod(
  name: string,
  more: { metadata?: Partial<Pod['metadata']>; spec?: Partial<Pod['spec']>; status?: Pod['status'] } = {},
): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: metadata(name, { labels: { ...LABELS }, ...more.metadata }),
    spec: { containers: [{ name: 'c', image: 'one' }], ...more.spec } as unknown as Pod['spec'],
    status: { phase: 'Pending', ...more.status },
  }
}

export { template }
