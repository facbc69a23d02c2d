/**
 * Empty values in protobuf that stand for absent ones. Kubernetes' clients in Go write every field that is no pointer,
 * whether it was set or not: an empty string, 0, false, a structure with nothing in it. Only a field with the option
 * `presence` tells them from absence, as Go's pointers do.
 * https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md#optional-vs-required
 */
import type { JsonObject, JsonValue } from '../gen/types.ts'
import { jsonFields } from './json-fields.ts'
import { valueFlaw } from '../schema/field-rules.ts'
import { SPECIAL_MESSAGES } from '../schema/schema.ts'
import type { FieldSchema } from '../schema/model.ts'
import { isObject } from '../base/json.ts'

/** Special messages that hold JSON schemas: where their value is an object or a list of objects, it is one. */
const SCHEMAS: ReadonlySet<string> = new Set([
  'JSONSchemaPropsOrArray',
  'JSONSchemaPropsOrBool',
  'JSONSchemaPropsOrStringArray',
])

/** What a special message without content reads as. A 64-bit integer is text in JSON only where it is large. */
const EMPTY: ReadonlyMap<string, readonly JsonValue[]> = new Map([
  ['Time', ['1970-01-01T00:00:00Z']],
  ['MicroTime', ['1970-01-01T00:00:00.000000Z']],
  ['Duration', ['0s']],
  ['IntOrString', [0, '']],
  ['Quantity', ['0', '']],
])
const EMPTY_SCALARS: readonly JsonValue[] = ['', 0, '0', false]

/** The JSON of a message without them. Items of lists and values of maps stay, whatever they are. */
export function withoutZeroValues(message: string, json: JsonObject): JsonObject {
  const fields = jsonFields(message)
  const kept: JsonObject = {}
  for (const [name, value] of Object.entries(json)) {
    const field = fields.get(name)
    const inside = field === undefined ? value : inner(field, value)
    if (field === undefined || !isEmpty(field, inside)) kept[name] = inside
  }
  return kept
}

function isEmpty(field: FieldSchema, value: JsonValue): boolean {
  const { label, kind, type, options } = field
  if (label !== 'optional' || options.presence === true) return false
  if (kind !== 'message')
    return EMPTY_SCALARS.includes(value) && (value !== '0' || type !== 'string') && !isMeant(field, value)
  if (SPECIAL_MESSAGES.has(type)) return EMPTY.get(type)?.includes(value) === true
  return isStructure(field) && isObject(value) && Object.keys(value).length === 0
}

/**
 * What must be there can be 0 or false, such as an exit code, unless that is no value that it may have. An empty string
 * counts as missing.
 */
function isMeant(field: FieldSchema, value: JsonValue): boolean {
  return (
    field.options.required === true &&
    value !== '' &&
    (typeof value === 'boolean' || valueFlaw(field, value as string | number) === undefined)
  )
}

/** A message is a pointer in Go, and says something by being there, unless every object has it. */
function isStructure({ options }: FieldSchema): boolean {
  return (
    options.always === true || options.written === true || options.required === true || options.default !== undefined
  )
}

function inner(field: FieldSchema, value: JsonValue): JsonValue {
  const type = SCHEMAS.has(field.type) ? 'JSONSchemaProps' : field.type
  if (field.kind !== 'message' || SPECIAL_MESSAGES.has(type)) return value
  const one = (item: JsonValue): JsonValue => (isObject(item) ? withoutZeroValues(type, item) : item)
  if (field.label === 'map' && isObject(value))
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [key, Array.isArray(item) ? item.map(one) : one(item)]),
    )
  return Array.isArray(value) ? value.map(one) : one(value)
}
