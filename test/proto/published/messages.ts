/** Objects as Kubernetes' own messages have them, made by chance, and their bytes as a client in Go writes them. */
import fc from 'fast-check'
import type protobuf from 'protobufjs'
import { messageSchema, SPECIAL_MESSAGES } from '../../../proto/schema/schema.ts'
import type { FieldSchema } from '../../../proto/schema/model.ts'
import { fieldsOf, OPAQUE, type Pair } from './pairs.ts'
import type { PublishedField, readTable } from './table.ts'

type Table = ReturnType<typeof readTable>
/** A message as protobufjs has it: by the names of the `.proto` files. */
export type Message = Record<string, unknown>

/** Levels of messages in each other. */
const DEPTH = 9
const text = fc.string({ unit: fc.constantFrom('a', 'b', '1', '-', 'é', '\n', '"'), minLength: 1, maxLength: 4 })
const seconds = fc.integer({ min: 1, max: 4_000_000_000 })
const rawJson = fc.constantFrom('{"f:spec":{"f:replicas":{}}}', '{}').map((json) => Buffer.from(json))

const SCALARS: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  string: text,
  bool: fc.constant(true),
  bytes: fc.uint8Array({ minLength: 1, maxLength: 4 }).map((bytes) => Buffer.from(bytes)),
  int32: fc.oneof(fc.constantFrom(-1, 1, 2 ** 31 - 1), fc.integer({ min: 1, max: 1_000 })),
  int64: fc.oneof(fc.constantFrom(-1, Number.MAX_SAFE_INTEGER), fc.integer({ min: 1, max: 1_000 })),
  double: fc.constantFrom(0.5, -2, 1e9),
}
const ZEROS: Readonly<Record<string, unknown>> = {
  string: '',
  bool: false,
  bytes: Buffer.alloc(0),
  int32: 0,
  int64: 0,
  double: 0,
}

