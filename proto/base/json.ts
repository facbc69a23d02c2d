/** JSON values: their own properties, and whether two are the same. */
import type { JsonObject, JsonValue } from '../gen/types.ts'

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** An object's own property: a key called "constructor" is not there unless it was written there. */
export function own(object: JsonObject, name: string): JsonValue | undefined {
  return Object.hasOwn(object, name) ? object[name] : undefined
}

/** Sets an own property, also one called "__proto__". */
export function setOwn(object: JsonObject, name: string, value: JsonValue): void {
  Object.defineProperty(object, name, { value, enumerable: true, writable: true, configurable: true })
}

/**
 * True if two JSON values are the same; the order of an object's keys does not matter, and a property that is undefined
 * is absent.
 */
export function sameJson(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (Array.isArray(a)) {
    if (!Array.isArray(b) || a.length !== b.length) return false
    for (let index = 0; index < a.length; index++) if (!sameJson(a[index], b[index])) return false
    return true
  }
  if (!isObject(a) || !isObject(b)) return false
  let left = 0
  for (const name of Object.keys(a)) {
    const value: JsonValue | undefined = a[name]
    if (value === undefined) continue
    if (!Object.hasOwn(b, name) || !sameJson(value, b[name])) return false
    left++
  }
  for (const name of Object.keys(b)) if ((b[name] as JsonValue | undefined) !== undefined) left--
  return left === 0
}
