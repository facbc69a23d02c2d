/**
 * JSON values to objects in memory and back, strictly: an unknown field, a value of another type, a field that Gantry
 * does not act on, two items of a list with one key are errors, and all of them are told at once. Null means absent, as
 * in Kubernetes. For text with positions see manifest.ts, for bytes wire.ts.
 */
import { jsonReader } from '../gen/json-readers.ts'
import { jsonTree } from '../gen/json-trees.ts'
import type { JsonObject, JsonValue, Kind, Messages, Resources } from '../gen/types.ts'
import { readCustom, writeCustom } from './custom.ts'
import { customKinds } from '../schema/custom/definitions.ts'
import { isObject } from '../base/json.ts'
import { type Problem, problemError } from '../base/problem.ts'
import { apiVersionOf, resourceOf } from '../schema/schema.ts'
import { Decoder, type DecodeOptions } from './json-decoder.ts'
import type { Fields } from './json-fields.ts'
import { notPlain } from './json-values.ts'

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
    const fields =
      readPlain('ObjectMeta', metadata ?? {}, options.dropReadOnly === true) ??
      decoder.message('ObjectMeta', metadata ?? {}, 'metadata') ??
      {}
    const { object, problems } = readCustom(custom, rest, fields, options.dropReadOnly === true)
    return { object: object as unknown as Resources[Kind], problems: [...decoder.problems, ...problems] }
  }
  const object = readPlain(found, withoutHeader(value), options.dropReadOnly === true, true)
  if (object !== undefined) return { object: object as unknown as Resources[Kind], problems: [] }
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
  const plain = readPlain(message, withoutHeader(value), false)
  if (plain !== undefined) return { object: plain as unknown as Messages[M], problems: [] }
  const decoder = new Decoder({})
  const object = decoder.message(message, value, '', true) as unknown as Messages[M]
  return { object, problems: decoder.problems }
}

/**
 * The object that a value is the JSON of, if nothing is wrong with it: nearly always. Undefined where the decoder has
 * to look, which goes by the schema at every step and tells what is wrong.
 */
function readPlain(message: string, value: JsonValue, drop: boolean, named = false): Fields | undefined {
  try {
    return jsonReader(message)?.(value, drop, named) as Fields | undefined
  } catch (thrown) {
    if (thrown === notPlain) return undefined
    throw thrown
  }
}

/** What an object says of itself is looked at before. */
function withoutHeader(value: JsonValue): JsonValue {
  if (!isObject(value)) return value
  const { apiVersion: _apiVersion, kind: _kind, ...rest } = value
  return rest
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
  if (custom !== undefined) return writeCustom(custom, object, encodeFields('ObjectMeta', object.metadata), apiVersion)
  // NotFound for a kind whose definition is gone.
  resourceOf(kind)
  return jsonTree(kind)!(object, full, true) as JsonObject
}

/** A message's JSON, for one that is no kind by its name: options of a request, an answer. */
export function encodeFields(message: string, fields: object, full = false): JsonObject {
  const encode = jsonTree(message)
  if (encode === undefined) throw new TypeError(`${message} has no form in JSON`)
  return encode(fields, full) as JsonObject
}
