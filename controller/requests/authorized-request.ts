/**
 * A request that has been let in: the only thing by which a face acts on objects, pods and the rest. It acts on what
 * was authorized and on nothing else: kind, namespace, name and user are those of its RequestInfo, and a verb that was
 * not asked for is a fault of the face.
 */
import { GantryError } from '../../proto/base/errors.ts'
import type { Input } from '../../proto/codec/wire.ts'
import type {
  AnyResource,
  ControllerMessage,
  JsonObject,
  JsonValue,
  Kind,
  NodeMessage,
  Pod,
  StreamDown,
  StreamUp,
} from '../../proto/gen/types.ts'
import type { CallContext } from '../../proto/rpc/rpc.ts'
import type { DeleteOptions, Draft, ObjectApi, PatchOptions, WriteContext, WriteSubresource } from '../api/contract.ts'
import { CONTROLLERS, isController } from '../authorization/groups.ts'
import { forbidden, type Attributes, type Authorizer } from '../authorization/authorizer.ts'
import type { NodeConnection } from '../authorization/node-authorizer.ts'
import type { CachedObject } from '../informer/contract.ts'
import type { Backends, NodeBackend, PodBackend } from './backends.ts'
import { NEWEST, type Freshness } from './freshness.ts'
import type { Page } from './list-paginator.ts'
import type { ListOptions, ObjectReader } from './object-reader.ts'
import { PodConnections } from './pod-connections.ts'
import type { RequestInfo } from './request-info.ts'
import type { Selection } from './selection.ts'
import type { ObjectEvent, WatchOptions } from './watch-event.ts'
import type { Watches } from './watches.ts'

/** Deletions of one collection under way at a time. */
const BATCH = 100

export interface RequestParts {
  readonly authorizer: Authorizer
  readonly api: ObjectApi
  readonly reader: ObjectReader
  readonly watches: Watches
  readonly pods: PodBackend
  readonly nodes: NodeBackend
  readonly backends: Backends
}

/** How a write is to be done. Who asks is known, and a face is nobody's controller. */
export type RequestContext = Omit<WriteContext, 'user' | 'controllerAccount' | 'term'>

export class AuthorizedRequest {
  readonly info: RequestInfo
  readonly #forwarded: boolean
  readonly #parts: RequestParts
  /** Called when a watch ends; undefined for a request whose answer is its end. */
  readonly #ended: () => void
  /** Pods beside the one named to whose processes the caller may connect. */
  #reachable: Set<string> | undefined
  #admitted: boolean
  /** The end of the request is that of a watch, which tells of it. */
  isWatch = false

  /** `forwarded`: another controller has let it in, and has asked admission. */
  constructor(info: RequestInfo, forwarded: boolean, parts: RequestParts, ended: () => void) {
    this.info = info
    this.#forwarded = forwarded
    this.#parts = parts
    this.#ended = ended
    this.#admitted = forwarded
  }

  /** What stands behind requests that are about no objects of the store. */
  get backends(): Backends {
    return this.#parts.backends
  }

  /**
   * As whom nodes and other controllers are called for this request. A caller who has been let in here is not to be
   * taken there for a controller that passes something on.
   */
  get caller(): CallContext['user'] {
    const { user } = this.info
    return this.#forwarded || !isController(user)
      ? user
      : { ...user, groups: user.groups.filter((group) => group !== CONTROLLERS) }
  }

  /** The object that the request names, whatever is to be done to it. NotFound. */
  get(freshness: Freshness = NEWEST): Promise<CachedObject> {
    const { kind, namespace, name } = this.#target()
    return this.#parts.reader.get(kind, namespace, name, freshness)
  }

  list(options: ListOptions): Promise<Page> {
    this.#requireSelection('list', options.selection)
    return this.#parts.reader.list(options)
  }

  /**
   * Events until the signal is aborted or the time is over, each as `encode` makes it when it is taken. Expired;
   * DeadlineExceeded for a revision that the store does not reach.
   */
  async watch<T>(
    options: WatchOptions,
    signal: AbortSignal,
    encode: (event: ObjectEvent) => T,
  ): Promise<AsyncIterableIterator<T>> {
    this.#requireSelection('watch', options.selection)
    await this.#parts.reader.reach(options.freshness)
    const events = this.#parts.watches.begin(options, signal, encode, this.#ended)
    this.isWatch = true
    return events
  }

  create(draft: Draft<Kind>, context: RequestContext): Promise<AnyResource> {
    this.#require(['create'], draft, draft.metadata)
    return this.#parts.api.create(draft, this.#context(context))
  }

