/**
 * Code that reads JSON in which nothing is wrong: it stops at whatever is not plainly right, and leaves it to the
 * decoder (codec/json-decoder.ts) to tell what is wrong and where. So it knows no paths, and what is rare need not be
 * in it.
 */
import type { FieldSchema, Schema } from '../schema/model.ts'
import { jsonFields, jsonLayouts } from './json.ts'
import { isSpecial, zeroOf, type Layout } from './layout.ts'
import { indent, moduleCode, usedIn } from './module.ts'
import { importedShapes, makeCode } from './shapes.ts'

const INTEGERS: ReadonlySet<string> = new Set(['int32', 'uint32', 'int64', 'uint64'])

export function jsonReadersCode(schema: Schema, definitions: Readonly<Record<string, string>>): string {
  const layouts = jsonLayouts(schema, definitions)
  const lists = new Lists()
  const readers = layouts.map((layout) => readerCode(layout, lists))
  return moduleCode({
    head: [
      "import { formats } from '../base/format.ts'",
      `import { ${usedIn(readers.join('\n'), RUNTIME).join(', ')} } from '../codec/json-values.ts'`,
      "import { shapes } from './wire.ts'\n",
      '/** `drop`: without what only the control plane writes; `named`: with apiVersion and kind. */',
      'type ReadJson = (value: any, drop: boolean, named?: boolean) => any',
    ],
    lookups: [
      {
        name: 'jsonReader',
        doc: 'What reads the JSON of a message.',
        type: 'ReadJson',
        cases: layouts.map(({ name }) => [name, `read${name}`]),
      },
    ],
    body: [...importedShapes(schema, readers), ...lists.code, ...readers],
  })
}

/** What codec/json-values.ts has. */
const RUNTIME = [
  'base64Of',
  'booleanOf',
  'choice',
  'distinct',
  'int32Of',
  'int64Of',
  'isInert',
  'isPlainObject',
  'isUnset',
  'listOf',
  'mapOf',
  'mapTextOf',
  'notPlain',
  'numberOf',
  'schemaOrBool',
  'schemaOrList',
  'schemaOrTexts',
  'specialOf',
  'textOf',
  'textOrNothing',
  'uint32Of',
  'uint64Of',
  'wellFormed',
]

/** Lists of texts that stand beside the code, each once. */
class Lists {
  readonly #names = new Map<string, string>()

  name(texts: readonly string[]): string {
    const text = JSON.stringify(texts)
    let name = this.#names.get(text)
    if (name === undefined) this.#names.set(text, (name = `list${this.#names.size}`))
    return name
  }

