/**
 * A controller in memory for the tests of the command line: the real wire, codec, defaults, validation, selectors,
 * patches and merge over a map.
 */
import { decodeJson, encodeJson } from '../../proto/codec/codec.ts'
import { applyDefaults } from '../../proto/codec/defaults.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { applyConfiguration, updateManagedFields } from '../../proto/merge/ownership.ts'
import { applyJsonPatch, applyMergePatch, applyStrategicPatch } from '../../proto/merge/patch.ts'
import { problem, problemError } from '../../proto/base/problem.ts'
import { Server, type Handlers } from '../../proto/rpc/rpc.ts'
import { apiVersionOf, resourceOf } from '../../proto/schema/schema.ts'
import { parseFieldSelector, parseLabelSelector } from '../../proto/objects/selector.ts'
import { validate, validateUpdate } from '../../proto/validation/validation.ts'
import { decodeResource, encodeResource, withResourceVersion, type Input } from '../../proto/codec/wire.ts'
import { Channel } from '../../proto/base/channel.ts'
import type {
  AnyResource,
  AttachStart,
  CopyInput,
  CopyOutput,
  CopyStart,
  Event,
  ExecInput,
  ExecOutput,
  ExecStart,
  JsonObject,
  JsonValue,
  Kind,
  LogsRequest,
  NetCheckRequest,
  NetCheckResult,
  NodeUsage,
  ObjectBytes,
  ObjectRef,
  PortForwardInput,
  PortForwardOutput,
  PortForwardStart,
  Services,
  WhyResponse,
} from '../../proto/gen/types.ts'

type Change = Input<{ type: 'BOOKMARK' | 'ADDED' | 'MODIFIED' | 'DELETED'; object: ObjectBytes }>

interface Watcher {
  readonly matches: (object: AnyResource) => boolean
  readonly channel: Channel<Change>
}

export type ExecScript = (
  start: { pod: string; container: string; command: string[]; tty: boolean },
  inputs: AsyncIterable<ExecInput>,
) => AsyncIterable<Input<ExecOutput>>

function keyOf(kind: string, namespace: string, name: string): string {
  return `${kind}/${namespace}/${name}`
}

export class FakeServer {
  readonly objects = new Map<string, AnyResource>()
  readonly events: Event[] = []
  /** "pod/container" → timed lines, "TIME TEXT". */
  readonly logs = new Map<string, string[]>()
  readonly logRequests: LogsRequest[] = []
  /** By node. */
  readonly usage = new Map<string, Input<NodeUsage>>()
  readonly verdicts = new Map<string, WhyResponse>()
  /** Why a pod, by its name, may not be evicted the next times. */
  readonly refusedEvictions = new Map<string, string[]>()
  /** Calls by name, in order. */
  readonly calls: string[] = []
  exec: ExecScript = async function* () {
    yield { output: { case: 'exit', value: { code: 0, message: '' } } }
  }

  /** What answers an attach; a copy; and a connection to a pod's port. */
  attach: (start: AttachStart, inputs: AsyncIterable<ExecInput>) => AsyncIterable<Input<ExecOutput>> = () =>
    this.exec({} as ExecStart, [] as never)
  copy: (start: CopyStart, inputs: AsyncIterable<CopyInput>, signal: AbortSignal) => AsyncIterable<Input<CopyOutput>> =
    async function* () {}
  portForward: (
    start: PortForwardStart,
    inputs: AsyncIterable<PortForwardInput>,
    signal: AbortSignal,
  ) => AsyncIterable<Input<PortForwardOutput>> = async function* () {}
  /** What a check of the network finds. */
  readonly netCheck: Input<NetCheckResult>[] = []
  readonly netCheckRequests: NetCheckRequest[] = []

  readonly now: () => number
  #revision = 100
  #uid = 0
  readonly #watchers = new Set<Watcher>()
  readonly #history: { revision: number; object: AnyResource; change: Change }[] = []
  readonly #server = new Server({ address: '127.0.0.1:0' })