  update(
    object: AnyResource,
    context: RequestContext,
    subresource: Exclude<WriteSubresource, 'scale'> = '',
  ): Promise<AnyResource> {
    this.#require(['update'], object, object.metadata)
    const { api } = this.#parts
    return subresource === 'status'
      ? api.updateStatus(object, this.#context(context))
      : api.update(object, this.#context(context), subresource === '' ? undefined : subresource)
  }

  /** Also how a scale is updated, which is a part of the object. */
  patch(options: PatchOptions, context: RequestContext): Promise<AnyResource> {
    const { kind, namespace, name } = this.#require(options.subresource === 'scale' ? ['patch', 'update'] : ['patch'])
    return this.#parts.api.patch(kind, namespace, name, options, this.#context(context))
  }

  /** Forbidden, too, for who may change the object and not create it, where it is not there. */
  async apply(
    configuration: JsonValue,
    force: boolean,
    context: RequestContext,
    subresource: WriteSubresource = '',
  ): Promise<{ object: AnyResource; outcome: 'UNCHANGED' | 'CREATED' | 'CONFIGURED' }> {
    const { kind, namespace, name } = this.#require(['patch'])
    if (subresource === '') await this.#requireCreate(kind, namespace, name)
    return this.#parts.api.apply(kind, namespace, name, configuration, force, this.#context(context), subresource)
  }

  /** The last state, and whether the object is gone. */
  delete(options: DeleteOptions, context: RequestContext): Promise<{ object: AnyResource; removed: boolean }> {
    const { kind, namespace, name } = this.#require(['delete'])
    return this.#parts.api.deletion(kind, namespace, name, options, this.#context(context))
  }

  /** Each object by itself: what another has changed or removed meanwhile is left to that. The objects as they were. */
  async deleteCollection(list: ListOptions, options: DeleteOptions, context: RequestContext): Promise<Page> {
    const { kind } = this.#requireSelection('deletecollection', list.selection)
    const writing = this.#context(context)
    const page = await this.#parts.reader.stored(list)
    const deleted = async ({ metadata: { namespace, name, uid } }: AnyResource): Promise<void> => {
      try {
        await this.#parts.api.delete(kind, namespace, name, { uid, ...options }, writing)
      } catch (thrown) {
        const isOtherNow =
          GantryError.is(thrown, 'Conflict') && options.uid === undefined && options.resourceVersion === undefined
        if (!GantryError.is(thrown, 'NotFound') && !isOtherNow) throw thrown
      }
    }
    for (let at = 0; at < page.items.length; at += BATCH)
      await Promise.all(page.items.slice(at, at + BATCH).map(({ object }) => deleted(object)))
    return page
  }

  /** Places the pod on a node. `name` where the request's path has none; `uid` '': whichever pod has the name. */
  async bind(name: string, uid: string, node: string, context: RequestContext): Promise<Pod> {
    const { namespace = '' } = this.#verb('create')
    if (this.info.name !== undefined && this.info.name !== '' && this.info.name !== name) throw this.#fault(name)
    const pod = uid !== '' ? uid : (await this.#parts.reader.get('Pod', namespace, name, NEWEST)).object.metadata.uid
    return this.#parts.api.bind(namespace, name, pod, node, this.#context(context))
  }

  /** Asks the pod to leave its node. ResourceExhausted: not now; try again. */
  async evict(options: DeleteOptions, context: RequestContext): Promise<{ object: AnyResource; removed: boolean }> {
    const { kind, namespace, name } = this.#require(['create'])
    return this.#parts.api.deletion(kind, namespace, name, { ...options, eviction: true }, this.#context(context))
  }

  /**
   * Asks admission about the connection that the subresource is; `options` with apiVersion and kind, such as
   * PodExecOptions. Rejects with what refuses it.
   */
  async admitConnection(options: JsonObject, warn?: (text: string) => void): Promise<void> {
    const { user, subresource = '' } = this.info
    if (!this.#forwarded) {
      const { kind, namespace, name } = this.#target()
      const context = { fieldManager: user.name, user, ...(warn !== undefined && { warn }) }
      await this.#parts.api.admitConnection(kind, namespace, name, subresource, options, context)
    }
    this.#admitted = true
  }

  /** Streams to and from the pod that the request names, and those that `reach` has let it in to. */
  get pods(): PodConnections {
    return new PodConnections(this.#parts.pods, {
      caller: this.caller,
      requirePod: (namespace, name) => this.#requirePod(namespace, name),
      requireAdmitted: () => {
        if (!this.#admitted) throw new GantryError('Internal', 'the connection has not been admitted')
      },
    })
  }

  /** The session of the node that the request names. */
  openNodeSession(
    messages: AsyncIterable<NodeMessage>,
    call: Pick<CallContext, 'signal' | 'peer'>,
  ): AsyncIterable<Input<ControllerMessage>> {
    return this.#parts.nodes.session(this.#requireNode('session'), messages, call)
  }

  /** A stream of the node that the request names. */
  openNodeStream(
    messages: AsyncIterable<StreamUp>,
    call: Pick<CallContext, 'signal'>,
  ): AsyncIterable<Input<StreamDown>> {
    return this.#parts.nodes.stream(this.#requireNode('stream'), messages, call)
  }

  #requireNode(connection: NodeConnection): string {
    const { resource, subresource, name = '' } = this.info
    if (resource !== 'nodes' || subresource !== connection || name === '') throw this.#fault(`a node's ${connection}`)
    return name
  }

  /**
   * Lets the request in to a pod that it does not name, as a proxy of a Service does. Forbidden for one that the caller
   * may not reach: whoever writes a Service or its slices chooses its pods and ports, so it must be no way around that.
   */
  reach(pod: string): void {
    const { namespace = '' } = this.info
    this.#authorize({ verb: 'get', group: '', resource: 'pods', subresource: 'proxy', namespace, name: pod })
    this.#reachable ??= new Set()
    this.#reachable.add(pod)
  }

  #requirePod(namespace: string, pod: string): void {
    const { resource, name, namespace: own = '' } = this.info
    const isNamed = resource === 'pods' && name === pod
    if (namespace !== own || !(isNamed || this.#reachable?.has(pod) === true)) throw this.#fault(`${namespace}/${pod}`)
  }

  /** What is not there yet is created by applying it. The cache may lag: only the newest state counts. */
  async #requireCreate(kind: Kind, namespace: string, name: string): Promise<void> {
    const attributes = { ...this.info, verb: 'create' }
    if (this.#parts.authorizer.decide(attributes).allowed) return
    try {
      await this.#parts.reader.get(kind, namespace, name, NEWEST)
    } catch (thrown) {
      if (GantryError.is(thrown, 'NotFound')) this.#authorize(attributes)
      throw thrown
    }
  }

  #authorize(attributes: Omit<Attributes, 'user'>): void {
    const asked = { ...attributes, user: this.info.user }
    const decision = this.#parts.authorizer.decide(asked)
    if (!decision.allowed) throw forbidden(asked, decision.reason)
  }

  #context(context: RequestContext): WriteContext {
    return { ...context, user: this.info.user }
  }

  #target(): { readonly kind: Kind; readonly namespace: string; readonly name: string } {
    const { kind, namespace = '', name = '' } = this.info
    if (kind === undefined) throw this.#fault('objects of the store')
    return { kind, namespace, name }
  }

