/** What JSON has of messages: which there are, and what of them it has even if they do not say it. */
import type { FieldSchema, Schema } from '../schema/model.ts'
import { isSpecial, Layout, messageOf } from './layout.ts'

/** Special messages that may be or hold JSON schemas. */
const SCHEMAS: ReadonlySet<string> = new Set([
  'JSONSchemaPropsOrArray',
  'JSONSchemaPropsOrBool',
  'JSONSchemaPropsOrStringArray',
])

/** Messages that have a form in JSON: kinds, what has a name in OpenAPI, and what is in those. */
export function jsonLayouts(schema: Schema, definitions: Readonly<Record<string, string>>): Layout[] {
  const names = new Set<string>()
  const visit = (name: string): void => {
    if (names.has(name)) return
    names.add(name)
    for (const field of messageOf(schema, name).fields) {
      if (field.oneof !== undefined || field.implicit)
        throw new Error(
          `${name}.${field.name} has no form in JSON: a message of Kubernetes has neither oneofs nor fields without presence`,
        )
      if (SCHEMAS.has(field.type)) visit('JSONSchemaProps')
      else if (field.kind === 'message' && !isSpecial(schema, field)) visit(field.type)
    }
  }
  for (const { name, resource, value, fields } of Object.values(schema.messages))
    // Bytes that are no text have no form in JSON: what is stored of custom objects.
    if (value === undefined && (resource !== undefined || name in definitions) && !fields.some(isBytes)) visit(name)
  return [...names].map((name) => new Layout(schema, name))
}

function isBytes({ type, options }: FieldSchema): boolean {
  return type === 'bytes' && options.base64 !== true
}

/** The fields of a message as JSON has them: those of inlined messages stand in the place of their field. */
export function jsonFields(layout: Layout): FieldSchema[] {
  return layout.properties.map(({ field }) => field!)
}

/** True for what Kubernetes' JSON has even if it is empty. */
export function isWritten({ kind, label, options }: FieldSchema): boolean {
  return options.written === true || (options.always === true && kind === 'message' && label === 'optional')
}

/** What must be there, in a structure in which nothing is set. */
export function isNeeded({ kind, label, options }: FieldSchema): boolean {
  return options.required === true && options.presence !== true && kind !== 'message' && label === 'optional'
}

/** The JSON of a scalar's zero value, which is also the expression for it. */
export function zeroJson({ type }: FieldSchema): string {
  return type === 'string' || type === 'bytes' ? '""' : type === 'bool' ? 'false' : '0'
}
