/**
 * Zero values that nobody meant. Kubernetes' clients in Go write every field that is not a pointer, set or not: an empty string for a word that was
 * left out, 0 for a port. What has no meaning as a value is taken for absent, as Kubernetes' own defaulting does. https://protobuf.dev/programming-guides/proto2/#optional
 */
import type { JsonObject, JsonValue } from '../gen/types.ts'
import { jsonFields } from './codec.ts'
import { valueFlaw } from './field-rules.ts'
import { SPECIAL_MESSAGES, type FieldSchema } from './schema.ts'
import { isObject } from './shape.ts'

/**
 * Fields of numbers and truth values that are no pointers in Kubernetes' Go types, which therefore cannot tell 0 and false from absence; Kubernetes never shows
 * them. They must not differ for it: a template that one client writes in protobuf and another in JSON is the same template.
 * https://github.com/kubernetes/api/blob/v0.33.0/core/v1/types.go
 */
const VALUES: ReadonlySet<string> = new Set([
  'generation', 'hostIPC', 'hostNetwork', 'hostPID', 'hostPort', 'healthCheckNodePort', 'initialDelaySeconds', 'minReadySeconds', 'nodePort', 'observedGeneration', 'paused',
  'publishNotReadyAddresses', 'readOnly', 'stdin', 'stdinOnce', 'tty', 'unschedulable',
])
/** What a time that is not set reads as. */
const NO_TIME = '1970-01-01T00:00:00Z'

/** The JSON of a message without them. Items of lists and values of maps stay, whatever they are. */
export function withoutZeroValues(message: string, json: JsonObject): JsonObject {
  const fields = jsonFields(message)
  const kept: JsonObject = {}
  for (const [name, value] of Object.entries(json)) {
    const field = fields.get(name)
    if (field === undefined) kept[name] = value
    else if (!isMeaningless(name, field, value)) kept[name] = inner(field, value)
  }
  return kept
}

function isMeaningless(name: string, field: FieldSchema, value: JsonValue): boolean {
  if (field.label !== 'optional') return false
  if (field.kind !== 'scalar') return field.type === 'Time' && value === NO_TIME
  // A 64-bit integer is text in JSON where it is large only.
  if ((value === false || value === 0 || value === '0') && VALUES.has(name)) return true
  return value === '' || (value === 0 && valueFlaw(field, 0) !== undefined)
}

function inner(field: FieldSchema, value: JsonValue): JsonValue {
  if (field.kind !== 'message' || SPECIAL_MESSAGES.has(field.type)) return value
  const one = (item: JsonValue): JsonValue => (isObject(item) ? withoutZeroValues(field.type, item) : item)
  if (field.label === 'repeated' && Array.isArray(value)) return value.map(one)
  if (field.label === 'map' && isObject(value)) return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, one(item)]))
  return one(value)
}
