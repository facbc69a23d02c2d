/**
 * The API as commands use it: objects in and out instead of bytes. With several servers, a call that loses its server
 * is made again on the next; not one that changes something and may have done so already, unless doing it twice is the
 * same as once.
 */
import { setMaxListeners } from 'node:events'
import type { Context, Credentials } from './context.ts'
import { customKinds } from '../schema/custom/definitions.ts'
import { KindRegistry } from '../schema/kind-registry.ts'
import { GantryError } from '../base/errors.ts'
import type { CallOptions, Client } from '../rpc/rpc.ts'
import { apiVersionOf, resourceOf } from '../schema/schema.ts'
import { decodeResource, encodeResource, withResourceVersion, type Input } from '../codec/wire.ts'
import type {
  AnyResource,
  ApplyResponseOutcome,
  CopyInput,
  CopyOutput,
  Event,
  ExecInput,
  ExecOutput,
  JsonValue,
  Kind,
  LogsRequest,
  NetCheckRequest,
  NetCheckResult,
  NodeUsage,
  ObjectBytes,
  ObjectRef,
  PatchRequestType,
  PortForwardInput,
  PortForwardOutput,
  Resources,
  Services,
  VersionResponse,
  WhyResponse,
} from '../gen/types.ts'
import type { Clock } from '../base/clock.ts'
import { type Connect, ServerPool } from './server-pool.ts'
import { notFound } from './failures.ts'
import { FIELD_MANAGER, type Selection, type WriteFlags, type DeleteFlags, type Change } from './cluster-options.ts'

/** A kind as the server calls it. */
function calledBy(kind: Kind): { apiVersion: string; kind: string } {
  const resource = resourceOf(kind)
  const custom = customKinds.get(kind)
  return {
    apiVersion:
      custom === undefined
        ? apiVersionOf(resource)
        : (custom.versions.find(({ served }) => served) ?? custom.stored).apiVersion,
    kind: resource.kind,
  }
}

function refOf(kind: Kind, namespace: string, name: string): ObjectRef {
  return { ...calledBy(kind), namespace: resourceOf(kind).namespaced ? namespace : '', name }
}

function toBytes(object: AnyResource): ObjectBytes {
  return { apiVersion: object.apiVersion, kind: resourceOf(object.kind).kind, raw: encodeResource(object) }
}

function fromBytes<K extends Kind>(kind: K, bytes: ObjectBytes | undefined): Resources[K] {
  if (bytes === undefined || bytes.kind !== resourceOf(kind).kind)
    throw new GantryError(
      'Internal',
      `the server answered ${bytes === undefined ? 'without an object' : `with a ${bytes.kind}`} where a ${kind} was asked for`,
    )
  return decodeResource(kind, bytes.raw)
}

export interface ClusterClientOptions {
  readonly context: Context
  /** Undefined: in the clear. */
  readonly credentials: Credentials | undefined
  readonly connect: Connect
  readonly clock: Clock
  /** Ends every call. */
  readonly signal: AbortSignal
  /** Milliseconds for one answer. */
  readonly timeout: number
  /** The kinds that are known of the cluster: the schema's alone, unless others are known before it is asked. */
  readonly kinds?: KindRegistry
}

export class ClusterClient {
  /** The kinds that there are in the cluster, as far as it has been asked for them (custom-kinds.ts). */
  readonly kinds: KindRegistry
  readonly #options: ClusterClientOptions
  readonly #servers: ServerPool

  constructor(options: ClusterClientOptions) {
    this.#options = options
    this.kinds = options.kinds ?? new KindRegistry()
    setMaxListeners(0, options.signal) // one for each call under way
    this.#servers = new ServerPool({ ...options, addresses: options.context.server })
  }

  get clock(): Clock {
    return this.#options.clock
  }

  /** Aborted when every call is to end. */
  get signal(): AbortSignal {
    return this.#options.signal
  }

  async get<K extends Kind>(kind: K, namespace: string, name: string): Promise<Resources[K]> {
    const { object } = await named(
      kind,
      namespace,
      name,
      this.#read('Resources', (client, options) => client.get({ ref: refOf(kind, namespace, name) }, options)),
    )
    return fromBytes(kind, object)
  }

  /** The object, or undefined if there is none. */
  async find<K extends Kind>(kind: K, namespace: string, name: string): Promise<Resources[K] | undefined> {
    try {
      return await this.get(kind, namespace, name)
    } catch (thrown) {
      if (GantryError.is(thrown, 'NotFound')) return undefined
      throw thrown
    }
  }

  /** All pages, and the revision from which a watch goes on. */
  async list<K extends Kind>(
    kind: K,
    selection: Selection,
  ): Promise<{ items: Resources[K][]; resourceVersion: string }> {
    const items: Resources[K][] = []
    let resourceVersion = ''
    for await (const page of this.pages(kind, selection)) {
      items.push(...page.items)
      resourceVersion = page.resourceVersion
    }
    return { items, resourceVersion }
  }

