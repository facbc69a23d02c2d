/**
 * FieldsV1 that many objects have: pods of one template have the same owners of the same fields. Each such value is in
 * memory once, and its JSON is known.
 */
import type { JsonObject, JsonValue } from '../gen/types.ts'
import { isObject } from '../base/json.ts'

/** A power of two. */
const PLACES = 256
/** Bytes of what is looked for: less is read as quickly, and more is nobody else's. */
const SHORTEST = 32
const LONGEST = 16 * 1024

interface KnownFields {
  readonly json: Buffer
  readonly value: JsonObject
  isShared: boolean
}

/** What was read lately, each at the place that its bytes lead to. */
const read: (KnownFields | undefined)[] = Array.from({ length: PLACES }, () => undefined)
/** Of values that were met more than once. */
const jsonOf = new WeakMap<JsonObject, Buffer>()

/** What `make` makes of the bytes, or what it made of the same; undefined if that is nothing. Nobody changes it. */
export function readKnownFields(
  bytes: Buffer,
  start: number,
  end: number,
  make: () => JsonObject | undefined,
): JsonObject | undefined {
  const length = end - start
  if (length < SHORTEST || length > LONGEST) return make()
  const place = placeOf(bytes, start, end)
  const found = read[place]
  if (found?.json.length === length && bytes.compare(found.json, 0, length, start, end) === 0) {
    if (!found.isShared) jsonOf.set(found.value, found.json)
    found.isShared = true
    return found.value
  }
  const value = make()
  if (value !== undefined)
    read[place] = { json: Buffer.from(bytes.subarray(start, end)), value: Object.freeze(value), isShared: false }
  return value
}

/** The JSON of a value that is known; undefined for all others. */
export function knownFieldsJson(value: JsonValue): Buffer | undefined {
  return isObject(value) ? jsonOf.get(value) : undefined
}

/** Makes the JSON of a value known for as long as there is the value, which nobody changes. */
export function shareFields(value: JsonObject): void {
  jsonOf.set(value, Buffer.from(JSON.stringify(value)))
}

function placeOf(bytes: Buffer, start: number, end: number): number {
  let hash = end - start
  for (let at = end - 2; at >= start; at -= 5) hash = (Math.imul(hash, 31) + bytes[at]!) | 0
  return (hash ^ (hash >>> 8)) & (PLACES - 1)
}
