/**
 * Values in the form that decoding their stored bytes gives them: what the generated code of `canonical` is made of.
 * Each throws `notOfItsType` at a value that has not the type of its field.
 */
import type { JsonValue } from '../gen/types.ts'
import { sameJson } from '../base/json.ts'
import { formatDuration, formatTime, parseDuration, parseTime } from '../base/time.ts'

type Fields = Record<string, unknown>

/** `known`: one that is in that form already; it is the result where the value is the same. */
type Copy = (value: unknown, known: unknown) => unknown

/** What the value becomes is for its bytes to tell. */
export const notOfItsType = new Error('a value has not the type of its field')
export const NOTHING: Fields = Object.freeze({})
const INT32 = 2 ** 31

export function refuse(): never {
  throw notOfItsType
}

export function requireObject(value: unknown): void {
  if (typeof value !== 'object' || value === null) throw notOfItsType
}

/** An empty list is not stored. */
export function listOf(
  copy: Copy,
  list: readonly unknown[],
  known: readonly unknown[] | undefined,
): readonly unknown[] | undefined {
  const { length } = list
  if (length === 0) return undefined
  if (list === known) return list
  if (known?.length !== length) return list.map((item, index) => copy(item, known?.[index]))
  let same = true
  const items = list.map((item, index) => {
    const after = copy(item, known[index])
    if (after !== known[index]) same = false
    return after
  })
  return same ? known : items
}

export function emptyList(known: unknown): readonly unknown[] {
  return Array.isArray(known) && known.length === 0 ? known : []
}

/** An empty map is not stored either. */
export function mapOf(copy: Copy, map: Fields, known: Fields | undefined): Fields | undefined {
  const keys = Object.keys(map)
  if (keys.length === 0) return undefined
  if (map === known) return map
  if (keys.length > 1) keys.sort()
  let same = known !== undefined && Object.keys(known).length === keys.length
  const into: Fields = {}
  for (const key of keys) {
    if (key === '__proto__' || textOf(key) !== key) throw notOfItsType
    const before = known !== undefined && Object.hasOwn(known, key) ? known[key] : undefined
    const after = copy(map[key], before)
    if (after !== before) same = false
    into[key] = after
  }
  return same ? known : into
}

/** Half of a character is stored as the sign for what is none. */
export function textOf(value: unknown): string {
  if (typeof value !== 'string') throw notOfItsType
  return (value as WellFormed).isWellFormed() ? value : (value as WellFormed).toWellFormed()
}

/** Newer than the language that the compiler is told of. */
type WellFormed = string & { isWellFormed(): boolean; toWellFormed(): string }

export function booleanOf(value: unknown): boolean {
  if (typeof value !== 'boolean') throw notOfItsType
  return value
}

export function numberOf(value: unknown): number {
  if (typeof value !== 'number') throw notOfItsType
  return value
}

/** −0 is stored as 0. */
export function int32Of(value: unknown): number {
  if (!Number.isInteger(value) || (value as number) >= INT32 || (value as number) < -INT32) throw notOfItsType
  return (value as number) + 0
}

export function int64Of(value: unknown): number {
  if (!Number.isSafeInteger(value)) throw notOfItsType
  return (value as number) + 0
}

export function base64Of(value: unknown): string {
  if (typeof value !== 'string') throw notOfItsType
  return Buffer.from(value, 'base64').toString('base64')
}

/** A value that is no name of an enum is stored as 0. */
export function nameOf(names: readonly string[], value: unknown, first: string): string {
  return names.includes(value as string) ? (value as string) : first
}

/** Whole seconds. */
export function timeOf(value: unknown): string {
  if (typeof value !== 'string') throw notOfItsType
  return formatTime(Math.floor(parseTime(value) / 1000) * 1000)
}

const MICRO_TIME = /\.\d{6}Z$/

export function microTimeOf(value: unknown): string {
  if (typeof value !== 'string') throw notOfItsType
  // Nearly all have the form already.
  if (value.length === 27 && MICRO_TIME.test(value)) {
    parseTime(`${value.slice(0, 19)}Z`)
    return value
  }
  const micros = /\.(\d{1,6})/.exec(value)?.[1]?.padEnd(6, '0') ?? '000000'
  return timeOf(value).replace('Z', `.${micros}Z`)
}

export function durationOf(value: unknown): string {
  if (typeof value !== 'string') throw notOfItsType
  return formatDuration(Math.round((parseDuration(value) ?? 0) * 1e6) / 1e6)
}

export function intOrStringOf(value: unknown): number | string {
  return typeof value === 'string' ? textOf(value) : int32Of(value)
}

export function fieldsOf(value: unknown, known: unknown): JsonValue {
  return (known !== undefined && sameJson(value, known) ? known : value) as JsonValue
}

export function extraValueOf(value: unknown): string[] {
  return (value as unknown[]).map(textOf)
}
