/**
 * Protobuf bytes to objects in memory and back, by looking at the schema at every step: what the generated code is
 * compared with.
 */
import protobuf from 'protobufjs/minimal.js'
import type { JsonObject, JsonValue } from '../../../../proto/gen/types.ts'
import { GantryError } from '../../../../proto/base/errors.ts'
import { messageSchema, schema } from '../../../../proto/schema/schema.ts'
import type { FieldSchema } from '../../../../proto/schema/model.ts'
import { formatDuration, formatTime, parseDuration, parseTime } from '../../../../proto/base/time.ts'

type Reader = protobuf.Reader
type Writer = protobuf.Writer
type Fields = Record<string, unknown>

interface Value {
  readonly wireType: number
  write(writer: Writer, value: unknown): void
  read(reader: Reader, previous: unknown): unknown
  zero(): unknown
}

interface Codec {
  write(value: unknown, writer: Writer): void
  /** Reads up to `end`; fields met are added to `into`, as protobuf merges a message that comes in pieces. */
  read(reader: Reader, end: number, into: Fields): Fields
  fill(into: Fields): Fields
}

const WIRE = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 }

function number(long: unknown): number {
  return typeof long === 'number' ? long : (long as { toNumber(): number }).toNumber()
}

const scalars: Record<string, Value> = {
  string: {
    wireType: WIRE.bytes,
    // By Buffer, which replaces what is no character; protobufjs does it for longer texts only.
    write: (w, v) => void w.bytes(Buffer.from(v as string)),
    read: (r) => r.string(),
    zero: () => '',
  },
  bool: { wireType: WIRE.varint, write: (w, v) => void w.bool(v as boolean), read: (r) => r.bool(), zero: () => false },
  bytes: {
    wireType: WIRE.bytes,
    write: (w, v) => void w.bytes(v as Uint8Array),
    read: (r) => r.bytes(),
    zero: () => new Uint8Array(),
  },
  int32: { wireType: WIRE.varint, write: (w, v) => void w.int32(v as number), read: (r) => r.int32(), zero: () => 0 },
  uint32: {
    wireType: WIRE.varint,
    write: (w, v) => void w.uint32(v as number),
    read: (r) => r.uint32(),
    zero: () => 0,
  },
  int64: {
    wireType: WIRE.varint,
    write: (w, v) => void w.int64(v as number),
    read: (r) => number(r.int64()),
    zero: () => 0,
  },
  uint64: {
    wireType: WIRE.varint,
    write: (w, v) => void w.int64(v as number),
    read: (r) => number(r.uint64()),
    zero: () => 0,
  },
  double: {
    wireType: WIRE.fixed64,
    write: (w, v) => void w.double(v as number),
    read: (r) => r.double(),
    zero: () => 0,
  },
  float: { wireType: WIRE.fixed32, write: (w, v) => void w.float(v as number), read: (r) => r.float(), zero: () => 0 },
}

const base64: Value = {
  wireType: WIRE.bytes,
  write: (w, v) => void w.bytes(Buffer.from(v as string, 'base64')),
  read: (r) => Buffer.from(r.bytes()).toString('base64'),
  zero: () => '',
}

/** A message that is one value in memory, by way of a plain message codec; `texts`: in which bytes are text. */
function special(
  name: string,
  toFields: (value: never) => Fields,
  fromFields: (fields: Fields) => unknown,
  texts = false,
): Value {
  let plain: Codec | undefined
  const write = (value: unknown, writer: Writer): void => plain!.write(toFields(value as never), writer)
  return {
    wireType: WIRE.bytes,
    write(writer, value) {
      plain ??= makeCodec(name, texts)
      writer.fork()
      write(value, writer)
      writer.ldelim()
    },
    read(reader) {
      plain ??= makeCodec(name, texts)
      return fromFields(plain.read(reader, reader.uint32() + reader.pos, {}))
    },
    zero: () => undefined,
  }
}

