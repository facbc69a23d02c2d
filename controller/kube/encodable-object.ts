/**
 * Objects on their way out. Each revision of an object is encoded once in each form, whether it goes to who wrote it,
 * to those who read it or to watchers: what was made is found by the object, for as long as it is among the newest.
 */
import { encodeJsonBytes } from '../../proto/codec/json-bytes.ts'
import { apiVersionOf, resourceOf } from '../../proto/schema/schema.ts'
import { encode, withResourceVersion } from '../../proto/codec/wire.ts'
import type { AnyResource, JsonObject, Messages } from '../../proto/gen/types.ts'
import type { CachedObject } from '../informer/contract.ts'
import type { ServedResource } from './contract.ts'
import type { EncodableObject } from './contract.ts'
import { EncodedForm } from './encoded-form.ts'

/** What of a served resource an object's encoding depends on. */
type Served = Pick<ServedResource, 'group' | 'version' | 'kind' | 'message'>

/** As they are stored. */
const storedForms = new WeakMap<AnyResource, EncodableObject>()
/** By apiVersion, where that is not the one that is stored. */
const convertedForms = new WeakMap<AnyResource, Map<string, EncodableObject>>()

/** An object as the cache has it, as that resource is served (default: as it is stored). */
export function encodableCached({ object, bytes, revision }: CachedObject, served?: Served): EncodableObject {
  return encodableResource(object, served, () => withResourceVersion(bytes, String(revision)))
}

/**
 * An object of the cache, or one that a write returned, which is the cache's. `stored`: how its protobuf message is
 * had, if there is a cheaper way than encoding it.
 */
export function encodableResource(object: AnyResource, served?: Served, stored?: () => Uint8Array): EncodableObject {
  if (served === undefined || apiVersionOf(served) === apiVersionOf(resourceOf(object.kind))) {
    let encodable = storedForms.get(object)
    if (encodable === undefined) storedForms.set(object, (encodable = encodableOf(object, ofStored(object), stored)))
    return encodable
  }
  let versions = convertedForms.get(object)
  if (versions === undefined) convertedForms.set(object, (versions = new Map()))
  const apiVersion = apiVersionOf(served)
  let encodable = versions.get(apiVersion)
  if (encodable === undefined) versions.set(apiVersion, (encodable = encodableOf(object, served)))
  return encodable
}

function encodableOf(
  object: AnyResource,
  { group, version, kind, message }: Served,
  bytes = (): Uint8Array => encode(message as keyof Messages, object as never),
): EncodableObject {
  const apiVersion = apiVersionOf({ group, version })
  const json = new EncodedForm(() => encodeJsonBytes(object, apiVersion))
  const protobuf = message === undefined ? undefined : new EncodedForm(bytes)
  return { apiVersion, kind, object, json: () => json.bytes(), protobuf: () => protobuf?.bytes() }
}

/** A kind without message is one that a CustomResourceDefinition defines: it has a dot in its name. */
function ofStored({ kind }: AnyResource): Served {
  const { group, version, kind: name, message = name } = resourceOf(kind)
  return kind.includes('.') ? { group, version, kind: name } : { group, version, kind: name, message }
}

/** What the store does not keep and the schema knows: `object` is its JSON. */
export function encodableMessage(
  message: keyof Messages,
  object: JsonObject & { apiVersion: string; kind: string },
): EncodableObject {
  let protobuf: Uint8Array | undefined
  return { ...encodableJson(object), protobuf: () => (protobuf ??= encode(message, object as never)) }
}

/** What has no other form than JSON. */
export function encodableJson(object: JsonObject & { apiVersion: string; kind: string }): EncodableObject {
  let json: Uint8Array | undefined
  return {
    apiVersion: object.apiVersion,
    kind: object.kind,
    object,
    json: () => (json ??= Buffer.from(JSON.stringify(object))),
    protobuf: () => undefined,
  }
}
