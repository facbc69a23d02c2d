/**
 * How objects of a custom kind are merged and owned, from the x-kubernetes-list-type, -list-map-keys and -map-type of
 * its schema.
 * https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy
 */
import type { JSONSchemaProps } from '../../gen/types.ts'
import type { FieldSchema } from '../model.ts'
import type { FieldShape, Shape } from '../merge-shape.ts'
import { itemSchema } from './coerce.ts'

const ATOMIC: Shape = { kind: 'atomic', exact: true }
/** What no schema describes: objects merge field by field, and all else is one value. */
const UNTYPED: Shape = {
  kind: 'map',
  exact: true,
  get value(): Shape {
    return UNTYPED
  },
}

export function shapeOfSchema(schema: JSONSchemaProps): Shape {
  if (schema.type === 'array') return listShape(schema)
  if (schema.type !== 'object' && schema['x-kubernetes-preserve-unknown-fields'] !== true) return ATOMIC
  if (schema['x-kubernetes-map-type'] === 'atomic') return ATOMIC
  const { additionalProperties } = schema
  if (schema.properties === undefined)
    return additionalProperties === undefined || typeof additionalProperties === 'boolean'
      ? UNTYPED
      : { kind: 'map', exact: true, value: shapeOfSchema(additionalProperties) }
  const fields = new Map(
    Object.entries(schema.properties).map(([name, child]): [string, FieldShape] => [
      name,
      { field: field(name), shape: shapeOfSchema(child) },
    ]),
  )
  return { kind: 'struct', exact: true, message: '', fields, others: UNTYPED }
}

function listShape(schema: JSONSchemaProps): Shape {
  switch (schema['x-kubernetes-list-type']) {
    case 'set':
      return { kind: 'set', exact: true }
    case 'map': {
      const items = itemSchema(schema) ?? {}
      const keys = [...(schema['x-kubernetes-list-map-keys'] ?? [])]
        .sort()
        .map((name) => ({ name, fallback: items.properties?.[name]?.default ?? null }))
      return { kind: 'keyed', exact: true, keys, item: shapeOfSchema(items) }
    }
    case 'atomic':
    case undefined:
    default:
      return ATOMIC
  }
}

function field(name: string): FieldSchema {
  return { name, number: 0, kind: 'message', type: 'JSON', label: 'optional', implicit: false, options: {} }
}
