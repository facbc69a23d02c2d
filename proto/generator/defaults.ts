/** Code that fills in the option `default` of each field, and calls what fills in those that depend on others. */
import type { FieldSchema, Schema } from '../schema/model.ts'
import { jsonFields, jsonLayouts } from './json.ts'
import { access, isSpecial, Layout } from './layout.ts'
import { indent, moduleCode } from './module.ts'

/** `computed`: the messages of which some values depend on others. */
export function defaultsCode(
  schema: Schema,
  definitions: Readonly<Record<string, string>>,
  computed: ReadonlySet<string>,
): string {
  const layouts = jsonLayouts(schema, definitions)
  const reached = new Set(layouts.map(({ name }) => name).filter((name) => reaches(schema, name, computed, new Set())))
  return moduleCode({
    head: ["import { COMPUTED } from '../codec/computed-defaults.ts'\n", 'type FillDefaults = (o: any) => void'],
    lookups: [
      {
        name: 'defaultFiller',
        doc: 'What fills in what is not said of a message, in place; none for one in which nothing has a default.',
        type: 'FillDefaults',
        cases: [...reached].map((name) => [name, `fill${name}`]),
      },
    ],
    body: layouts.filter(({ name }) => reached.has(name)).map((layout) => fillerCode(layout, reached, computed)),
  })
}

/** True if anything in this message or below has a default. */
function reaches(schema: Schema, name: string, computed: ReadonlySet<string>, seen: Set<string>): boolean {
  if (seen.has(name)) return false
  seen.add(name)
  if (computed.has(name)) return true
  return jsonFields(new Layout(schema, name)).some(
    (field) =>
      field.options.default !== undefined ||
      (field.kind === 'message' && !isSpecial(schema, field) && reaches(schema, field.type, computed, seen)),
  )
}

function fillerCode(layout: Layout, reached: ReadonlySet<string>, computed: ReadonlySet<string>): string {
  const { name, schema } = layout
  const lines = computed.has(name) ? [`COMPUTED.${name}(o)`] : []
  for (const field of jsonFields(layout)) {
    const value = access('o', field.name)
    const { default: fallback } = field.options
    if (fallback !== undefined) lines.push(`${value} ??= ${defaultValue(schema, field, fallback)}`)
    if (field.kind !== 'message' || !reached.has(field.type)) continue
    const fill = `fill${field.type}`
    switch (field.label) {
      case 'optional':
        lines.push(`if (${value} !== undefined) ${fill}(${value})`)
        break
      case 'repeated':
        lines.push(`if (${value} != null) for (const item of ${value}) ${fill}(item)`)
        break
      case 'map':
        lines.push(`if (${value} != null) for (const item of Object.values(${value})) ${fill}(item)`)
    }
  }
  return `function fill${name}(o: any): void {\n${indent(lines).join('\n')}\n}\n`
}

/** The expression for the value in memory that a default's text stands for. */
function defaultValue(schema: Schema, field: FieldSchema, text: string): string {
  const { kind, type } = field
  if (kind === 'message' && !isSpecial(schema, field)) return '{}'
  if (type === 'bool') return String(text === 'true')
  if (type !== 'string' && !(type in schema.enums) && type !== 'Quantity' && /^-?\d+$/.test(text)) return text
  return JSON.stringify(text)
}
