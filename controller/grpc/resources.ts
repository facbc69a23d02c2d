/**
 * The service Resources: objects over gRPC. What comes in is decoded strictly, what goes out is the cache's bytes where
 * it can be; all between is done at the door.
 */
import { GantryError } from '../../proto/base/errors.ts'
import type { CallContext, Handlers } from '../../proto/rpc/rpc.ts'
import type { KnownKinds } from '../../proto/schema/kind-registry.ts'
import type { Input } from '../../proto/codec/wire.ts'
import type {
  ApplyRequest,
  ApplyResponse,
  CreateRequest,
  DeleteRequest,
  GetRequest,
  Kind,
  ListRequest,
  ListResponse,
  ObjectResponse,
  PatchRequest,
  ResourcesService,
  UpdateRequest,
  WatchEvent,
  WatchRequest,
  WriteOptions,
} from '../../proto/gen/types.ts'
import type { DeleteOptions, Draft } from '../api/contract.ts'
import { namespaceOf, resolve, storedKind } from '../objects/identity.ts'
import type { RequestContext } from '../requests/authorized-request.ts'
import { NEWEST, parseRevision } from '../requests/freshness.ts'
import { objectRequestInfo, type ResourceRequestInfo } from '../requests/request-info.ts'
import type { Requests } from '../requests/requests.ts'
import { Selection, toBytes } from '../requests/selection.ts'
import type { ObjectEvent } from '../requests/watch-event.ts'
import { userOf } from './caller.ts'
import { bookmarkObject, parseJson, receivedObject, writtenBytes, type ReceivedObject } from './request-object.ts'

/** As Kubernetes has it. https://kubernetes.io/docs/reference/using-api/server-side-apply/#managers */
const MANAGER_LENGTH = 128
/** Objects a page unless the caller says less, and bytes a page: one message holds it. */
const PAGE_ITEMS = 500
const PAGE_BYTES = 16 * 1024 * 1024

type Place = Pick<ReceivedObject, 'kind' | 'namespace' | 'name'>

export class ResourcesHandlers implements Handlers<ResourcesService> {
  readonly #requests: Requests

  constructor(requests: Requests) {
    this.#requests = requests
  }

  async get({ ref }: GetRequest, call: CallContext): Promise<Input<ObjectResponse>> {
    return this.#requests.handle(infoOf('get', resolve(ref, this.#requests.kinds), call), call, async (request) => ({
      object: toBytes(await request.get()),
    }))
  }

  /** InvalidArgument for a malformed request or token; Expired for a token whose revision is gone: list again. */
  async list(request: ListRequest, call: CallContext): Promise<Input<ListResponse>> {
    const { kind, namespace } = collectionOf(request, this.#requests.kinds)
    return this.#requests.handle(infoOf('list', { kind, namespace, name: '' }, call), call, async (authorized) => {
      if (request.limit < 0)
        throw new GantryError('InvalidArgument', 'limit is negative', {
          details: [{ field: 'limit', value: String(request.limit), message: 'is negative' }],
        })
      const page = await authorized.list({
        selection: selectionOf(request, kind, namespace),
        freshness: NEWEST,
        limit: request.limit === 0 ? PAGE_ITEMS : Math.min(request.limit, PAGE_ITEMS),
        bytes: PAGE_BYTES,
        continue: request.continue,
      })
      return {
        items: page.items.map(toBytes),
        resourceVersion: String(page.revision),
        continue: page.continue,
        remainingItemCount: page.remaining,
      }
    })
  }

  /**
   * Without a revision it begins with what is there and a bookmark behind it. Expired when changes after the revision
   * are no longer known, and for one that the store has not reached: list again.
   */
  async *watch(request: WatchRequest, call: CallContext): AsyncGenerator<Input<WatchEvent>, void, undefined> {
    const { kind, namespace } = collectionOf(request, this.#requests.kinds)
    const begin = request.resourceVersion === ''
    yield* await this.#requests.handle(infoOf('watch', { kind, namespace, name: '' }, call), call, (authorized) =>
      authorized.watch(
        {
          selection: selectionOf(request, kind, namespace),
          freshness: begin ? NEWEST : { is: 'notOlder', revision: parseRevision(request.resourceVersion) },
          bookmarks: request.bookmarks,
          initial: begin ? 'marked' : 'none',
          timeout: undefined,
        },
        call.signal,
        (event) => watchEvent(event, kind),
      ),
    )
  }

  async create({ object, options }: CreateRequest, call: CallContext): Promise<Input<ObjectResponse>> {
    const received = receivedObject(object, this.#requests.kinds)
    const { kind, namespace } = received
    return this.#requests.handle(infoOf('create', { kind, namespace, name: '' }, call), call, async (request) => ({
      object: writtenBytes(await request.create(received.read() as Draft<Kind>, contextOf(options, call))),
    }))
  }

  async update({ object, options, subresource }: UpdateRequest, call: CallContext): Promise<Input<ObjectResponse>> {
    const part = subresourceOf(subresource)
    const received = receivedObject(object, this.#requests.kinds)
    return this.#requests.handle(infoOf('update', received, call, part), call, async (request) => {
      const read = received.read()
      return { object: writtenBytes(await request.update(read, contextOf(options, call), part)) }
    })
  }

  async patch(
    { ref, type, patch, subresource, options }: PatchRequest,
    call: CallContext,
  ): Promise<Input<ObjectResponse>> {
    const part = subresourceOf(subresource)
    return this.#requests.handle(
      infoOf('patch', resolve(ref, this.#requests.kinds), call, part),
      call,
      async (request) => {
        const changes = { type, patch: parseJson('patch', patch), subresource: part }
        return { object: writtenBytes(await request.patch(changes, contextOf(options, call))) }
      },
    )
  }

  async apply({ ref, configuration, options }: ApplyRequest, call: CallContext): Promise<Input<ApplyResponse>> {
    return this.#requests.handle(infoOf('patch', resolve(ref, this.#requests.kinds), call), call, async (request) => {
      if ((options?.fieldManager ?? '') === '')
        throw new GantryError('InvalidArgument', 'apply needs a field manager', {
          details: [{ field: 'options.fieldManager', message: 'is empty', remedy: 'name who owns the fields' }],
        })
      const context = contextOf(options, call)
      const wanted = parseJson('configuration', configuration)
      const { object, outcome } = await request.apply(wanted, options?.force === true, context)
      return { object: writtenBytes(object), outcome }
    })
  }

  /** An eviction is, as in Kubernetes, the creation of an Eviction of the pod. */
  async delete(deletion: DeleteRequest, call: CallContext): Promise<Input<ObjectResponse>> {
    const place = resolve(deletion.ref, this.#requests.kinds)
    const { eviction } = deletion
    if (eviction && place.kind !== 'Pod')
      throw new GantryError('InvalidArgument', `a ${place.kind} cannot be evicted`, {
        details: [{ field: 'eviction', value: 'true', message: 'is for pods', remedy: 'leave it out' }],
      })
    const info = eviction ? infoOf('create', place, call, 'eviction') : infoOf('delete', place, call)
    return this.#requests.handle(info, call, async (request) => {
      const options = deleteOptions(deletion)
      const context = contextOf(deletion.options, call)
      const { object } = await (eviction ? request.evict(options, context) : request.delete(options, context))
      return { object: writtenBytes(object) }
    })
  }
}