  get code(): string[] {
    return [...this.#names].map(([text, name]) => `const ${name} = ${text}`)
  }
}

function readerCode(layout: Layout, lists: Lists): string {
  const { header, name, schema } = layout
  const fields = jsonFields(layout)
  const locals = fields.map((field) => layout.local(field.name))
  const lines = [
    'if (!isPlainObject(o)) throw notPlain',
    ...(locals.length === 0 ? [] : [`let ${locals.map((local) => `${local}: any`).join(', ')}`]),
    'for (const key in o) {',
    '  const v = o[key]',
    '  switch (key) {',
    ...fields.flatMap((field) => {
      // What is refused, unless it asks for nothing, is for the decoder.
      if (field.options.unsupported !== undefined && field.options.inert === undefined) return []
      return [`    case ${JSON.stringify(field.name)}:`, ...indent(fieldLines(layout, field, lists), 3), '      break']
    }),
    '    default:',
    '      throw notPlain',
    '  }',
    '}',
  ]
  const made = makeCode(
    layout,
    (property) => {
      const local = layout.local(property.name)
      const zero = zeroOf(schema, property.field!)
      return zero === undefined ? local : `${local} ?? ${zero}`
    },
    header && [
      `named === true ? ${JSON.stringify(header.apiVersion)} : undefined`,
      `named === true ? ${JSON.stringify(header.kind)} : undefined`,
    ],
  )
  lines.push(`return ${made}`)
  return `function read${name}(o: any, drop: boolean${header === undefined ? '' : ', named?: boolean'}): any {\n${indent(lines).join('\n')}\n}\n`
}

function fieldLines(layout: Layout, field: FieldSchema, lists: Lists): string[] {
  const { schema } = layout
  const { name, label, options, type, kind } = field
  const local = layout.local(name)
  const passed = ['v === null']
  // The empty text means the same as leaving the field out.
  if (label === 'optional' && options.required !== true && options.format !== undefined) passed.push("v === ''")
  // It is there only because Kubernetes writes it even if it is empty.
  if (options.written === true) {
    const message = kind === 'message' && label === 'optional' ? JSON.stringify(type) : 'undefined'
    passed.push(`isUnset(v, ${message})`)
  }
  const lines = [`if (${passed.join(' || ')}) break`]
  if (options.inert !== undefined)
    lines.push(`if (!isInert(v, ${label === 'optional' ? lists.name(options.inert) : 'undefined'})) throw notPlain`)
  const read = fieldValue(schema, field, lists)
  lines.push(options.readOnly === true ? `{ const read = ${read}; if (!drop) ${local} = read }` : `${local} = ${read}`)
  return lines
}

function fieldValue(schema: Schema, field: FieldSchema, lists: Lists): string {
  const { label, kind, type, options } = field
  const one = valueCode(schema, field, 'v', lists)
  if (label === 'optional') return one
  const item = valueCode(schema, field, 'item', lists)
  // A function that reads one value by itself need not be made.
  const [, plain] = /^(\w+)\(item(?:, drop)?\)$/.exec(item) ?? []
  if (label === 'repeated') {
    const list = plain === undefined ? `listOf(v, (item) => ${item}, drop)` : `listOf(v, ${plain}, drop)`
    if (options.mergeKey === undefined) return list
    const fallbacks = options.mergeKey.map((key) => {
      const inner = schema.messages[type]!.fields.find((one) => one.name === key)
      return inner?.options.default ?? null
    })
    return `distinct(${list}, ${JSON.stringify(options.mergeKey)}, ${JSON.stringify(fallbacks).replaceAll('null', 'undefined')})`
  }
  const nullable = kind === 'scalar' && type === 'string'
  const value = nullable ? valueCode(schema, field, 'textOrNothing(item)', lists) : item
  const key = options.keyFormat === undefined ? 'undefined' : `formats.${options.keyFormat}`
  if (!nullable && plain !== undefined) return `mapOf(v, ${key}, ${plain}, drop)`
  if (value === 'textOf(textOrNothing(item))') return `mapOf(v, ${key}, mapTextOf, drop)`
  return `mapOf(v, ${key}, (item) => ${value}, drop)`
}

function valueCode(schema: Schema, field: FieldSchema, value: string, lists: Lists): string {
  const { kind, type, options } = field
  if (kind === 'enum') return `choice(${value}, ${lists.name(Object.keys(schema.enums[type]!.values))})`
  if (kind === 'message' && !isSpecial(schema, field)) return `read${type}(${value}, drop)`
  const plain = plainCode(field, value)
  const allowed = options.enum === undefined ? undefined : lists.name(options.enum)
  const format = options.format === undefined ? undefined : `formats.${options.format}`
  if (allowed === undefined && format === undefined) return plain
  return `wellFormed(${plain}, ${allowed ?? 'undefined'}, ${format ?? 'undefined'})`
}

function plainCode({ kind, type }: FieldSchema, value: string): string {
  if (kind === 'message') {
    switch (type) {
      case 'JSONSchemaPropsOrBool':
        return `schemaOrBool(${value}, (item) => readJSONSchemaProps(item, drop))`
      case 'JSONSchemaPropsOrArray':
        return `schemaOrList(${value}, (item) => readJSONSchemaProps(item, drop))`
      case 'JSONSchemaPropsOrStringArray':
        return `schemaOrTexts(${value}, (item) => readJSONSchemaProps(item, drop))`
      default:
        return `specialOf(${JSON.stringify(type)}, ${value})`
    }
  }
  if (INTEGERS.has(type)) return `${type}Of(${value})`
  switch (type) {
    case 'string':
      return `textOf(${value})`
    case 'bool':
      return `booleanOf(${value})`
    case 'bytes':
      return `base64Of(${value})`
    default:
      return `numberOf(${value})`
  }
}
