/** The messages that are one value in JSON and in memory, and their canonical forms. */
import type { JsonValue } from '../gen/types.ts'
import { GantryError } from '../base/errors.ts'
import { readCanonicalQuantity } from '../base/quantity.ts'
import { formatDuration, formatTime, parseDuration, parseTime } from '../base/time.ts'

/** The canonical value, or what is wrong; `mistyped` if a value of another type is needed. */
export type SpecialValue =
  | { readonly value: unknown }
  | { readonly message: string; readonly remedy: string; readonly mistyped?: boolean; readonly reason?: undefined }

const INT32 = 2 ** 31

/** The value in memory of one of SPECIAL_MESSAGES. */
export function readSpecial(message: string, value: JsonValue): SpecialValue {
  switch (message) {
    case 'Quantity':
      return quantity(value)
    case 'Time':
      return time(value, (text) => formatTime(parseTime(text)))
    case 'MicroTime':
      return time(value, microseconds)
    case 'Duration':
      return duration(value)
    case 'IntOrString':
      return intOrString(value)
    case 'FieldsV1':
      if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { value }
      return { message: 'an object', remedy: '', mistyped: true }
    case 'ExtraValue':
      if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return { value }
      return { message: 'a list of strings', remedy: '', mistyped: true }
    // The decoder has read the schemas in them.
    case 'JSON':
    case 'JSONSchemaPropsOrArray':
    case 'JSONSchemaPropsOrBool':
    case 'JSONSchemaPropsOrStringArray':
      return { value }
    default:
      throw new TypeError(`${message} is not one value`)
  }
}

function duration(value: JsonValue): SpecialValue {
  const remedy = 'write it as 30s, 1m30s or 1.5h'
  if (typeof value !== 'string') return { message: 'a length of time', remedy, mistyped: true }
  const millis = parseDuration(value)
  return millis === undefined ? { message: 'is not a length of time', remedy } : { value: formatDuration(millis) }
}

/** A plain number is accepted, as Kubernetes does: `cpu: 1`. */
function quantity(value: JsonValue): SpecialValue {
  if (typeof value !== 'string' && typeof value !== 'number')
    return { message: 'a quantity', remedy: 'write it as 250m, 1.5, 64Mi or 2G', mistyped: true }
  const canonical = readCanonicalQuantity(String(value))
  return canonical === undefined
    ? { message: 'is not a quantity', remedy: 'write it as 250m, 1.5, 64Mi or 2G' }
    : { value: canonical }
}

function time(value: JsonValue, form: (text: string) => string): SpecialValue {
  const remedy = 'write it as "2026-01-31T12:00:00Z" (RFC 3339)'
  if (typeof value !== 'string') return { message: 'a time', remedy, mistyped: true }
  try {
    return { value: form(value) }
  } catch (thrown) {
    if (GantryError.is(thrown, 'InvalidArgument')) return { message: 'is not a time', remedy }
    throw thrown
  }
}

function microseconds(text: string): string {
  const fraction = (/\.(\d+)/.exec(text)?.[1] ?? '').slice(0, 6).padEnd(6, '0')
  return formatTime(parseTime(text)).replace('Z', `.${fraction}Z`)
}

function intOrString(value: JsonValue): SpecialValue {
  if (typeof value === 'string') return { value }
  if (typeof value !== 'number') return { message: 'a whole number or a string', remedy: '', mistyped: true }
  if (Number.isInteger(value) && Math.abs(value) < INT32) return { value }
  return { message: 'is neither a whole number (32 bits) nor a string', remedy: '' }
}
