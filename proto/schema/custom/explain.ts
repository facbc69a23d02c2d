/** What the schema of a custom kind says of it and its fields. */
import type { JSONSchemaProps } from '../../gen/types.ts'
import type { ExplainedField } from '../explained-field.ts'
import { fieldSchemaOf, itemSchema } from './coerce.ts'

/** Levels of fields that are shown at most. */
const DEEPEST = 12

const HEADER: Readonly<Record<string, JSONSchemaProps>> = {
  apiVersion: { type: 'string', description: 'Group and version of the kind.' },
  kind: { type: 'string', description: 'The kind of object.' },
}

/** The kind itself; `metadata` is that of every object. */
export function explainCustom(
  kind: string,
  schema: JSONSchemaProps,
  metadata: ExplainedField,
  levels: number,
): ExplainedField {
  const { metadata: _metadata, ...properties } = schema.properties ?? {}
  const header = Object.entries(HEADER).map(([name, child]) => ({ ...fieldOf(name, child, true, 0) }))
  const own = Object.entries(properties)
    .filter(([name]) => !Object.hasOwn(HEADER, name))
    .map(([name, child]) => fieldOf(name, child, schema.required?.includes(name) === true, levels - 1))
  return {
    ...fieldOf(kind, { ...schema, properties: {} }, false, 0),
    type: kind,
    children: [...header, metadata, ...own],
  }
}

/** A field by its path; the names that there are where the path ends, if it leads nowhere. */
export function explainPath(
  schema: JSONSchemaProps,
  names: readonly string[],
  recursive: boolean,
): { field: ExplainedField } | { missing: string; known: string[]; at: readonly string[] } {
  let current = schema
  let required = false
  for (const [index, name] of names.entries()) {
    const object = objectOf(current)
    const child = fieldSchemaOf(object, name)
    if (child === undefined || child === 'anything')
      return { missing: name, known: Object.keys(object.properties ?? {}), at: names.slice(0, index) }
    required = object.required?.includes(name) === true
    current = child
  }
  return { field: fieldOf(names.at(-1)!, current, required, recursive ? DEEPEST : 1) }
}

/** The schema that has the fields: that of a list's items, or of a map's values. */
function objectOf(schema: JSONSchemaProps): JSONSchemaProps {
  if (schema.properties !== undefined) return schema
  const inner =
    itemSchema(schema) ?? (typeof schema.additionalProperties === 'object' ? schema.additionalProperties : undefined)
  return inner === undefined ? schema : objectOf(inner)
}

function fieldOf(name: string, schema: JSONSchemaProps, required: boolean, levels: number): ExplainedField {
  const object = objectOf(schema)
  return {
    name,
    required,
    type: typeName(schema),
    description: schema.description ?? '',
    readOnly: false,
    frozen: false,
    enum: (schema.enum ?? []).map((value) => (typeof value === 'string' ? value : JSON.stringify(value))),
    default:
      schema.default === undefined
        ? undefined
        : typeof schema.default === 'string'
          ? schema.default
          : JSON.stringify(schema.default),
    unsupported: undefined,
    mergeKey: schema['x-kubernetes-list-map-keys'] ?? [],
    children:
      levels <= 0
        ? []
        : Object.entries(object.properties ?? {}).map(([child, part]) =>
            fieldOf(child, part, object.required?.includes(child) === true, levels - 1),
          ),
  }
}

function typeName(schema: JSONSchemaProps): string {
  if (schema['x-kubernetes-int-or-string'] === true) return 'IntOrString'
  if (schema.type === 'array') return `[]${typeName(itemSchema(schema) ?? {})}`
  if (schema.type === 'object' && schema.properties === undefined && typeof schema.additionalProperties === 'object')
    return `map[string]${typeName(schema.additionalProperties)}`
  return schema.type === 'object' ? 'Object' : (schema.type ?? 'Any')
}