  constructor(now: () => number) {
    this.now = now
    this.#server.add('Resources', this.#resources())
    this.#server.add('Pods', this.#pods())
    this.#server.add('Cluster', this.#cluster())
    this.put({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'default' }, status: { phase: 'Active' } })
  }

  start(): Promise<string> {
    return this.#server.start()
  }

  stop(): Promise<void> {
    return this.#server.stop()
  }

  get watching(): number {
    return this.#watchers.size
  }

  get<T extends AnyResource>(kind: T['kind'], name: string, namespace = 'default'): T | undefined {
    return this.objects.get(keyOf(kind, resourceOf(kind).namespaced ? namespace : '', name)) as T | undefined
  }

  /** Stores an object as it is, status included, and tells the watchers. */
  put(json: JsonValue): AnyResource {
    const object = applyDefaults(decodeJson(undefined, json)) as AnyResource
    const { metadata } = object
    if (resourceOf(object.kind).namespaced && metadata.namespace === '') metadata.namespace = 'default'
    return this.#store(object)
  }

  /** Takes an object away and tells the watchers. */
  remove(kind: Kind, name: string, namespace = 'default'): void {
    const key = keyOf(kind, resourceOf(kind).namespaced ? namespace : '', name)
    const object = this.objects.get(key)
    if (object === undefined) throw new Error(`no ${key}`)
    this.objects.delete(key)
    object.metadata.resourceVersion = String(++this.#revision)
    this.#tell('DELETED', object)
  }

  #store(object: AnyResource): AnyResource {
    const { metadata } = object
    const key = keyOf(object.kind, metadata.namespace, metadata.name)
    const before = this.objects.get(key)
    metadata.uid = before?.metadata.uid ?? (metadata.uid === '' ? `uid-${++this.#uid}` : metadata.uid)
    metadata.creationTimestamp ??=
      before?.metadata.creationTimestamp ?? new Date(this.now()).toISOString().replace(/\.\d+/, '')
    metadata.generation ??= before?.metadata.generation ?? 1
    metadata.resourceVersion = String(++this.#revision)
    this.objects.set(key, object)
    this.#tell(before === undefined ? 'ADDED' : 'MODIFIED', object)
    return object
  }

  #tell(type: 'ADDED' | 'MODIFIED' | 'DELETED', object: AnyResource): void {
    const change: Change = { type, object: bytesOf(object) }
    this.#history.push({ revision: this.#revision, object: structuredClone(object), change })
    for (const watcher of this.#watchers) if (watcher.matches(object)) watcher.channel.push(change)
  }

  #find(ref: ObjectRef | undefined): AnyResource {
    const object = this.objects.get(keyOf(ref!.kind, ref!.namespace, ref!.name))
    if (object === undefined) throw new GantryError('NotFound', `${ref!.kind} ${ref!.name} is not there`)
    return object
  }

  #checked(json: JsonObject, dryRun: boolean, previous?: AnyResource): AnyResource {
    const object = applyDefaults(decodeJson(undefined, json)) as AnyResource
    const { metadata } = object
    if (metadata.namespace !== '' && !this.objects.has(keyOf('Namespace', '', metadata.namespace)))
      throw new GantryError('NotFound', `namespace "${metadata.namespace}" does not exist`)
    const faults =
      previous === undefined
        ? validate(object)
        : validateUpdate({ ...object, metadata: { ...metadata, uid: previous.metadata.uid } } as AnyResource, previous)
    if (faults.length > 0)
      throw problemError(faults.map(({ field, message, value, remedy }) => problem(field, message, { value, remedy })))
    if (previous !== undefined) {
      metadata.uid = previous.metadata.uid
      metadata.generation =
        (previous.metadata.generation ?? 1) +
        (JSON.stringify(encodeJson(previous).spec) === JSON.stringify(encodeJson(object).spec) ? 0 : 1)
    }
    return dryRun ? object : this.#store(object)
  }

  #resources(): Handlers<Services['Resources']> {
    return {
      get: async ({ ref }) => {
        this.calls.push(`get ${ref!.kind} ${ref!.name}`)
        return { object: bytesOf(this.#find(ref)) }
      },
      list: async (request) => {
        this.calls.push(`list ${request.kind}`)
        const all = [...this.objects.values()].filter(selectorOf(request))
        const from = Number(request.continue || 0)
        const limit = request.limit || 500
        const items = all.slice(from, from + limit)
        return {
          items: items.map(bytesOf),
          resourceVersion: String(this.#revision),
          continue: from + limit < all.length ? String(from + limit) : '',
          remainingItemCount: Math.max(0, all.length - from - limit),
        }
      },
      watch: (request, call) => this.#watch(request, call.signal),
      create: async ({ object, options }) => {
        const draft = decodeResource(object!.kind as Kind, object!.raw) as AnyResource
        const { metadata } = draft
        if (metadata.name === '' && metadata.generateName !== undefined) metadata.name = `${metadata.generateName}x7k2p`
        if (this.objects.has(keyOf(draft.kind, metadata.namespace, metadata.name)))
          throw new GantryError('AlreadyExists', `${draft.kind} ${metadata.name} exists already`, {
            details: [
              { field: 'metadata.name', value: metadata.name, message: 'is taken', remedy: 'choose another name' },
            ],
          })
        return { object: bytesOf(this.#checked(encodeJson(draft), options!.dryRun)) }
      },
      update: async ({ object, options }) => {
        const next = decodeResource(object!.kind as Kind, object!.raw) as AnyResource
        const live = this.#find({
          apiVersion: '',
          kind: next.kind,
          namespace: next.metadata.namespace,
          name: next.metadata.name,
        })
        if (next.metadata.resourceVersion !== '' && next.metadata.resourceVersion !== live.metadata.resourceVersion)
          throw new GantryError('Conflict', 'it was changed since')
        return { object: bytesOf(this.#checked(encodeJson(next), options!.dryRun, live)) }
      },
      patch: async ({ ref, type, patch, options }) => {
        this.calls.push(`patch ${ref!.kind} ${ref!.name} ${type}`)
        const live = this.#find(ref)
        const json = encodeJson(live)
        const value = JSON.parse(patch) as JsonValue
        const next = (
          type === 'MERGE'
            ? applyMergePatch(json, value)
            : type === 'JSON'
              ? applyJsonPatch(json, value)
              : applyStrategicPatch(live.kind, json, value)
        ) as JsonObject
        const managedFields = updateManagedFields({
          kind: live.kind,
          previous: json,
          next,
          manager: options!.fieldManager,
          now: this.now(),
        })
        ;(next.metadata as JsonObject).managedFields = JSON.parse(JSON.stringify(managedFields)) as JsonValue
        return { object: bytesOf(this.#checked(next, options!.dryRun, live)) }
      },
      apply: async ({ ref, configuration, options }) => {
        this.calls.push(`apply ${ref!.kind} ${ref!.name}${options!.dryRun ? ' dry' : ''}`)
        const kind = ref!.kind as Kind
        const live = this.objects.get(keyOf(kind, ref!.namespace, ref!.name))
        const wanted = encodeJson(decodeJson(kind, JSON.parse(configuration) as JsonValue, { dropReadOnly: true }))
        const { object, changed } = applyConfiguration({
          kind,
          live: live === undefined ? undefined : encodeJson(live),
          configuration: wanted,
          manager: options!.fieldManager,
          force: options!.force,
          now: this.now(),
        })
        if (!changed) return { object: bytesOf(live!), outcome: 'UNCHANGED' }
        return {
          object: bytesOf(this.#checked(object, options!.dryRun, live)),
          outcome: live === undefined ? 'CREATED' : 'CONFIGURED',
        }
      },
      delete: async ({ ref, options, gracePeriodSeconds, propagation, eviction }) => {
        this.calls.push(
          `${eviction ? 'evict' : 'delete'} ${ref!.kind} ${ref!.name}${gracePeriodSeconds === undefined ? '' : ` grace ${gracePeriodSeconds}`}${propagation === 'BACKGROUND' ? '' : ` ${propagation}`}`,
        )
        const object = this.#find(ref)
        const refusal = eviction ? this.refusedEvictions.get(ref!.name)?.shift() : undefined
        if (refusal !== undefined) throw new GantryError('ResourceExhausted', refusal)
        if (options!.dryRun) return { object: bytesOf(object) }
        const held = object.kind === 'Namespace' && (object.spec.finalizers ?? []).length > 0
        if (held || (object.metadata.finalizers ?? []).length > 0) {
          object.metadata.deletionTimestamp = new Date(this.now() + (held ? 0 : 30_000))
            .toISOString()
            .replace(/\.\d+/, '')
          this.#store(object)
        } else this.remove(object.kind, object.metadata.name, object.metadata.namespace)
        return { object: bytesOf(object) }
      },
    }
  }

  async *#watch(
    request: Parameters<typeof selectorOf>[0] & { resourceVersion: string },
    signal: AbortSignal,
  ): AsyncGenerator<Change, void, undefined> {
    const watcher: Watcher = { matches: selectorOf(request), channel: new Channel() }
    if (request.resourceVersion === '') {
      for (const object of this.objects.values())
        if (watcher.matches(object)) watcher.channel.push({ type: 'ADDED', object: bytesOf(object) })
      watcher.channel.push({ type: 'BOOKMARK', object: { kind: request.kind } })
    } else {
      for (const { revision, object, change } of this.#history)
        if (revision > Number(request.resourceVersion) && watcher.matches(object)) watcher.channel.push(change)
    }
    this.#watchers.add(watcher)
    const close = (): void => watcher.channel.close()
    signal.addEventListener('abort', close, { once: true })
    try {
      yield* watcher.channel
    } finally {
      this.#watchers.delete(watcher)
    }
  }

  #pods(): Handlers<Services['Pods']> {
    const logs = (request: LogsRequest): string[] => {
      this.logRequests.push(request)
      const lines = this.logs.get(`${request.pod}/${request.container}`)
      if (lines === undefined)
        throw new GantryError(
          'FailedPrecondition',
          `container ${request.container} of pod ${request.pod} has not started`,
        )
      return (request.tailLines === undefined ? lines : lines.slice(-request.tailLines)).map((line) =>
        request.timestamps ? line : line.slice(line.indexOf(' ') + 1),
      )
    }
    const script = (): ExecScript => this.exec
    return {
      async *logs(request) {
        for (const line of logs(request)) yield { data: Buffer.from(`${line}\n`) }
      },
      async *exec(inputs) {
        const iterator = inputs[Symbol.asyncIterator]()
        const first = await iterator.next()
        const start = first.value?.input
        if (start?.case !== 'start') throw new GantryError('InvalidArgument', 'the first input is not start')
        yield* script()(start.value, { [Symbol.asyncIterator]: () => iterator })
      },
      attach: (inputs) => this.#begun(inputs, 'attach', (start, rest) => this.attach(start, rest)),
      copy: (inputs, call) => this.#begun(inputs, 'start', (start, rest) => this.copy(start, rest, call.signal)),
      portForward: (inputs, call) =>
        this.#begun(inputs, 'start', (start, rest) => this.portForward(start, rest, call.signal)),
    }
  }

  async *#checkedNetwork(request: NetCheckRequest): AsyncGenerator<Input<NetCheckResult>, void, undefined> {
    this.netCheckRequests.push(request)
    yield* this.netCheck
  }

  /** Hands on what comes after the first input, which says what is wanted. */
  async *#begun<I extends { input?: { case: string; value: unknown } | undefined }, C extends string, O>(
    inputs: AsyncIterable<I>,
    wanted: C,
    answer: (start: Extract<NonNullable<I['input']>, { case: C }>['value'], rest: AsyncIterable<I>) => AsyncIterable<O>,
  ): AsyncGenerator<O, void, undefined> {
    const iterator = inputs[Symbol.asyncIterator]()
    const first = await iterator.next()
    const start = first.done === true ? undefined : first.value.input
    if (start?.case !== wanted) throw new GantryError('InvalidArgument', `the first input is not ${wanted}`)
    yield* answer(start.value as Extract<NonNullable<I['input']>, { case: C }>['value'], {
      [Symbol.asyncIterator]: () => iterator,
    })
  }

  #cluster(): Handlers<Services['Cluster']> {
    const events = (request: { namespace: string; kind: string; name: string; type: string }): Event[] =>
      this.events.filter(
        (event) =>
          (request.namespace === '' || event.metadata.namespace === request.namespace) &&
          (request.type === '' || event.type === request.type) &&
          (request.kind === '' || event.involvedObject?.kind === request.kind) &&
          (request.name === '' || event.involvedObject?.name === request.name),
      )
    return {
      version: async () => ({ version: '0.1.0', controller: 'c1', leader: 'c1', nodeVersion: process.version }),
      async *events(request) {
        for (const event of events(request)) yield bytesOf(event)
      },
      networkConfirmed: () => Promise.resolve({}),
      nodeUsage: ({ node }) => {
        const usage = this.usage.get(node)
        return usage === undefined
          ? Promise.reject(new GantryError('FailedPrecondition', `node ${node} cannot be asked`))
          : Promise.resolve(usage)
      },
      netCheck: (request) => this.#checkedNetwork(request),
      netCheckNode: () => {
        throw new GantryError('Unsupported', 'for other controllers')
      },
      nodePage: () => Promise.reject(new GantryError('Unsupported', 'for other controllers')),
      why: async ({ pod }) =>
        this.verdicts.get(pod) ?? { node: '', verdicts: [], summary: 'the scheduler has not seen it yet', time: '' },
    }
  }
}

function bytesOf(object: AnyResource): ObjectBytes {
  const kind = resourceOf(object.kind)
  return {
    apiVersion: apiVersionOf(kind),
    kind: object.kind,
    raw: withResourceVersion(encodeResource(object), object.metadata.resourceVersion),
  }
}

function selectorOf(request: {
  kind: string
  namespace: string
  labelSelector: string
  fieldSelector: string
}): (object: AnyResource) => boolean {
  const labels = parseLabelSelector(request.labelSelector)
  const fields = parseFieldSelector(request.fieldSelector, request.kind as Kind)
  return (object) =>
    object.kind === request.kind &&
    (request.namespace === '' || object.metadata.namespace === request.namespace) &&
    labels.matches(object.metadata.labels) &&
    fields.matches(object)
}
