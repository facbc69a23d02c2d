/** An object's JSON, by looking at the schema at every step: what the generated code is compared with. */
import type { JsonObject, JsonValue } from '../../../../proto/gen/types.ts'
import { isEmpty, jsonFields, zeroOf, type Fields } from '../../../../proto/codec/json-fields.ts'
import { messageSchema, SPECIAL_MESSAGES } from '../../../../proto/schema/schema.ts'
import type { FieldSchema, MessageSchema } from '../../../../proto/schema/model.ts'

/** As `encodeFields` of codec.ts. */
export function interpretFields(message: string, fields: object, full: boolean): JsonObject {
  return encodeMessage(messageSchema(message), fields as Fields, full)
}

function encodeMessage(message: MessageSchema, fields: Fields, full = false): JsonObject {
  const json: JsonObject = {}
  for (const field of jsonFields(message.name).values()) {
    const value = fields[field.name] ?? undefined
    if (value === undefined) {
      if (full && (isWritten(field) || isNeeded(field))) json[field.name] = emptyOf(field)
      continue
    }
    const encoded = encodeField(field, value, full)
    const { label, options } = field
    if ((options.always === true || label !== 'optional') && isEmpty(encoded) && !(full && isWritten(field))) continue
    json[field.name] = encoded
  }
  return json
}

/** True for what Kubernetes' JSON has even if it is empty. */
function isWritten({ kind, label, options }: FieldSchema): boolean {
  return options.written === true || (options.always === true && kind === 'message' && label === 'optional')
}

/** What must be there, in a structure in which nothing is set. */
function isNeeded({ kind, label, options }: FieldSchema): boolean {
  return options.required === true && options.presence !== true && kind !== 'message' && label === 'optional'
}

function emptyOf({ kind, label, type }: FieldSchema): JsonValue {
  if (label !== 'optional') return label === 'map' ? {} : []
  return kind === 'message' ? encodeMessage(messageSchema(type), {}, true) : (zeroOf(type) as JsonValue)
}

function encodeField(field: FieldSchema, value: unknown, full: boolean): JsonValue {
  if (field.kind !== 'message' || SPECIAL_MESSAGES.has(field.type)) return value as JsonValue
  const message = messageSchema(field.type)
  switch (field.label) {
    case 'optional':
      return encodeMessage(message, value as Fields, full)
    case 'repeated':
      return (value as Fields[]).map((item) => encodeMessage(message, item, full))
    case 'map':
      return Object.fromEntries(
        Object.entries(value as Record<string, Fields>).map(([key, item]) => [key, encodeMessage(message, item, full)]),
      )
  }
}