  /** That the request is for this: one of the verbs, of objects of that kind, and of that place, if it is named. */
  #require(
    verbs: readonly string[],
    { kind }: { readonly kind?: Kind } = {},
    place?: { readonly namespace?: string; readonly name?: string },
  ): { readonly kind: Kind; readonly namespace: string; readonly name: string } {
    const target = this.#target()
    if (!verbs.includes(this.info.verb)) throw this.#fault(verbs.join(' or '))
    if (kind !== undefined && kind !== target.kind) throw this.#fault(kind)
    if (place === undefined) return target
    if ((place.namespace ?? '') !== target.namespace) throw this.#fault(`namespace ${place.namespace}`)
    if (target.name !== '' && place.name !== target.name) throw this.#fault(`name ${place.name}`)
    return target
  }

  /** That the request is for objects of that kind and namespace. */
  #requireSelection(verb: string, selection: Selection): Selection {
    const { kind, namespace = '' } = selection
    if (this.info.verb !== verb) throw this.#fault(verb)
    if (kind !== this.info.kind || namespace !== (this.info.namespace ?? '')) throw this.#fault(`${kind} ${namespace}`)
    return selection
  }

  #verb(verb: string): RequestInfo {
    if (this.info.verb !== verb) throw this.#fault(verb)
    return this.info
  }

  /** A face that does something else than it has asked for: never a caller's mistake. */
  #fault(what: string): GantryError {
    const { verb, resource, namespace = '', name = '' } = this.info
    const asked = `${verb} ${resource ?? 'a path'} ${namespace}/${name}`
    return new GantryError('Internal', `a request for ${asked} was let in, and is used for ${what}`)
  }
}
