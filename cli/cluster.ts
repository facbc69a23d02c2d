/**
 * The API as commands use it: objects in and out instead of bytes. With several servers, a call that finds one away is tried on the next;
 * a call that may have had its effect already is not.
 */
import type { Context, Credentials } from '../proto/api/context.ts'
import { GantryError } from '../proto/api/errors.ts'
import type { CallOptions, Client, Connection } from '../proto/api/rpc.ts'
import { apiVersionOf, resourceOf } from '../proto/api/schema.ts'
import { decodeResource, encodeResource, withResourceVersion, type Input } from '../proto/api/wire.ts'
import type {
  AnyResource, ApplyResponseOutcome, DeleteRequestPropagation, Event, ExecInput, ExecOutput, JsonValue, Kind, LogsRequest, ObjectBytes, ObjectRef, PatchRequestType, Resources,
  Services, VersionResponse, WhyResponse,
} from '../proto/gen/types.ts'
import type { Connect } from './environment.ts'
import { notFound } from './failure.ts'

export const FIELD_MANAGER = 'gantry'

export interface Selection {
  /** Empty: every namespace. */
  readonly namespace: string
  readonly labelSelector?: string | undefined
  readonly fieldSelector?: string | undefined
  /** Objects a page. */
  readonly limit?: number | undefined
}

export interface WriteFlags {
  readonly dryRun?: boolean | undefined
  readonly fieldManager?: string | undefined
}

export interface DeleteFlags extends WriteFlags {
  readonly propagation?: DeleteRequestPropagation | undefined
  readonly gracePeriodSeconds?: number | undefined
  readonly uid?: string | undefined
}

export type Change<K extends Kind = Kind> = { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: Resources[K] } | { readonly type: 'BOOKMARK' }

function refOf(kind: Kind, namespace: string, name: string): ObjectRef {
  const resource = resourceOf(kind)
  return { apiVersion: apiVersionOf(resource), kind, namespace: resource.namespaced ? namespace : '', name }
}

function toBytes(object: AnyResource): ObjectBytes {
  return { apiVersion: object.apiVersion, kind: object.kind, raw: encodeResource(object) }
}

function fromBytes<K extends Kind>(kind: K, bytes: ObjectBytes | undefined): Resources[K] {
  if (bytes === undefined || bytes.kind !== kind) throw new GantryError('Internal', `the server answered ${bytes === undefined ? 'without an object' : `with a ${bytes.kind}`} where a ${kind} was asked for`)
  return decodeResource(kind, bytes.raw)
}

export interface ClusterOptions {
  readonly context: Context
  /** Undefined: in the clear. */
  readonly credentials: Credentials | undefined
  readonly connect: Connect
  /** Ends every call. */
  readonly signal: AbortSignal
  /** Milliseconds for one answer. */
  readonly timeout: number
}

export class Cluster {
  readonly #options: ClusterOptions
  #connection: Connection | undefined
  #server = 0

  constructor(options: ClusterOptions) {
    this.#options = options
  }