const specials: Record<string, Value> = {
  Quantity: special(
    'Quantity',
    (value: string) => ({ string: value }),
    (fields) => fields.string ?? '',
  ),
  Time: special(
    'Time',
    (value: string) => ({ seconds: Math.floor(parseTime(value) / 1000) }),
    (fields) => formatTime(((fields.seconds as number | undefined) ?? 0) * 1000),
  ),
  MicroTime: special('MicroTime', microToFields, microFromFields),
  Duration: special(
    'Duration',
    (value: string) => ({ duration: Math.round((parseDuration(value) ?? 0) * 1e6) }),
    (fields) => formatDuration(((fields.duration as number | undefined) ?? 0) / 1e6),
  ),
  IntOrString: special(
    'IntOrString',
    (value: number | string) =>
      typeof value === 'number' ? { type: 0, intVal: value, strVal: '' } : { type: 1, intVal: 0, strVal: value },
    (fields) => (fields.type === 1 ? (fields.strVal ?? '') : (fields.intVal ?? 0)),
  ),
  FieldsV1: special(
    'FieldsV1',
    (value: JsonObject) => ({ Raw: JSON.stringify(value) }),
    (fields) => JSON.parse((fields.Raw as string | undefined) ?? '{}'),
    true,
  ),
  ExtraValue: special(
    'ExtraValue',
    (value: string[]) => ({ items: value }),
    (fields) => fields.items ?? [],
  ),
  JSON: special(
    'JSON',
    (value: JsonValue) => ({ raw: JSON.stringify(value) }),
    (fields) => JSON.parse((fields.raw as string | undefined) ?? 'null'),
    true,
  ),
  JSONSchemaPropsOrArray: special(
    'JSONSchemaPropsOrArray',
    (value: object) => (Array.isArray(value) ? { jSONSchemas: value } : { schema: value }),
    (fields) => fields.jSONSchemas ?? fields.schema ?? {},
  ),
  JSONSchemaPropsOrBool: special(
    'JSONSchemaPropsOrBool',
    (value: object | boolean) => (typeof value === 'boolean' ? { allows: value } : { allows: true, schema: value }),
    (fields) => fields.schema ?? fields.allows ?? false,
  ),
  JSONSchemaPropsOrStringArray: special(
    'JSONSchemaPropsOrStringArray',
    (value: object) => (Array.isArray(value) ? { property: value } : { schema: value }),
    (fields) => fields.property ?? fields.schema ?? [],
  ),
}

function microToFields(value: string): Fields {
  const micros = Number(/\.(\d{1,6})/.exec(value)?.[1]?.padEnd(6, '0') ?? 0)
  return { seconds: Math.floor(parseTime(value) / 1000), nanos: micros * 1000 }
}

function microFromFields(fields: Fields): string {
  const seconds = formatTime(((fields.seconds as number | undefined) ?? 0) * 1000)
  const micros = Math.floor(((fields.nanos as number | undefined) ?? 0) / 1000)
  return seconds.replace('Z', `.${String(micros).padStart(6, '0')}Z`)
}

function enumValue(name: string): Value {
  const values = schema.enums[name]!.values
  const names = new Map(Object.entries(values).map(([key, value]) => [value, key]))
  const first = names.get(0)
  return {
    wireType: WIRE.varint,
    write: (w, v) => void w.int32(values[v as string] ?? 0),
    read: (r) => names.get(r.int32()) ?? first,
    zero: () => first,
  }
}

function messageValue(name: string): Value {
  let codec: Codec | undefined
  return {
    wireType: WIRE.bytes,
    write(writer, value) {
      codec ??= codecOf(name)
      writer.fork()
      codec.write(value, writer)
      writer.ldelim()
    },
    read(reader, previous) {
      codec ??= codecOf(name)
      return codec.fill(codec.read(reader, reader.uint32() + reader.pos, (previous as Fields | undefined) ?? {}))
    },
    zero: () => codecOf(name).fill({}),
  }
}

function valueOf(field: FieldSchema, texts: boolean): Value {
  if (field.kind === 'enum') return enumValue(field.type)
  if (field.kind === 'message') return specials[field.type] ?? messageValue(field.type)
  if (field.type === 'bytes' && texts) return scalars.string!
  return field.options.base64 === true ? base64 : scalars[field.type]!
}

function writeMap(writer: Writer, tag: number, value: Value, map: Fields): void {
  const write = (key: string): void => {
    writer
      .uint32((1 << 3) | WIRE.bytes)
      .bytes(Buffer.from(key))
      .uint32((2 << 3) | value.wireType)
    value.write(writer, map[key])
  }
  for (const key of Object.keys(map).sort()) {
    writer.uint32(tag).fork()
    write(key)
    writer.ldelim()
  }
}

function readMapEntry(reader: Reader, value: Value, map: Fields): void {
  const end = reader.uint32() + reader.pos
  let key = ''
  let item: unknown
  while (reader.pos < end) {
    const tag = reader.uint32()
    if (tag === ((1 << 3) | WIRE.bytes)) key = reader.string()
    else if (tag === ((2 << 3) | value.wireType)) item = value.read(reader, undefined)
    else if (tag >>> 3 <= 2) throw new RangeError(`an entry of a map has wire type ${tag & 7}`)
    else reader.skipType(tag & 7)
  }
  if (reader.pos !== end) throw new RangeError('an entry of a map is cut off')
  const found = item ?? value.zero()
  if (key === '__proto__')
    Object.defineProperty(map, key, { value: found, enumerable: true, writable: true, configurable: true })
  else map[key] = found
}

