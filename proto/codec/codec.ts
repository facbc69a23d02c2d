/**
 * JSON values to objects in memory and back, strictly: an unknown field, a value of another type, a field that Gantry
 * does not act on, two items of a list with one key are errors, and all of them are told at once. Null means absent, as
 * in Kubernetes. For text with positions see manifest.ts, for bytes wire.ts.
 */
import type { JsonObject, JsonValue, Kind, Messages, Resources } from '../gen/types.ts'
import { readCustom, writeCustom } from './custom.ts'
import { customKinds } from '../schema/custom/definitions.ts'
import { type Problem, problemError } from '../base/problem.ts'
import { apiVersionOf, messageSchema, resourceOf, SPECIAL_MESSAGES } from '../schema/schema.ts'
import type { FieldSchema, MessageSchema } from '../schema/model.ts'
import { Decoder, type DecodeOptions } from './json-decoder.ts'
import { isEmpty, jsonFields, zeroOf, type Fields } from './json-fields.ts'

/**
 * An object of the kind that the value names, or must be. All problems in one error, InvalidArgument or Unsupported,
 * with a detail each.
 */
export function decodeJson<K extends Kind>(
  kind: K | undefined,
  value: JsonValue,
  options: DecodeOptions = {},
): Resources[K] {
  const { object, problems } = inspectJson(kind, value, options)
  if (problems.length > 0) throw problemError(problems)
  return object as Resources[K]
}

/** As decodeJson, but with the problems as a value; the object is complete only if there are none. */
export function inspectJson(
  kind: Kind | undefined,
  value: JsonValue,
  options: DecodeOptions = {},
): { object: Resources[Kind] | undefined; problems: Problem[] } {
  const decoder = new Decoder(options)
  const found = decoder.kindOf(kind, value)
  if (found === undefined) return { object: undefined, problems: decoder.problems }
  const custom = customKinds.get(found)
  if (custom !== undefined) {
    const { metadata = null, ...rest } = value as JsonObject
    const fields = decoder.message('ObjectMeta', metadata ?? {}, 'metadata') ?? {}
    const { object, problems } = readCustom(custom, rest, fields, options.dropReadOnly === true)
    return { object: object as unknown as Resources[Kind], problems: [...decoder.problems, ...problems] }
  }
  const fields = decoder.message(found, value, '', true)
  return {
    object: { apiVersion: apiVersionOf(resourceOf(found)), kind: found, ...fields } as Resources[Kind],
    problems: decoder.problems,
  }
}

/**
 * As inspectJson, for a message that is no kind of the store: options of a request, a review. Its apiVersion and kind
 * are the caller's to look at.
 */
export function inspectMessage<M extends keyof Messages>(
  message: M,
  value: JsonValue,
): { object: Messages[M]; problems: Problem[] } {
  const decoder = new Decoder({})
  const object = decoder.message(message, value, '', true) as unknown as Messages[M]
  return { object, problems: decoder.problems }
}

export interface EncodeOptions {
  /** Another served version of a custom kind. */
  readonly apiVersion?: string | undefined
  /** With what Kubernetes' JSON has even if it is empty, such as `status: {}`: clients with strict types rely on it. */
  readonly full?: boolean
}

/**
 * An object's JSON, in the order apiVersion, kind, metadata, spec, status; what is absent or only filled in is left
 * out.
 */
export function encodeJson(object: Resources[Kind], { apiVersion, full = false }: EncodeOptions = {}): JsonObject {
  const { kind } = object
  const custom = customKinds.get(kind)
  if (custom !== undefined)
    return writeCustom(
      custom,
      object,
      encodeMessage(messageSchema('ObjectMeta'), object.metadata as unknown as Fields),
      apiVersion,
    )
  return {
    apiVersion: apiVersionOf(resourceOf(kind)),
    kind,
    ...encodeMessage(messageSchema(kind), object as unknown as Fields, full),
  }
}

/** A message's JSON, for one that is no kind by its name: options of a request, an answer. */
export function encodeFields(message: string, fields: object, full = false): JsonObject {
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
