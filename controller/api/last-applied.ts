/**
 * What `kubectl apply` applied last, as it keeps it in an annotation to find on its own side what is no longer in a
 * configuration. Whoever goes to the server's side and back finds it true.
 * https://kubernetes.io/docs/reference/using-api/server-side-apply/#upgrading-from-client-side-apply-to-server-side-apply
 */
import { clone } from '../../proto/base/clone.ts'
import { encodeJson, inspectJson } from '../../proto/codec/codec.ts'
import { isStrictOnly } from '../../proto/base/problem.ts'
import { isObject } from '../../proto/base/json.ts'
import type { AnyResource, JsonObject, JsonValue } from '../../proto/gen/types.ts'

const ANNOTATION = 'kubectl.kubernetes.io/last-applied-configuration'
/** The manager's name of `kubectl apply --server-side`: for other managers the annotation is one like any other. */
const KUBECTL = 'kubectl'
/** Bytes; as much as all annotations of an object may have. */
const LIMIT = 256 * 1024

/**
 * What kubectl applied last, canonical; undefined for other managers, and where there is no annotation or one that
 * cannot be read, which is its owner's affair.
 */
export function lastApplied({ kind, metadata }: AnyResource, manager: string): JsonObject | undefined {
  const text = manager === KUBECTL ? metadata.annotations?.[ANNOTATION] : undefined
  if (text === undefined) return undefined
  let value: JsonValue
  try {
    value = JSON.parse(text) as JsonValue
  } catch {
    return undefined
  }
  if (!isObject(value)) return undefined
  const { object, problems } = inspectJson(kind, value, { dropReadOnly: true, allowDuplicateKeys: true })
  return object !== undefined && problems.every(isStrictOnly) ? encodeJson(object) : undefined
}

/**
 * Lets the object's annotation, if it has one, say what is applied now; the annotation stays its owner's. True if that
 * changes something.
 */
export function recordLastApplied({ metadata }: JsonObject, configuration: JsonObject, manager: string): boolean {
  const annotations = isObject(metadata) ? metadata.annotations : undefined
  if (manager !== KUBECTL || !isObject(annotations) || annotations[ANNOTATION] === undefined) return false
  const applied = clone(configuration)
  const own = isObject(applied.metadata) ? applied.metadata.annotations : undefined
  if (isObject(own)) delete own[ANNOTATION]
  const text = `${JSON.stringify(applied)}\n`
  if (annotations[ANNOTATION] === text) return false
  if (Buffer.byteLength(text) <= LIMIT) annotations[ANNOTATION] = text
  else delete annotations[ANNOTATION]
  return true
}
