/** What the generated checks of objects are made of: each is true for what is plainly right. */
import { isInert as isInertValue } from '../codec/json-values.ts'
import type { Format } from '../base/format.ts'
import type { JsonValue } from '../gen/types.ts'
import { readSpecial } from '../schema/special.ts'

type Fields = Readonly<Record<string, unknown>>

export function hasEntries(map: object): boolean {
  for (const _key in map) return true
  return false
}

export function isInert(value: JsonValue, inert: readonly string[] | undefined): boolean {
  return isInertValue(value, inert)
}

/** By the option `enum`; of what is neither a text nor a number nothing is asked. */
export function isAllowed(value: unknown, allowed: readonly string[]): boolean {
  return (typeof value !== 'string' && typeof value !== 'number') || allowed.includes(String(value))
}

/** By the option `format`. */
export function isWellFormed(value: unknown, format: Format): boolean {
  return (typeof value !== 'string' && typeof value !== 'number') || format(value) === undefined
}

/** Of a message that is a text or a number in memory. */
export function isSpecial(message: string, value: unknown): boolean {
  return (typeof value !== 'string' && typeof value !== 'number') || 'value' in readSpecial(message, value)
}

/** True if no two items have the same key. */
export function isUnique(items: readonly Fields[], names: readonly string[], fallbacks: readonly string[]): boolean {
  const seen = new Set(items.map((item) => names.map((name, index) => item[name] ?? fallbacks[index]).join('\n')))
  return seen.size === items.length
}
