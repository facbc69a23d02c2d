/** The fields of messages as JSON has them, and what is never undefined of them in memory. */
import { messageSchema } from '../schema/schema.ts'
import type { FieldSchema } from '../schema/model.ts'
import type { JsonValue } from '../gen/types.ts'
import { isObject } from '../base/json.ts'

/** An object in memory by the names of its fields. */
export type Fields = Record<string, unknown>

const fieldMaps = new Map<string, ReadonlyMap<string, FieldSchema>>()

/** The fields of a message by the names they have in JSON: those of inlined messages stand beside its own. */
export function jsonFields(message: string): ReadonlyMap<string, FieldSchema> {
  let fields = fieldMaps.get(message)
  if (fields === undefined) {
    fields = new Map(
      messageSchema(message).fields.flatMap((field) =>
        field.options.inline === true ? [...jsonFields(field.type)] : [[field.name, field] as const],
      ),
    )
    fieldMaps.set(message, fields)
  }
  return fields
}

interface Filler {
  readonly name: string
  readonly zero: () => unknown
}

const fillers = new Map<string, readonly Filler[]>()

/** Adds what is never undefined in memory: `always` fields with their zero value, required lists and maps empty. */
export function fill(message: string, into: Fields): Fields {
  let known = fillers.get(message)
  if (known === undefined)
    fillers.set(message, (known = [...jsonFields(message).values()].flatMap((field) => filler(field) ?? [])))
  for (const { name, zero } of known) into[name] ??= zero()
  return into
}

function filler({ name, label, kind, type, options }: FieldSchema): Filler | undefined {
  if (label !== 'optional')
    return options.required === true ? { name, zero: () => (label === 'map' ? {} : []) } : undefined
  if (options.always !== true) return undefined
  if (kind === 'message') return { name, zero: () => fill(type, {}) }
  return { name, zero: () => zeroOf(type) }
}

export function zeroOf(type: string): string | number | boolean {
  return type === 'string' || type === 'bytes' ? '' : type === 'bool' ? false : 0
}

/** The zero value of a scalar, or an object or list in which nothing is. */
export function isEmpty(value: unknown): boolean {
  return (
    value === '' ||
    value === 0 ||
    value === false ||
    (typeof value === 'object' && value !== null && Object.keys(value).length === 0)
  )
}

/** True for what is in JSON only because Kubernetes writes it even if it is empty: it says nothing by being there. */
export function isUnset(field: FieldSchema, value: JsonValue): boolean {
  return (
    field.options.written === true &&
    (field.kind === 'message' && field.label === 'optional' ? isEmptyMessage(field.type, value) : isEmpty(value))
  )
}

/**
 * True for an object of a message in which nothing is set. What is a pointer in Go is set by being there, whatever it
 * holds: a field with the option `presence`, and a message that Kubernetes does not write when it is empty.
 */
export function isEmptyMessage(message: string, value: JsonValue): boolean {
  if (!isObject(value)) return false
  const fields = jsonFields(message)
  return Object.entries(value).every(([key, item]) => {
    const field = fields.get(key)
    if (field === undefined || field.options.presence === true) return false
    if (field.kind !== 'message' || field.label !== 'optional' || !isObject(item)) return isEmpty(item)
    return (field.options.written === true || field.options.always === true) && isEmptyMessage(field.type, item)
  })
}
