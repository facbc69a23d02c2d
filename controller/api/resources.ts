/**
 * The service Resources: the API core over gRPC. What comes in is decoded strictly, what goes out is the cache's bytes
 * where it can be.
 */
import { decodeJson, encodeFields, encodeJson } from '../../proto/codec/codec.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { problemError, type Problem } from '../../proto/base/problem.ts'
import type { CallContext, Handlers } from '../../proto/rpc/rpc.ts'
import { resourceOf, schema } from '../../proto/schema/schema.ts'
import { unknownFields } from '../../proto/codec/unknown-fields.ts'
import { decode, decodeResource, encodeObject, type Input } from '../../proto/codec/wire.ts'
import type {
  AnyResource,
  ApplyRequest,
  ApplyResponse,
  CreateRequest,
  DeleteRequest,
  GetRequest,
  JsonObject,
  JsonValue,
  Kind,
  ListRequest,
  ListResponse,
  ObjectBytes,
  ObjectRef,
  ObjectResponse,
  PatchRequest,
  Resources,
  ResourcesService,
  UpdateRequest,
  WatchEvent,
  WatchRequest,
  WriteOptions,
} from '../../proto/gen/types.ts'
import { authorizeKind } from './authorization.ts'
import type { ConsistentReads } from './consistent-reads.ts'
import type { Draft, ObjectApi, WriteContext } from './contract.ts'
import { namespaceOf, resolve, storedKind } from './identity.ts'
import type { ListPaginator } from './list-paginator.ts'
import { toBytes } from './selection.ts'
import type { Watches } from './watches.ts'

/** As Kubernetes has it. https://kubernetes.io/docs/reference/using-api/server-side-apply/#managers */
const MANAGER_LENGTH = 128

export class ResourcesHandlers implements Handlers<ResourcesService> {
  readonly #api: ObjectApi
  readonly #reads: ConsistentReads
  readonly #pages: ListPaginator
  readonly #watches: Watches

  constructor(parts: { api: ObjectApi; reads: ConsistentReads; pages: ListPaginator; watches: Watches }) {
    this.#api = parts.api
    this.#reads = parts.reads
    this.#pages = parts.pages
    this.#watches = parts.watches
  }

