/**
 * The JSON of FieldsV1, of which managedFields are full: objects of objects, the innermost of them empty. What is not
 * of that form is left to JSON.parse.
 */
import type { JsonObject, JsonValue } from '../gen/types.ts'
import { readKnownFields } from './known-fields.ts'
import { knownJsonText } from './known-texts.ts'

/** Nested so deep at most: a path through the fields of an object is not as long. */
const DEPTH = 32
const [QUOTE, COMMA, COLON, BACKSLASH, OPEN, CLOSE] = [0x22, 0x2c, 0x3a, 0x5c, 0x7b, 0x7d]

/** The value of a field that owns itself alone. Most values are this one, so that they take no memory. */
const LEAF: JsonObject = Object.freeze({})

/** The next byte. */
let at = 0

/** The value that these bytes are the JSON of. SyntaxError for what is none. Nobody changes what is read. */
export function readFieldsJson(bytes: Buffer, start: number, end: number): JsonValue {
  return (
    readKnownFields(bytes, start, end, () => readFields(bytes, start, end)) ??
    (JSON.parse(bytes.toString('utf8', start, end)) as JsonValue)
  )
}

/** Undefined for what is not of the form. */
function readFields(bytes: Buffer, start: number, end: number): JsonObject | undefined {
  at = start + 1
  const value = bytes[start] === OPEN ? readObject(bytes, end, 0) : undefined
  return at === end ? value : undefined
}

/** What comes after an opening brace, with the closing one; undefined for what is not of the form. */
function readObject(bytes: Buffer, end: number, depth: number): JsonObject | undefined {
  if (bytes[at] === CLOSE && at < end) {
    at++
    return LEAF
  }
  if (depth === DEPTH) return undefined
  const object: JsonObject = {}
  for (;;) {
    const key = readKey(bytes, end)
    if (key === undefined || key === '__proto__' || bytes[at] !== COLON || bytes[at + 1] !== OPEN) return undefined
    at += 2
    const value = readObject(bytes, end, depth + 1)
    if (value === undefined || at >= end) return undefined
    object[key] = value
    const next = bytes[at++]
    if (next === CLOSE) return object
    if (next !== COMMA) return undefined
  }
}

function readKey(bytes: Buffer, end: number): string | undefined {
  if (bytes[at] !== QUOTE) return undefined
  const start = at + 1
  let hash = 0
  for (let index = start; index < end; index++) {
    const byte = bytes[index]!
    if (byte === QUOTE) {
      at = index + 1
      return knownJsonText(bytes, start, index, hash)
    }
    if (byte < 32 || byte > 126) return undefined
    hash = (Math.imul(hash, 31) + byte) | 0
    if (byte !== BACKSLASH) continue
    // The two of them that stand for themselves; all other escapes are rare.
    const escaped = bytes[++index]
    if (escaped !== QUOTE && escaped !== BACKSLASH) return undefined
    hash = (Math.imul(hash, 31) + escaped) | 0
  }
  return undefined
}