  /** Page by page, so that a long list is shown as it comes. */
  async *pages<K extends Kind>(
    kind: K,
    selection: Selection,
  ): AsyncGenerator<{ items: Resources[K][]; resourceVersion: string }, void, undefined> {
    const { namespace, labelSelector = '', fieldSelector = '', limit = 0 } = selection
    const resource = resourceOf(kind)
    let token = ''
    do {
      const request = {
        ...calledBy(kind),
        namespace: resource.namespaced ? namespace : '',
        labelSelector,
        fieldSelector,
        limit,
        continue: token,
      }
      const page = await this.#read('Resources', (client, options) => client.list(request, options))
      token = page.continue
      yield { items: page.items.map((item) => fromBytes(kind, item)), resourceVersion: page.resourceVersion }
    } while (token !== '')
  }

  /** Changes after a revision; without one every present object as ADDED, then a BOOKMARK, then changes. */
  async *watch<K extends Kind>(
    kind: K,
    selection: Selection,
    resourceVersion = '',
    signal: AbortSignal = this.#options.signal,
  ): AsyncGenerator<Change<K>, void, undefined> {
    const resource = resourceOf(kind)
    const { namespace, labelSelector = '', fieldSelector = '' } = selection
    const request = {
      ...calledBy(kind),
      namespace: resource.namespaced ? namespace : '',
      labelSelector,
      fieldSelector,
      resourceVersion,
      bookmarks: false,
    }
    for await (const { type, object } of this.#stream('Resources', (client) => client.watch(request, { signal }))) {
      yield type === 'BOOKMARK' ? { type } : { type, object: fromBytes(kind, object) }
    }
  }

  async create<T extends AnyResource>(object: T, flags: WriteFlags = {}): Promise<T> {
    const request = { object: toBytes(object), options: writeOptions(flags) }
    const response = await this.#write(flags.dryRun === true, (client, options) => client.create(request, options))
    return fromBytes(object.kind, response.object) as T
  }