  async get(request: GetRequest, call: CallContext): Promise<Input<ObjectResponse>> {
    const { kind, namespace, name } = allowed(request.ref, call)
    return { object: toBytes(await this.#reads.get(kind, namespace, name)) }
  }

  list(request: ListRequest, call: CallContext): Promise<Input<ListResponse>> {
    return this.#pages.list(request, call.user)
  }

  watch(request: WatchRequest, call: CallContext): AsyncGenerator<Input<WatchEvent>, void, undefined> {
    return this.#watches.watch(request, call)
  }

  async create(request: CreateRequest, call: CallContext): Promise<Input<ObjectResponse>> {
    const object = received(request.object, call)
    return { object: sent(await this.#api.create(object as Draft<Kind>, contextOf(request.options, call))) }
  }

  async update(request: UpdateRequest, call: CallContext): Promise<Input<ObjectResponse>> {
    const object = received(request.object, call)
    const context = contextOf(request.options, call)
    const half = subresourceOf(request.subresource)
    return {
      object: sent(
        await (half === 'status' ? this.#api.updateStatus(object, context) : this.#api.update(object, context)),
      ),
    }
  }

  async patch(request: PatchRequest, call: CallContext): Promise<Input<ObjectResponse>> {
    const { kind, namespace, name } = allowed(request.ref, call)
    const options = {
      type: request.type,
      patch: parseJson('patch', request.patch),
      subresource: subresourceOf(request.subresource),
    }
    return { object: sent(await this.#api.patch(kind, namespace, name, options, contextOf(request.options, call))) }
  }

  async apply(request: ApplyRequest, call: CallContext): Promise<Input<ApplyResponse>> {
    const { kind, namespace, name } = allowed(request.ref, call)
    if ((request.options?.fieldManager ?? '') === '')
      throw new GantryError('InvalidArgument', 'apply needs a field manager', {
        details: [{ field: 'options.fieldManager', message: 'is empty', remedy: 'name who owns the fields' }],
      })
    const { object, outcome } = await this.#api.apply(
      kind,
      namespace,
      name,
      parseJson('configuration', request.configuration),
      request.options?.force === true,
      contextOf(request.options, call),
    )
    return { object: sent(object), outcome }
  }

  async delete(request: DeleteRequest, call: CallContext): Promise<Input<ObjectResponse>> {
    const { kind, namespace, name } = allowed(request.ref, call)
    const { propagation, uid, resourceVersion, gracePeriodSeconds, eviction } = request
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
    if (eviction && kind !== 'Pod')
      throw new GantryError('InvalidArgument', `a ${kind} cannot be evicted`, {
        details: [{ field: 'eviction', value: 'true', message: 'is for pods', remedy: 'leave it out' }],
      })
    const preconditions = {
      ...(uid !== '' && { uid }),
      ...(resourceVersion !== '' && { resourceVersion }),
      ...(gracePeriodSeconds !== undefined && { gracePeriodSeconds }),
    }
    return {
      object: sent(
        await this.#api.delete(
          kind,
          namespace,
          name,
          { propagation, eviction, ...preconditions },
          contextOf(request.options, call),
        ),
      ),
    }
  }
}

function allowed(ref: ObjectRef | undefined, call: CallContext): ReturnType<typeof resolve> {
  const target = resolve(ref)
  authorizeKind(target.kind, call.user)
  return target
}

/** The object in a request, decoded as strictly as its JSON would be, in its namespace. */
function received(bytes: ObjectBytes | undefined, call: CallContext): Resources[Kind] {
  if (bytes === undefined)
    throw new GantryError('InvalidArgument', 'the request holds no object', { details: [{ field: 'object' }] })
  const kind = storedKind(bytes.apiVersion, bytes.kind)
  authorizeKind(kind, call.user)
  const object = decodeJson(kind, readBytes(kind, bytes), { allowDuplicateKeys: true })
  object.metadata.namespace = namespaceOf(kind, object.metadata.namespace)
  return object
}

/** As JSON: of a custom kind with all that was sent, in the version that was named. */
function readBytes(kind: Kind, { apiVersion, kind: name, raw }: ObjectBytes): JsonObject {
  let unknown: Problem[]
  let object: JsonObject
  try {
    if (kind in schema.messages) {
      unknown = unknownFields(kind, raw)
      object = encodeJson(decodeResource(kind, raw))
    } else {
      unknown = unknownFields('CustomObject', raw)
      const { metadata, json = new Uint8Array() } = decode('CustomObject', raw)
      object = {
        ...(json.length === 0 ? {} : (JSON.parse(Buffer.from(json).toString()) as JsonObject)),
        apiVersion,
        kind: name,
        metadata: encodeFields('ObjectMeta', metadata),
      }
    }
  } catch (cause) {
    throw new GantryError('InvalidArgument', `the request's ${raw.length} bytes are not a ${kind}`, {
      details: [{ field: 'object.raw', message: `is not a protobuf message ${kind}` }],
      cause,
    })
  }
  if (unknown.length > 0) throw problemError(unknown)
  return object
}

function sent(object: AnyResource): ObjectBytes {
  return { apiVersion: object.apiVersion, kind: resourceOf(object.kind).kind, raw: encodeObject(object) }
}

/** Without a name for the owner of the fields, the caller's own is taken. */
function contextOf(options: WriteOptions | undefined, call: CallContext): WriteContext {
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
  const named = fieldManager !== '' ? fieldManager : call.user.name.slice(0, MANAGER_LENGTH)
  return { fieldManager: named === '' ? 'unknown' : named, dryRun: options?.dryRun === true, user: call.user }
}

function subresourceOf(text: string): '' | 'status' {
  if (text === '' || text === 'status') return text
  throw new GantryError('InvalidArgument', `there is no subresource ${text}`, {
    details: [{ field: 'subresource', value: text, message: 'is neither empty nor status' }],
  })
}

function parseJson(field: string, text: string): JsonValue {
  try {
    return JSON.parse(text) as JsonValue
  } catch (cause) {
    throw new GantryError('InvalidArgument', `the ${field} is not JSON: ${(cause as Error).message}`, {
      details: [{ field, message: (cause as Error).message }],
      cause,
    })
  }
}
