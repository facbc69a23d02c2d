/**
 * How values of the schema are merged: which lists have keys, which objects are structures or maps, what is one value.
 * Derived from the schema's options.
 */
import type { JsonValue, Kind } from '../gen/types.ts'
import { customKinds, type CustomKind } from './custom/definitions.ts'
import { shapeOfSchema } from './custom/shape.ts'
import { messageSchema, SPECIAL_MESSAGES } from './schema.ts'
import type { FieldSchema } from './model.ts'
import { isObject, own } from '../base/json.ts'
import type { Shape, FieldShape, MergeKey } from './merge-shape.ts'

const ATOMIC: Shape = { kind: 'atomic' }
const structs = new Map<string, Shape & { kind: 'struct' }>()

/** The shape of a message by its name; a kind is the message of the same name. */
export function shapeOf(message: string): Shape & { kind: 'struct' } {
  const custom = customKinds.get(message)
  if (custom !== undefined) return customShape(custom)
  let shape = structs.get(message)
  if (shape === undefined) {
    const fields = new Map<string, FieldShape>()
    shape = { kind: 'struct', message, fields }
    structs.set(message, shape) // before its fields, which may be of the same message
    addFields(message, fields)
  }
  return shape
}

const customShapes = new WeakMap<CustomKind, Shape & { kind: 'struct' }>()

function customShape(kind: CustomKind): Shape & { kind: 'struct' } {
  let shape = customShapes.get(kind)
  if (shape === undefined) {
    const content = shapeOfSchema({
      ...kind.stored.schema,
      'x-kubernetes-map-type': undefined,
      properties: kind.stored.schema.properties ?? {},
    }) as Shape & { kind: 'struct' }
    const metadata = shapeOf('Pod').fields.get('metadata')!
    shape = { ...content, message: kind.id, fields: new Map([...content.fields, ['metadata', metadata]]) }
    customShapes.set(kind, shape)
  }
  return shape
}

function addFields(message: string, into: Map<string, FieldShape>): void {
  for (const field of messageSchema(message).fields) {
    if (field.options.inline === true) addFields(field.type, into)
    else into.set(field.name, { field, shape: fieldShape(field) })
  }
}

function fieldShape(field: FieldSchema): Shape {
  const value: Shape = field.kind === 'message' && !SPECIAL_MESSAGES.has(field.type) ? shapeOf(field.type) : ATOMIC
  switch (field.label) {
    case 'optional':
      return value
    case 'map':
      return field.options.atomic === true ? ATOMIC : { kind: 'map', value }
    case 'repeated': {
      if (field.options.set === true) return { kind: 'set' }
      const names = field.options.mergeKey
      if (names === undefined || field.options.atomic === true) return ATOMIC
      const keys = names.map((name) => ({ name, fallback: fallbackOf(field.type, name) }))
      return {
        kind: 'keyed',
        keys: keys.toSorted((a, b) => (a.name < b.name ? -1 : 1)),
        patchKey: keys[0]!,
        item: value,
      }
    }
  }
}

function fallbackOf(message: string, name: string): JsonValue {
  const field = messageSchema(message).fields.find((other) => other.name === name)
  const text = field?.options.default
  if (text === undefined) return null
  return field?.type === 'string' ? text : (JSON.parse(text) as JsonValue)
}

/**
 * What tells an item of a keyed list apart, as text: the JSON of its key fields in alphabetical order, as after "k:" in
 * FieldsV1.
 */
export function itemKey(keys: readonly MergeKey[], item: JsonValue): string {
  const fields = isObject(item) ? item : {}
  const [{ name, fallback }, ...more] = keys as [MergeKey, ...MergeKey[]]
  // Most lists have one key.
  if (more.length === 0) return `{${JSON.stringify(name)}:${JSON.stringify(own(fields, name) ?? fallback)}}`
  return JSON.stringify(Object.fromEntries(keys.map((key) => [key.name, own(fields, key.name) ?? key.fallback])))
}

/**
 * The schema of a field by its path from the kind; undefined if there is none. A path does not lead into maps and
 * lists.
 */
export function fieldOf(kind: Kind, path: readonly string[]): FieldSchema | undefined {
  let shape: Shape = shapeOf(kind)
  let field: FieldSchema | undefined
  for (const name of path) {
    if (shape.kind !== 'struct') return undefined
    const next = shape.fields.get(name)
    if (next === undefined) return undefined
    ;({ field, shape } = next)
  }
  return field
}

/** The shape that a field of a struct or a key of a map has; a field that the schema does not know is one value. */
export function childShape(shape: Shape, name: string): Shape {
  switch (shape.kind) {
    case 'struct':
      return shape.fields.get(name)?.shape ?? shape.others ?? ATOMIC
    case 'map':
      return shape.value
    case 'atomic':
    case 'keyed':
    case 'set':
      return ATOMIC
  }
}
