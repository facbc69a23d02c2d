/** Objects in requests of this face, and on their way out. */
import { decodeJson, encodeFields, encodeJson } from '../../proto/codec/codec.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { problemError, type Problem } from '../../proto/base/problem.ts'
import { apiVersionOf, resourceOf, schema } from '../../proto/schema/schema.ts'
import type { KnownKinds } from '../../proto/schema/kind-registry.ts'
import { unknownFields } from '../../proto/codec/unknown-fields.ts'
import { decode, decodeResource, encodeObject, withResourceVersion } from '../../proto/codec/wire.ts'
import type { AnyResource, JsonObject, JsonValue, Kind, ObjectBytes, Resources } from '../../proto/gen/types.ts'
import { namespaceOf, storedKind } from '../objects/identity.ts'

/**
 * Bytes of an object that are looked at, before it is known whether the caller may send it: as many as a body of the
 * Kubernetes face has. A message could have twenty times as many.
 */
const OBJECT_LIMIT = 3 * 1024 * 1024

/** An object in a request, as far as it is read before it is known whether the caller may send it. */
export interface ReceivedObject {
  readonly kind: Kind
  readonly namespace: string
  readonly name: string
  /** All of it, decoded as strictly as its JSON would be, in its namespace. InvalidArgument, Unsupported. */
  read(): Resources[Kind]
}

/**
 * InvalidArgument for bytes that are no such message, and for a namespace of a kind that has none; ResourceExhausted
 * for more bytes than an object could have.
 */
export function receivedObject(bytes: ObjectBytes | undefined, kinds: KnownKinds): ReceivedObject {
  if (bytes === undefined)
    throw new GantryError('InvalidArgument', 'the request holds no object', { details: [{ field: 'object' }] })
  const kind = storedKind(bytes.apiVersion, bytes.kind, kinds)
  if (bytes.raw.length > OBJECT_LIMIT)
    throw new GantryError(
      'ResourceExhausted',
      `the request's ${kind} takes ${bytes.raw.length} bytes, the limit is ${OBJECT_LIMIT}`,
      { details: [{ field: 'object.raw', value: String(bytes.raw.length), message: 'is too large' }] },
    )
  const { object, unknown } = readBytes(kind, bytes)
  const { name = '', namespace: said = '' } = (object['metadata'] ?? {}) as { name?: string; namespace?: string }
  const namespace = namespaceOf(kind, said)
  const read = (): Resources[Kind] => {
    if (unknown.length > 0) throw problemError(unknown)
    const decoded = decodeJson(kind, object, { allowDuplicateKeys: true, kinds })
    decoded.metadata.namespace = namespace
    return decoded
  }
  return { kind, namespace, name, read }
}

/** As JSON: of a custom kind with all that was sent, in the version that was named. */
function readBytes(
  kind: Kind,
  { apiVersion, kind: name, raw }: ObjectBytes,
): { readonly object: JsonObject; readonly unknown: readonly Problem[] } {
  try {
    if (kind in schema.messages)
      return { unknown: unknownFields(kind, raw), object: encodeJson(decodeResource(kind, raw)) }
    const { metadata, json = new Uint8Array() } = decode('CustomObject', raw)
    const content = json.length === 0 ? {} : (JSON.parse(Buffer.from(json).toString()) as JsonObject)
    return {
      unknown: unknownFields('CustomObject', raw),
      object: { ...content, apiVersion, kind: name, metadata: encodeFields('ObjectMeta', metadata) },
    }
  } catch (cause) {
    throw new GantryError('InvalidArgument', `the request's ${raw.length} bytes are not a ${kind}`, {
      details: [{ field: 'object.raw', message: `is not a protobuf message ${kind}` }],
      cause,
    })
  }
}

/** What a write returned. */
export function writtenBytes(object: AnyResource): ObjectBytes {
  return { apiVersion: object.apiVersion, kind: resourceOf(object.kind).kind, raw: encodeObject(object) }
}

/** An object that is nothing but a revision: what a bookmark carries. */
export function bookmarkObject(kind: Kind, revision: number): ObjectBytes {
  const resource = resourceOf(kind)
  return {
    apiVersion: apiVersionOf(resource),
    kind: resource.kind,
    raw: withResourceVersion(new Uint8Array(), String(revision)),
  }
}

/** The JSON in a field of a request. InvalidArgument. */
export function parseJson(field: string, text: string): JsonValue {
  try {
    return JSON.parse(text) as JsonValue
  } catch (cause) {
    throw new GantryError('InvalidArgument', `the ${field} is not JSON: ${(cause as Error).message}`, {
      details: [{ field, message: (cause as Error).message }],
      cause,
    })
  }
}
