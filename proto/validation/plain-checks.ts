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

/** Conditions of one thing at most. */
export const MOST_CONDITIONS = 200
/** Items of any other list of a status, and keys of a map, at most. A Network has about as many parts. */
export const MOST_ITEMS = 10_000
/** Bytes of a text of a status that has no form of its own, such as a condition's message, at most. */
export const LONGEST_TEXT = 128 * 1024
/** As the control plane writes it: it need not be read again. */
export const CANONICAL_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z$/

/** A text of a status. */
export function isShort(value: unknown): boolean {
  return typeof value !== 'string' || value.length * 3 <= LONGEST_TEXT
}

/** A time of a status. */
export function isTime(message: string, value: unknown): boolean {
  return (typeof value === 'string' && CANONICAL_TIME.test(value)) || isSpecial(message, value)
}

/** True if each item has a key, and each another. */
export function areKeyed(items: readonly Fields[], names: readonly string[]): boolean {
  const seen = new Set(items.map((item) => names.map((name) => item[name] ?? '').join('\n')))
  return seen.size === items.length && !seen.has('')
}
