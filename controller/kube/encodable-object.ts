/**
 * Objects on their way out. An object of the cache is encoded once per revision and encoding, however many requests and
 * watchers it goes to: what was made stays with the cache's entry, and goes with it.
 */
import { encodeJson } from '../../proto/codec/codec.ts'
import { apiVersionOf, resourceOf } from '../../proto/schema/schema.ts'
import { encode, withResourceVersion } from '../../proto/codec/wire.ts'
import type { AnyResource, JsonObject, Messages } from '../../proto/gen/types.ts'
import type { CachedObject } from '../informer/contract.ts'
import type { ServedResource } from './contract.ts'
import type { EncodableObject } from './contract.ts'

/** What of a served resource an object's encoding depends on. */
type Served = Pick<ServedResource, 'group' | 'version' | 'kind' | 'message'>

const encodedCache = new WeakMap<CachedObject, EncodableObject>()
/** By apiVersion, where that is not the one that is stored. */
const convertedCache = new WeakMap<CachedObject, Map<string, EncodableObject>>()

/** An object as the cache has it, as that resource is served (default: as it is stored): encoded at most once. */
export function encodableCached(cached: CachedObject, served?: Served): EncodableObject {
  const stored =
    encodedCache.get(cached) ??
    keep(
      encodedCache,
      cached,
      encodableResource(cached.object, undefined, () => withResourceVersion(cached.bytes, String(cached.revision))),
    )
  if (served === undefined || apiVersionOf(served) === stored.apiVersion) return stored
  const others = convertedCache.get(cached) ?? keep(convertedCache, cached, new Map<string, EncodableObject>())
  const apiVersion = apiVersionOf(served)
  let sendable = others.get(apiVersion)
  if (sendable === undefined) others.set(apiVersion, (sendable = encodableResource(cached.object, served)))
  return sendable
}

function keep<T>(map: WeakMap<CachedObject, T>, cached: CachedObject, value: T): T {
  map.set(cached, value)
  return value
}

/**
 * An object that a write returned. `bytes`: how its protobuf message is had, if there is a cheaper way than encoding
 * it.
 */
export function encodableResource(
  object: AnyResource,
  served: Served = ofStored(object),
  bytes = (): Uint8Array => encode(served.message as keyof Messages, object as never),
): EncodableObject {
  const { kind, message } = served
  const apiVersion = apiVersionOf(served)
  let json: Uint8Array | undefined
  let protobuf: Uint8Array | undefined
  return {
    apiVersion,
    kind,
    object,
    json: () => (json ??= Buffer.from(JSON.stringify(encodeJson(object, { apiVersion, full: true })))),
    protobuf: () => (message === undefined ? undefined : (protobuf ??= bytes())),
  }
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