function record(model: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<Message> {
  return fc.record(model, { noNullPrototype: true })
}

/**
 * Special messages in forms that are canonical, so that they come back as they were; what is absent from Go's
 * non-pointers is `EMPTY`.
 */
function special(name: string, schemas: () => fc.Arbitrary<Message>): fc.Arbitrary<Message> {
  switch (name) {
    case 'Quantity':
      return record({ string: fc.constantFrom('100m', '1', '2Gi') })
    case 'Time':
      return record({ seconds })
    case 'MicroTime':
      return record({ seconds, nanos: fc.integer({ min: 1, max: 999_999 }).map((micros) => micros * 1_000) })
    case 'Duration':
      return record({ duration: fc.integer({ min: 1, max: 100_000 }).map((millis) => millis * 1_000_000) })
    case 'IntOrString':
      return fc.oneof(
        record({ type: fc.constant(0), intVal: fc.integer({ min: 1, max: 99 }), strVal: fc.constant('') }),
        record({ type: fc.constant(1), intVal: fc.constant(0), strVal: text }),
      )
    case 'FieldsV1':
      return record({ Raw: rawJson })
    case 'ExtraValue':
      return record({ items: fc.array(text, { minLength: 1, maxLength: 2 }) })
    case 'JSON':
      return record({
        raw: fc
          .json({ maxDepth: 1 })
          .filter((json) => JSON.parse(json) !== null)
          .map((json) => Buffer.from(JSON.stringify(JSON.parse(json)))),
      })
    case 'JSONSchemaPropsOrArray':
      return fc.oneof(
        record({ schema: schemas() }),
        record({ jSONSchemas: fc.array(schemas(), { minLength: 1, maxLength: 2 }) }),
      )
    case 'JSONSchemaPropsOrBool':
      return fc.oneof(record({ allows: fc.boolean() }), record({ allows: fc.constant(true), schema: schemas() }))
    case 'JSONSchemaPropsOrStringArray':
      return fc.oneof(
        record({ schema: schemas() }),
        record({ property: fc.array(text, { minLength: 1, maxLength: 2 }) }),
      )
    default:
      throw new TypeError(`no ${name} can be made`)
  }
}
const EMPTY: Readonly<Record<string, Message>> = {
  Quantity: { string: '0' },
  Time: {},
  MicroTime: {},
  Duration: { duration: 0 },
  IntOrString: { type: 0, intVal: 0, strVal: '' },
}

export class Messages {
  readonly #table: Table
  readonly #made = new Map<string, fc.Arbitrary<Message>>()

  constructor(table: Table) {
    this.#table = table
  }

  /**
   * Messages in which everything that is not set is absent: of what is no pointer no zero value, and no structure that
   * is empty.
   */
  arbitrary(pair: Pair, depth = DEPTH): fc.Arbitrary<Message> {
    const key = `${pair.ours} ${pair.theirs} ${depth}`
    let made = this.#made.get(key)
    if (made === undefined) this.#made.set(key, (made = this.#make(pair, depth)))
    return made
  }

  #make(pair: Pair, depth: number): fc.Arbitrary<Message> {
    if (SPECIAL_MESSAGES.has(pair.ours))
      return special(pair.ours, () => (depth <= 1 ? fc.constant({}) : this.arbitrary(schemaIn(pair), depth - 1)))
    if (pair.ours === OPAQUE) return fc.constant({})
    const fields = fieldsOf(this.#table, pair)
    const model: Record<string, fc.Arbitrary<unknown>> = {}
    for (const field of fields) {
      const value = this.#field(pair, field, depth)
      if (value === undefined) continue
      // A client in Go cannot leave out what must be there. Else: the deeper, the fewer, as an object has to stay
      // small.
      const needed = !field.type.includes('.') && ourField(pair, field)?.options.required === true
      model[field.name] = needed
        ? value
        : fc.oneof({ weight: DEPTH - depth, arbitrary: fc.constant(undefined) }, { weight: 2, arbitrary: value })
    }
    return record(model).map((message) => {
      const set = fields.filter(
        (field) => message[field.name] !== undefined && !isEmptyStructure(field, message[field.name]),
      )
      return Object.fromEntries(set.map(({ name }) => [name, message[name]]))
    })
  }

  #field(pair: Pair, field: PublishedField, depth: number): fc.Arbitrary<unknown> | undefined {
    const one = this.#value(pair, field, depth)
    if (one === undefined) return undefined
    switch (field.label) {
      case 'repeated':
        return fc.array(one, { minLength: 1, maxLength: 2 })
      case 'map':
        return fc.dictionary(text, one, { minKeys: 1, maxKeys: 2, noNullPrototype: true })
      case 'optional':
        return one
    }
  }

  #value(pair: Pair, field: PublishedField, depth: number): fc.Arbitrary<unknown> | undefined {
    const { type, pointer, label } = field
    const scalar = SCALARS[type]
    // Items of a list and values of a map are there whatever they are.
    if (scalar !== undefined)
      return pointer || label !== 'optional' ? fc.oneof(scalar, fc.constant(ZEROS[type])) : scalar
    const ours = ourField(pair, field)
    return ours === undefined || depth <= 1 ? undefined : this.arbitrary({ ours: ours.type, theirs: type }, depth - 1)
  }

  /** What a client in Go writes: the same, with a value in each field that is no pointer. */
  asGo(pair: Pair, message: Message): Message {
    if (SPECIAL_MESSAGES.has(pair.ours)) return this.#specialAsGo(pair, message)
    if (pair.ours === OPAQUE) return message
    const written: Message = {}
    for (const field of fieldsOf(this.#table, pair)) {
      const value = message[field.name]
      const ours = ourField(pair, field)
      const inner = { ours: ours?.type ?? OPAQUE, theirs: field.type }
      const one = (item: unknown): unknown => (field.type.includes('.') ? this.asGo(inner, item as Message) : item)
      if (value === undefined) {
        if (field.pointer || field.label !== 'optional' || field.type === 'bytes' || ours === undefined) continue
        written[field.name] = ZEROS[field.type] ?? EMPTY[ours.type] ?? this.asGo(inner, {})
      } else if (field.label === 'repeated') written[field.name] = (value as unknown[]).map(one)
      else if (field.label === 'map')
        written[field.name] = Object.fromEntries(Object.entries(value as object).map(([key, item]) => [key, one(item)]))
      else written[field.name] = one(value)
    }
    return written
  }

  #specialAsGo(pair: Pair, message: Message): Message {
    const inside = schemaIn(pair)
    const { schema, jSONSchemas } = message as { schema?: Message; jSONSchemas?: Message[] }
    return {
      ...message,
      ...(schema !== undefined && { schema: this.asGo(inside, schema) }),
      ...(jSONSchemas !== undefined && { jSONSchemas: jSONSchemas.map((item) => this.asGo(inside, item)) }),
    }
  }

  /** The message without the values that say no more than absence does: the opposite of asGo. */
  lean(pair: Pair, message: Message): Message {
    if (SPECIAL_MESSAGES.has(pair.ours) || pair.ours === OPAQUE) return message
    const kept: Message = {}
    for (const field of fieldsOf(this.#table, pair)) {
      const ours = ourField(pair, field)
      const one = (item: unknown): unknown =>
        field.type.includes('.') ? this.lean({ ours: ours!.type, theirs: field.type }, item as Message) : item
      const found = message[field.name]
      if (found === undefined) continue
      const value =
        field.label === 'repeated'
          ? (found as unknown[]).map(one)
          : field.label === 'map'
            ? Object.fromEntries(Object.entries(found as object).map(([key, item]) => [key, one(item)]))
            : one(found)
      if (
        field.label === 'optional' &&
        !field.pointer &&
        (isEmptyStructure(field, value) || value === ZEROS[field.type])
      )
        continue
      kept[field.name] = value
    }
    return kept
  }
}

/** The JSON schema in one of the special messages that hold schemas. */
function schemaIn({ theirs }: Pair): Pair {
  return { ours: 'JSONSchemaProps', theirs: theirs.replace(/Or\w+$/, '') }
}

function ourField({ ours }: Pair, { number }: PublishedField): FieldSchema | undefined {
  return messageSchema(ours).fields.find((field) => field.number === number)
}

function isEmptyStructure({ label, pointer, type }: PublishedField, value: unknown): boolean {
  return label === 'optional' && !pointer && type.includes('.') && Object.keys(value as object).length === 0
}

/** The bytes of a message by Kubernetes' descriptors. */
export function bytesOf(root: protobuf.Root, { theirs }: Pair, message: Message): Uint8Array {
  const type = root.lookupType(theirs)
  return type.encode(type.fromObject(message)).finish()
}

/** The message in bytes by Kubernetes' descriptors; bytes of which something is not known are no such message. */
export function messageOf(root: protobuf.Root, { theirs }: Pair, bytes: Uint8Array): Message {
  const type = root.lookupType(theirs)
  return type.toObject(type.decode(bytes), { longs: Number, bytes: Buffer }) as Message
}
