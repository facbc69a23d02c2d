/**
 * OpenAPI documents in protobuf: the messages of https://github.com/google/gnostic-models, in which Kubernetes' clients
 * ask for them. The tables of wire-v2.ts and wire-v3.ts say for each object of a document which field of which message
 * each of its keys is; this writes by them.
 */
import protobuf from 'protobufjs/minimal.js'
import { isObject } from '../../../proto/base/json.ts'
import type { JsonObject, JsonValue } from '../../../proto/gen/types.ts'

type Writer = protobuf.Writer

/** Writes a value as a field, with its number and type. */
export type Field = (writer: Writer, value: JsonValue) => void
/** Writes the fields of a message. */
export type Message = (writer: Writer, value: JsonValue) => void

const [VARINT, FIXED64, BYTES] = [0, 1, 2]
const tag = (number: number, wire: number): number => ((number << 3) | wire) >>> 0

export const text =
  (number: number): Field =>
  (writer, value) =>
    void writer.uint32(tag(number, BYTES)).string(String(value))
export const flag =
  (number: number): Field =>
  (writer, value) =>
    void writer.uint32(tag(number, VARINT)).bool(value === true)
export const double =
  (number: number): Field =>
  (writer, value) =>
    void writer.uint32(tag(number, FIXED64)).double(Number(value))
export const integer =
  (number: number): Field =>
  (writer, value) =>
    void writer.uint32(tag(number, VARINT)).int64(Number(value))

/** A key of JSON that has no field in protobuf. */
export const nowhere: Field = () => undefined

/** Several of a field. */
export const each =
  (field: Field): Field =>
  (writer, value) => {
    for (const item of Array.isArray(value) ? value : [value]) field(writer, item)
  }

/** A message within. */
export const inner =
  (number: number, message: () => Message): Field =>
  (writer, value) => {
    writer.uint32(tag(number, BYTES)).fork()
    message()(writer, value)
    writer.ldelim()
  }

/** Any value is its YAML, which JSON is, too. */
export const any = (number: number): Field =>
  inner(number, () => (writer, value) => text(2)(writer, JSON.stringify(value)))

/** A message that is one field and nothing more. */
export const only = (field: Field): Message => field

/** An object's keys and values as a repeated message of name and value. */
export const named =
  (number: number, value: (number: number) => Field): Field =>
  (writer, object) => {
    const entry = value(2)
    for (const [name, item] of Object.entries(entries(object))) {
      writer.uint32(tag(number, BYTES)).fork()
      text(1)(writer, name)
      entry(writer, item)
      writer.ldelim()
    }
  }

/**
 * A message of which each key is a field. What begins with x- goes to the field `extensions`; `others`, where there is
 * one, takes every other key. A key that has no field is a fault of the tables.
 */
export const message = (fields: Readonly<Record<string, Field>>, extensions?: number, others?: Field): Message => {
  const extra = extensions === undefined ? undefined : named(extensions, any)
  return (writer, value) => {
    for (const [name, item] of Object.entries(entries(value))) {
      const field = Object.hasOwn(fields, name) ? fields[name] : undefined
      if (field !== undefined) field(writer, item)
      else if (extra !== undefined && name.startsWith('x-')) extra(writer, { [name]: item })
      else if (others !== undefined) others(writer, { [name]: item })
      else throw new TypeError(`no field for ${name} in an OpenAPI document`)
    }
  }
}

export function encodeDocument(document: JsonObject, root: Message): Uint8Array {
  const writer = protobuf.Writer.create()
  root(writer, document)
  return writer.finish()
}

function entries(value: JsonValue): JsonObject {
  if (!isObject(value)) throw new TypeError('an OpenAPI document has an object here')
  return value
}