  async get<K extends Kind>(kind: K, namespace: string, name: string): Promise<Resources[K]> {
    const { object } = await named(kind, namespace, name, this.#read('Resources', (client, options) => client.get({ ref: refOf(kind, namespace, name) }, options)))
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
  async list<K extends Kind>(kind: K, selection: Selection): Promise<{ items: Resources[K][]; resourceVersion: string }> {
    const items: Resources[K][] = []
    let resourceVersion = ''
    for await (const page of this.pages(kind, selection)) {
      items.push(...page.items)
      resourceVersion = page.resourceVersion
    }
    return { items, resourceVersion }
  }

  /** Page by page, so that a long list is shown as it comes. */
  async *pages<K extends Kind>(kind: K, selection: Selection): AsyncGenerator<{ items: Resources[K][]; resourceVersion: string }, void, undefined> {
    const { namespace, labelSelector = '', fieldSelector = '', limit = 0 } = selection
    const resource = resourceOf(kind)
    let token = ''
    do {
      const request = { apiVersion: apiVersionOf(resource), kind, namespace: resource.namespaced ? namespace : '', labelSelector, fieldSelector, limit, continue: token }
      const page = await this.#read('Resources', (client, options) => client.list(request, options))
      token = page.continue
      yield { items: page.items.map((item) => fromBytes(kind, item)), resourceVersion: page.resourceVersion }
    } while (token !== '')
  }

  /** Changes after a revision; without one every present object as ADDED, then a BOOKMARK, then changes. */
  async *watch<K extends Kind>(kind: K, selection: Selection, resourceVersion = '', signal: AbortSignal = this.#options.signal): AsyncGenerator<Change<K>, void, undefined> {
    const resource = resourceOf(kind)
    const { namespace, labelSelector = '', fieldSelector = '' } = selection
    const request = { apiVersion: apiVersionOf(resource), kind, namespace: resource.namespaced ? namespace : '', labelSelector, fieldSelector, resourceVersion, bookmarks: false }
    for await (const { type, object } of this.#client('Resources').watch(request, { signal })) {
      yield type === 'BOOKMARK' ? { type } : { type, object: fromBytes(kind, object) }
    }
  }

  async create<T extends AnyResource>(object: T, flags: WriteFlags = {}): Promise<T> {
    const request = { object: toBytes(object), options: writeOptions(flags) }
    const response = await this.#write(flags, (client, options) => client.create(request, options))
    return fromBytes(object.kind, response.object) as T
  }

  async update<T extends AnyResource>(object: T, flags: WriteFlags = {}): Promise<T> {
    const bytes = { ...toBytes(object), raw: withResourceVersion(encodeResource(object), object.metadata.resourceVersion) }
    const response = await this.#client('Resources').update({ object: bytes, options: writeOptions(flags) }, this.#call())
    return fromBytes(object.kind, response.object) as T
  }

  async patch<K extends Kind>(kind: K, namespace: string, name: string, type: PatchRequestType, patch: JsonValue, flags: WriteFlags & { subresource?: string | undefined } = {}): Promise<Resources[K]> {
    const request = { ref: refOf(kind, namespace, name), type, patch: JSON.stringify(patch), subresource: flags.subresource ?? '', options: writeOptions(flags) }
    const response = await named(kind, namespace, name, this.#client('Resources').patch(request, this.#call()))
    return fromBytes(kind, response.object)
  }

  async apply<K extends Kind>(kind: K, namespace: string, name: string, configuration: JsonValue, flags: WriteFlags & { force?: boolean | undefined } = {}): Promise<{ object: Resources[K]; outcome: ApplyResponseOutcome }> {
    const request = { ref: refOf(kind, namespace, name), configuration: JSON.stringify(configuration), options: { ...writeOptions(flags), force: flags.force ?? false } }
    const response = await this.#write(flags, (client, options) => client.apply(request, options))
    return { object: fromBytes(kind, response.object), outcome: response.outcome }
  }

  async delete<K extends Kind>(kind: K, namespace: string, name: string, flags: DeleteFlags = {}): Promise<Resources[K]> {
    const { propagation = 'BACKGROUND', gracePeriodSeconds, uid = '' } = flags
    const request = { ref: refOf(kind, namespace, name), propagation, gracePeriodSeconds, uid, options: writeOptions(flags) }
    const response = await named(kind, namespace, name, this.#client('Resources').delete(request, this.#call()))
    return fromBytes(kind, response.object)
  }

  async *logs(request: Input<LogsRequest>, signal: AbortSignal = this.#options.signal): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const { data } of this.#client('Pods').logs(request, { signal })) yield data
  }

  exec(inputs: AsyncIterable<Input<ExecInput>>, signal: AbortSignal = this.#options.signal): AsyncIterable<ExecOutput> {
    return this.#client('Pods').exec(inputs, { signal })
  }

  async *events(selection: { namespace: string; kind?: string; name?: string; since?: string; follow?: boolean; type?: string }, signal: AbortSignal = this.#options.signal): AsyncGenerator<Event, void, undefined> {
    const options = selection.follow === true ? { signal } : { ...this.#call(), signal }
    for await (const bytes of this.#client('Cluster').events(selection, options)) yield fromBytes('Event', bytes)
  }

  version(): Promise<VersionResponse> {
    return this.#read('Cluster', (client, options) => client.version({}, options))
  }

  why(namespace: string, pod: string): Promise<WhyResponse> {
    return this.#read('Cluster', (client, options) => client.why({ namespace, pod }, options))
  }

  close(): void {
    this.#connection?.close()
  }

  #call(): CallOptions {
    return { timeout: this.#options.timeout, signal: this.#options.signal }
  }

  #client<S extends keyof Services>(service: S): Client<Services[S]> {
    this.#connection ??= this.#options.connect(this.#options.context.server[this.#server]!, this.#options.credentials)
    return this.#connection.client(service)
  }

  /** A write; tried only, it is without effect. */
  #write<T>({ dryRun = false }: WriteFlags, call: (client: Client<Services['Resources']>, options: CallOptions) => Promise<T>): Promise<T> {
    return dryRun ? this.#read('Resources', call) : call(this.#client('Resources'), this.#call())
  }

  /** A call without effect: it may be made again elsewhere. */
  async #read<S extends keyof Services, T>(service: S, call: (client: Client<Services[S]>, options: CallOptions) => Promise<T>): Promise<T> {
    for (let tried = 1; ; tried++) {
      try {
        return await call(this.#client(service), this.#call())
      } catch (thrown) {
        if (!GantryError.is(thrown, 'Unavailable') || tried >= this.#options.context.server.length) throw thrown
        this.#connection?.close()
        this.#connection = undefined
        this.#server = (this.#server + 1) % this.#options.context.server.length
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