  async update<T extends AnyResource>(object: T, flags: WriteFlags = {}): Promise<T> {
    const bytes = {
      ...toBytes(object),
      raw: withResourceVersion(encodeResource(object), object.metadata.resourceVersion),
    }
    const response = await this.#write(flags.dryRun === true, (client, options) =>
      client.update({ object: bytes, options: writeOptions(flags) }, options),
    )
    return fromBytes(object.kind, response.object) as T
  }

  async patch<K extends Kind>(
    kind: K,
    namespace: string,
    name: string,
    type: PatchRequestType,
    patch: JsonValue,
    flags: WriteFlags & { subresource?: string | undefined } = {},
  ): Promise<Resources[K]> {
    const request = {
      ref: refOf(kind, namespace, name),
      type,
      patch: JSON.stringify(patch),
      subresource: flags.subresource ?? '',
      options: writeOptions(flags),
    }
    const response = await named(
      kind,
      namespace,
      name,
      this.#write(flags.dryRun === true, (client, options) => client.patch(request, options)),
    )
    return fromBytes(kind, response.object)
  }

  async apply<K extends Kind>(
    kind: K,
    namespace: string,
    name: string,
    configuration: JsonValue,
    flags: WriteFlags & { force?: boolean | undefined } = {},
  ): Promise<{ object: Resources[K]; outcome: ApplyResponseOutcome }> {
    const request = {
      ref: refOf(kind, namespace, name),
      configuration: JSON.stringify(configuration),
      options: { ...writeOptions(flags), force: flags.force ?? false },
    }
    // What is applied twice is as if applied once.
    const response = await this.#write(true, (client, options) => client.apply(request, options))
    return { object: fromBytes(kind, response.object), outcome: response.outcome }
  }

  async delete<K extends Kind>(
    kind: K,
    namespace: string,
    name: string,
    flags: DeleteFlags = {},
  ): Promise<Resources[K]> {
    const { propagation = 'BACKGROUND', gracePeriodSeconds, uid = '', eviction = false } = flags
    const request = {
      ref: refOf(kind, namespace, name),
      propagation,
      gracePeriodSeconds,
      uid,
      eviction,
      options: writeOptions(flags),
    }
    const response = await named(
      kind,
      namespace,
      name,
      this.#write(flags.dryRun === true, (client, options) => client.delete(request, options)),
    )
    return fromBytes(kind, response.object)
  }

  async *logs(
    request: Input<LogsRequest>,
    signal: AbortSignal = this.#options.signal,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const { data } of this.#stream('Pods', (client) => client.logs(request, { signal }))) yield data
  }

  /** Runs once, on one server: what a command has done before its server was lost is not known. */
  async *exec(
    inputs: AsyncIterable<Input<ExecInput>>,
    signal: AbortSignal = this.#options.signal,
  ): AsyncGenerator<ExecOutput, void, undefined> {
    const connection = await this.#servers.connection()
    yield* connection.client('Pods').exec(inputs, { signal })
  }

  /** Joins a container's own input and outputs, by one server. */
  async *attach(
    inputs: AsyncIterable<Input<ExecInput>>,
    signal: AbortSignal = this.#options.signal,
  ): AsyncGenerator<ExecOutput, void, undefined> {
    const connection = await this.#servers.connection()
    yield* connection.client('Pods').attach(inputs, { signal })
  }

  /** One connection into a pod. */
  async *portForward(
    inputs: AsyncIterable<Input<PortForwardInput>>,
    signal: AbortSignal = this.#options.signal,
  ): AsyncGenerator<PortForwardOutput, void, undefined> {
    const connection = await this.#servers.connection()
    yield* connection.client('Pods').portForward(inputs, { signal })
  }

  /** Files of a container, in either direction, by one server. */
  async *copy(
    inputs: AsyncIterable<Input<CopyInput>>,
    signal: AbortSignal = this.#options.signal,
  ): AsyncGenerator<CopyOutput, void, undefined> {
    const connection = await this.#servers.connection()
    yield* connection.client('Pods').copy(inputs, { signal })
  }

  async *netCheck(
    request: Input<NetCheckRequest>,
    signal: AbortSignal = this.#options.signal,
  ): AsyncGenerator<NetCheckResult, void, undefined> {
    yield* this.#stream('Cluster', (client) => client.netCheck(request, { ...this.#call(), signal }))
  }

  async *events(
    selection: { namespace: string; kind?: string; name?: string; since?: string; follow?: boolean; type?: string },
    signal: AbortSignal = this.#options.signal,
  ): AsyncGenerator<Event, void, undefined> {
    const options = selection.follow === true ? { signal } : { ...this.#call(), signal }
    for await (const bytes of this.#stream('Cluster', (client) => client.events(selection, options)))
      yield fromBytes('Event', bytes)
  }

  version(): Promise<VersionResponse> {
    return this.#read('Cluster', (client, options) => client.version({}, options))
  }

  /** What a node and its containers use. NotFound; Unavailable for one that cannot be asked. */
  nodeUsage(node: string): Promise<NodeUsage> {
    return this.#read('Cluster', (client, options) => client.nodeUsage({ node }, options))
  }

  why(namespace: string, pod: string): Promise<WhyResponse> {
    return this.#read('Cluster', (client, options) => client.why({ namespace, pod }, options))
  }

  close(): void {
    this.#servers.close()
  }

  #call(): CallOptions {
    return { timeout: this.#options.timeout, signal: this.#options.signal }
  }

  /** A call without effect: it may be made again elsewhere. */
  async #read<S extends keyof Services, T>(
    service: S,
    call: (client: Client<Services[S]>, options: CallOptions) => Promise<T>,
  ): Promise<T> {
    for (let tried = 1; ; tried++) {
      const connection = await this.#servers.connection()
      try {
        return await call(connection.client(service), this.#call())
      } catch (thrown) {
        if (!GantryError.is(thrown, 'Unavailable')) throw thrown
        await this.#servers.leave(connection)
        if (tried >= this.#servers.count) throw thrown
      }
    }
  }

  /**
   * A write, made again elsewhere only if `repeatable`; otherwise a server that is lost in the middle leaves open what
   * came of it.
   */
  async #write<T>(
    repeatable: boolean,
    call: (client: Client<Services['Resources']>, options: CallOptions) => Promise<T>,
  ): Promise<T> {
    if (repeatable) return this.#read('Resources', call)
    const connection = await this.#servers.connection()
    try {
      return await call(connection.client('Resources'), this.#call())
    } catch (thrown) {
      if (!GantryError.is(thrown, 'Unavailable') || this.#servers.count === 1) throw thrown
      await this.#servers.leave(connection)
      throw new GantryError('Unavailable', thrown.message, {
        cause: thrown,
        details: [
          ...thrown.details,
          { remedy: 'whether the change was made is not known: look at the object, then try again' },
        ],
      })
    }
  }

  /**
   * What a server tells; begun again elsewhere as long as it has told nothing. Whoever is in the middle knows himself
   * how to go on.
   */
  async *#stream<S extends keyof Services, T>(
    service: S,
    open: (client: Client<Services[S]>) => AsyncIterable<T>,
  ): AsyncGenerator<T, void, undefined> {
    for (let tried = 1; ; tried++) {
      const connection = await this.#servers.connection()
      let begun = false
      try {
        for await (const message of open(connection.client(service))) {
          begun = true
          yield message
        }
        return
      } catch (thrown) {
        if (!GantryError.is(thrown, 'Unavailable')) throw thrown
        await this.#servers.leave(connection)
        if (begun || tried >= this.#servers.count) throw thrown
      }
    }
  }
}

/** An answer about one object: that there is none is said in the words of the command line. */
async function named<T>(kind: Kind, namespace: string, name: string, answer: Promise<T>): Promise<T> {
  try {
    return await answer
  } catch (thrown) {
    throw GantryError.is(thrown, 'NotFound') ? notFound(kind, namespace, name, thrown) : thrown
  }
}

function writeOptions(flags: WriteFlags): { dryRun: boolean; fieldManager: string; force: boolean } {
  return { dryRun: flags.dryRun ?? false, fieldManager: flags.fieldManager ?? FIELD_MANAGER, force: false }
}
