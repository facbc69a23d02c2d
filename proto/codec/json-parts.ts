/** Parts of JSON that are made alike for all messages: lists, maps. */
import type { JsonObject, JsonValue } from '../gen/types.ts'

type Encode = (value: never, full: boolean) => JsonValue

export function listOf(items: readonly never[], encode: Encode, full: boolean): JsonValue[] {
  return items.map((item) => encode(item, full))
}

export function mapOf(map: Readonly<Record<string, never>>, encode: Encode, full: boolean): JsonObject {
  return Object.fromEntries(Object.entries(map).map(([key, item]) => [key, encode(item, full)]))
}

export function hasKeys(object: object): boolean {
  for (const _key in object) return true
  return false
}
