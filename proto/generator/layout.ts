/**
 * A message as generated code has it: the properties of an object in memory, always in the same order, and what they
 * are if nothing was said of them.
 */
import type { FieldSchema, MessageSchema, Schema } from '../schema/model.ts'

/** A property of an object in memory: a field, or a oneof of fields. */
export interface Property {
  readonly name: string
  /** Undefined for a oneof. */
  readonly field: FieldSchema | undefined
  /**
   * The expression for what it is in an object that was read, if nothing was said of it: such a property is always
   * there.
   */
  readonly zero: string | undefined
}

export class Layout {
  readonly message: MessageSchema
  readonly schema: Schema
  /** In the order of the message, those of inlined messages in the place of their field. */
  readonly properties: readonly Property[]
  readonly #locals: ReadonlyMap<string, string>

  constructor(schema: Schema, name: string) {
    this.schema = schema
    this.message = messageOf(schema, name)
    this.properties = propertiesOf(schema, this.message, false)
    this.#locals = new Map(this.properties.map((property, index) => [property.name, `f${index}`]))
    if (this.#locals.size < this.properties.length) throw new Error(`${name} has two properties of one name`)
  }

  get name(): string {
    return this.message.name
  }

  /** What an object of a kind says of itself; undefined for other messages. */
  get header(): { apiVersion: string; kind: string } | undefined {
    const { resource } = this.message
    if (resource === undefined) return undefined
    const { group, version, kind } = resource
    return { apiVersion: group === '' ? version : `${group}/${version}`, kind }
  }

  /** The variable in which a property is while the object is being read. */
  local(name: string): string {
    return this.#locals.get(name)!
  }

  /** Properties that are always there come first: objects differ by the others only. */
  get ordered(): readonly Property[] {
    return [
      ...this.properties.filter(({ zero }) => zero !== undefined),
      ...this.properties.filter(({ zero }) => zero === undefined),
    ]
  }
}

export function messageOf({ messages }: Schema, name: string): MessageSchema {
  const message = messages[name]
  if (message === undefined) throw new Error(`no message ${name}`)
  return message
}

/** True for a message that is one value in memory. */
export function isSpecial({ messages }: Schema, { kind, type }: Pick<FieldSchema, 'kind' | 'type'>): boolean {
  return kind === 'message' && messages[type]?.value !== undefined
}

function propertiesOf(schema: Schema, message: MessageSchema, inlined: boolean): Property[] {
  const oneofs = new Set<string>()
  return message.fields.flatMap((field): Property[] => {
    if (field.options.inline === true) return propertiesOf(schema, messageOf(schema, field.type), true)
    if (field.oneof === undefined)
      return [{ name: field.name, field, zero: inlined ? undefined : zeroOf(schema, field) }]
    if (oneofs.has(field.oneof)) return []
    oneofs.add(field.oneof)
    return [{ name: field.oneof, field: undefined, zero: undefined }]
  })
}

/** The expression for what a field is that nothing was said of; undefined for one that is absent then. */
export function zeroOf(schema: Schema, field: FieldSchema): string | undefined {
  const { oneof, label, implicit, options, kind } = field
  if (oneof !== undefined || options.inline === true) return undefined
  if (label !== 'optional') return implicit || options.required === true ? (label === 'map' ? '{}' : '[]') : undefined
  if (!(implicit && kind !== 'message') && options.always !== true) return undefined
  return zeroValue(schema, field)
}

/** As zeroOf, for an entry of a map that has no value. */
export function zeroValue(schema: Schema, field: FieldSchema): string {
  if (isSpecial(schema, field)) return 'undefined'
  switch (field.kind) {
    case 'message':
      return `${emptyName(field.type)}()`
    case 'enum':
      return JSON.stringify(firstOf(schema, field.type))
    case 'scalar':
      return field.options.base64 === true ? '""' : ZEROS[field.type]!
  }
}

const ZEROS: Readonly<Record<string, string>> = {
  string: '""',
  bool: 'false',
  bytes: 'new Uint8Array()',
  int32: '0',
  uint32: '0',
  int64: '0',
  uint64: '0',
  double: '0',
  float: '0',
}

/** The name of an enum's value 0. */
export function firstOf({ enums }: Schema, name: string): string | undefined {
  return Object.entries(enums[name]!.values).find(([, value]) => value === 0)?.[0]
}

export function shapeName(message: string): string {
  return `${message}Shape`
}

export function emptyName(message: string): string {
  return `empty${message}`
}

/** An access to a property of an object. */
export function access(object: string, property: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(property) ? `${object}.${property}` : `${object}[${JSON.stringify(property)}]`
}

/** A key in an object literal or a pattern. */
export function keyText(property: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(property) ? property : JSON.stringify(property)
}
