/**
 * Values of JSON that are as they must be: what the generated readers are made of. Each function returns the value in
 * memory, and throws `notPlain` at whatever is not plainly right.
 */
import type { JsonValue } from '../gen/types.ts'
import type { Format } from '../base/format.ts'
import { isObject } from '../base/json.ts'
import { readSpecial } from '../schema/special.ts'
import { isEmpty, isEmptyMessage } from './json-fields.ts'

type Fields = Record<string, unknown>

/** One object, so that no stack is taken: it is only ever caught by who looks closer then. */
export const notPlain = new Error('this is not plainly right')

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

export function isPlainObject(value: JsonValue): boolean {
  return isObject(value)
}

/** As in json-fields.ts, of a field with the option `written`; `message`: of a single message. */
export function isUnset(value: JsonValue, message: string | undefined): boolean {
  return message === undefined ? isEmpty(value) : isEmptyMessage(message, value)
}

/** As in field-rules.ts; `inert` is that option of a field that is no list or map. */
export function isInert(value: JsonValue, inert: readonly string[] | undefined): boolean {
  if (inert === undefined) return typeof value === 'object' && isEmpty(value)
  return inert.includes(typeof value === 'object' ? JSON.stringify(value) : String(value))
}

export function textOf(value: JsonValue): string {
  if (typeof value !== 'string') throw notPlain
  return value
}

/** Nothing is the empty text, as a value of a map of texts. */
export function textOrNothing(value: JsonValue): JsonValue {
  return value === null ? '' : value
}

export function mapTextOf(value: JsonValue): string {
  return textOf(textOrNothing(value))
}

export function booleanOf(value: JsonValue): boolean {
  if (typeof value !== 'boolean') throw notPlain
  return value
}

export function numberOf(value: JsonValue): number {
  if (typeof value !== 'number') throw notPlain
  return value
}

export function int32Of(value: JsonValue): number {
  if (typeof value !== 'number' || (value | 0) !== value) throw notPlain
  return value
}

export function uint32Of(value: JsonValue): number {
  if (typeof value !== 'number' || value >>> 0 !== value) throw notPlain
  return value
}

export function int64Of(value: JsonValue): number {
  if (!Number.isSafeInteger(value)) throw notPlain
  return value as number
}

export function uint64Of(value: JsonValue): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw notPlain
  return value as number
}

/** Text in base64, without the line breaks that it may have. */
export function base64Of(value: JsonValue): string {
  if (typeof value !== 'string') throw notPlain
  const text = /[\r\n]/.test(value) ? value.replace(/[\r\n]/g, '') : value
  if (!BASE64.test(text)) throw notPlain
  return text
}

export function choice(value: JsonValue, allowed: readonly string[]): string {
  if (typeof value !== 'string' || !allowed.includes(value)) throw notPlain
  return value
}

export function specialOf(message: string, value: JsonValue): unknown {
  const read = readSpecial(message, value)
  if (!('value' in read)) throw notPlain
  return read.value
}

/** A value that the options `enum` and `format` of its field allow. */
export function wellFormed<T>(value: T, allowed: readonly string[] | undefined, format: Format | undefined): T {
  if (typeof value !== 'string' && typeof value !== 'number') return value
  if (allowed !== undefined && !allowed.includes(String(value))) throw notPlain
  if (format !== undefined && format(value) !== undefined) throw notPlain
  return value
}

/** `drop`: as of the generated readers. An empty list is none. */
export function listOf<T>(
  value: JsonValue,
  read: (item: JsonValue, drop: boolean) => T,
  drop: boolean,
): T[] | undefined {
  if (!Array.isArray(value)) throw notPlain
  return value.length === 0 ? undefined : value.map((item) => read(item, drop))
}

/** A list in which no two items have the same key: the fields of those names, or what they are by default. */
export function distinct(
  items: readonly Fields[] | undefined,
  names: readonly string[],
  fallbacks: readonly (string | undefined)[],
): readonly Fields[] | undefined {
  if (items === undefined || items.length === 1) return items
  const seen = new Set<string>()
  for (const item of items) {
    const key = names.map((name, index) => item[name] ?? fallbacks[index])
    if (key.includes(undefined)) continue
    const text = key.join('\n')
    if (seen.has(text)) throw notPlain
    seen.add(text)
  }
  return items
}

/** An empty map is none. */
export function mapOf(
  value: JsonValue,
  keys: Format | undefined,
  read: (item: JsonValue, drop: boolean) => unknown,
  drop: boolean,
): Fields | undefined {
  if (!isObject(value)) throw notPlain
  let map: Fields | undefined
  for (const key of Object.keys(value)) {
    if (key === '__proto__' || (keys !== undefined && keys(key) !== undefined)) throw notPlain
    map ??= {}
    map[key] = read(value[key]!, drop)
  }
  return map
}

type ReadSchema = (value: JsonValue) => object

export function schemaOrBool(value: JsonValue, read: ReadSchema): object | boolean {
  return typeof value === 'boolean' ? value : read(value)
}

export function schemaOrList(value: JsonValue, read: ReadSchema): object {
  return Array.isArray(value) ? value.map(read) : read(value)
}

export function schemaOrTexts(value: JsonValue, read: ReadSchema): object {
  return Array.isArray(value) && value.every((item) => typeof item === 'string') ? value : read(value)
}