function infoOf(
  verb: string,
  { kind, namespace, name }: Place,
  call: CallContext,
  subresource = '',
): ResourceRequestInfo {
  return objectRequestInfo({ face: 'grpc', user: userOf(call), verb, kind, namespace, name, subresource })
}

/** The kind and namespace of a list or watch; '' for all namespaces. InvalidArgument for an unknown kind. */
function collectionOf(
  { apiVersion, kind, namespace }: Pick<ListRequest, 'apiVersion' | 'kind' | 'namespace'>,
  kinds: KnownKinds,
): { readonly kind: Kind; readonly namespace: string } {
  const stored = storedKind(apiVersion, kind, kinds)
  return { kind: stored, namespace: namespace === '' ? '' : namespaceOf(stored, namespace) }
}

function selectionOf(
  { labelSelector, fieldSelector }: Pick<ListRequest, 'labelSelector' | 'fieldSelector'>,
  kind: Kind,
  namespace: string,
): Selection {
  return new Selection(kind, namespace === '' ? undefined : namespace, labelSelector, fieldSelector)
}

/** Throws what ends the watch. */
function watchEvent(event: ObjectEvent, kind: Kind): Input<WatchEvent> {
  switch (event.type) {
    case 'BOOKMARK':
      return { type: 'BOOKMARK', object: bookmarkObject(kind, event.revision) }
    case 'ERROR':
      throw event.error
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
      return { type: event.type, object: toBytes(event.cached) }
  }
}

function deleteOptions({ propagation, uid, resourceVersion, gracePeriodSeconds }: DeleteRequest): DeleteOptions {
  if (gracePeriodSeconds !== undefined && gracePeriodSeconds < 0)
    throw new GantryError('InvalidArgument', 'the grace period is negative', {
      details: [
        {
          field: 'gracePeriodSeconds',
          value: String(gracePeriodSeconds),
          message: 'is negative',
          remedy: '0 ends it at once',
        },
      ],
    })
  return {
    propagation,
    ...(uid !== '' && { uid }),
    ...(resourceVersion !== '' && { resourceVersion }),
    ...(gracePeriodSeconds !== undefined && { gracePeriodSeconds }),
  }
}

/** Without a name for the owner of the fields, the caller's own is taken. */
function contextOf(options: WriteOptions | undefined, { user }: CallContext): RequestContext {
  const fieldManager = options?.fieldManager ?? ''
  if (fieldManager.length > MANAGER_LENGTH)
    throw new GantryError('InvalidArgument', 'the field manager is too long', {
      details: [
        {
          field: 'options.fieldManager',
          value: fieldManager,
          message: `has ${fieldManager.length} characters, the limit is ${MANAGER_LENGTH}`,
        },
      ],
    })
  const named = fieldManager !== '' ? fieldManager : user.name.slice(0, MANAGER_LENGTH)
  return { fieldManager: named === '' ? 'unknown' : named, dryRun: options?.dryRun === true }
}

/** Asked before a request comes to the door, which counts by it: callers must not make up what there is to count. */
function subresourceOf(text: string): '' | 'status' {
  if (text === '' || text === 'status') return text
  throw new GantryError('InvalidArgument', `there is no subresource ${text}`, {
    details: [{ field: 'subresource', value: text, message: 'is neither empty nor status' }],
  })
}