function fieldWriter(field: FieldSchema, value: Value): (writer: Writer, fields: Fields) => void {
  const { name, number: id } = field
  const tag = ((id << 3) | value.wireType) >>> 0
  const write = (writer: Writer, item: unknown): void => value.write(writer.uint32(tag), item)
  if (field.options.inline === true) return (writer, fields) => write(writer, fields)
  if (field.oneof !== undefined) {
    const oneof = field.oneof
    return (writer, fields) => {
      const chosen = fields[oneof] as { case: string; value: unknown } | undefined
      if (chosen?.case === name) write(writer, chosen.value)
    }
  }
  if (field.label === 'map') {
    const mapTag = ((id << 3) | WIRE.bytes) >>> 0
    return (writer, fields) => {
      if (fields[name] !== undefined) writeMap(writer, mapTag, value, fields[name] as Fields)
    }
  }
  if (field.label === 'repeated') {
    return (writer, fields) => {
      for (const item of (fields[name] as unknown[] | undefined) ?? []) write(writer, item)
    }
  }
  const skipZero = (field.implicit && field.kind !== 'message') || field.options.always === true
  const zero = skipZero && field.kind !== 'message' && field.type !== 'bytes' ? value.zero() : undefined
  return (writer, fields) => {
    const item = fields[name]
    if (item !== undefined && item !== null && (!skipZero || item !== zero)) write(writer, item)
  }
}

/** Bytes in which a known field has another wire type than its own are not the message that was expected. */
function refuseForm(tag: number, { name }: FieldSchema): never {
  throw new RangeError(`the field ${name} is written with wire type ${tag & 7}`)
}

function readField(reader: Reader, tag: number, field: FieldSchema, value: Value, into: Fields): void {
  const { name } = field
  const packed = field.label === 'repeated' && (tag & 7) === WIRE.bytes
  if (!packed && (tag & 7) !== (field.label === 'map' ? WIRE.bytes : value.wireType)) refuseForm(tag, field)
  if (field.options.inline === true) value.read(reader, into)
  else if (field.oneof !== undefined) into[field.oneof] = { case: name, value: value.read(reader, undefined) }
  else if (field.label === 'map') readMapEntry(reader, value, (into[name] ??= {}) as Fields)
  else if (field.label === 'repeated') {
    const list = (into[name] ??= []) as unknown[]
    if (packed && value.wireType !== WIRE.bytes) {
      const end = reader.uint32() + reader.pos
      while (reader.pos < end) list.push(value.read(reader, undefined))
    } else list.push(value.read(reader, undefined))
  } else into[name] = value.read(reader, into[name])
}

/** What a field of a message just read is when the bytes did not have it; undefined for a field that stays absent. */
function filler(field: FieldSchema, value: Value): ((into: Fields) => void) | undefined {
  const { name, oneof, label, implicit, options, kind } = field
  if (oneof !== undefined || options.inline === true) return undefined
  if (label !== 'optional') {
    if (!implicit && options.required !== true) return undefined
    return (into) => void (into[name] ??= label === 'map' ? {} : [])
  }
  if (!(implicit && kind !== 'message') && options.always !== true) return undefined
  return (into) => void (into[name] ??= value.zero())
}

function makeCodec(name: string, texts = false): Codec {
  const message = messageSchema(name)
  const fields = message.fields.map((field) => ({ field, value: valueOf(field, texts) }))
  const byNumber = new Map(fields.map((item) => [item.field.number, item]))
  const writers = fields.map(({ field, value }) => fieldWriter(field, value))
  const fillers = fields.flatMap(({ field, value }) => filler(field, value) ?? [])
  return {
    write(value, writer) {
      for (const write of writers) write(writer, value as Fields)
    },
    read(reader, end, into) {
      while (reader.pos < end) {
        const tag = reader.uint32()
        const item = byNumber.get(tag >>> 3)
        if (item === undefined) reader.skipType(tag & 7)
        else readField(reader, tag, item.field, item.value, into)
      }
      // What is inside went beyond the end of its parent.
      if (reader.pos !== end) throw new RangeError(`a ${name} is cut off`)
      return into
    },
    fill(into) {
      for (const fill of fillers) fill(into)
      return into
    },
  }
}

const codecs = new Map<string, Codec>()

function codecOf(name: string): Codec {
  let codec = codecs.get(name)
  if (codec === undefined) codecs.set(name, (codec = makeCodec(name)))
  return codec
}

/** As `encode` of wire.ts. */
export function interpretEncode(message: string, value: unknown): Uint8Array {
  const writer = protobuf.Writer.create()
  codecOf(message).write(value, writer)
  return writer.finish()
}

/** As `decode` of wire.ts. */
export function interpretDecode(message: string, bytes: Uint8Array): object {
  const codec = codecOf(message)
  const reader = protobuf.Reader.create(bytes)
  try {
    return codec.fill(codec.read(reader, reader.len, {}))
  } catch (cause) {
    throw new GantryError('Internal', `these ${bytes.length} bytes are not a ${message}`, { cause })
  }
}
