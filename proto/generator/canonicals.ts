/** Code that gives an object the form of what is stored, and shares what is the same with one that has it already. */
import type { FieldSchema, Schema } from '../schema/model.ts'
import { jsonLayouts } from './json.ts'
import { access, firstOf, isSpecial, zeroOf, type Layout } from './layout.ts'
import { indent, moduleCode, usedIn } from './module.ts'
import { importedShapes, makeCode } from './shapes.ts'

export function canonicalsCode(schema: Schema, definitions: Readonly<Record<string, string>>): string {
  const layouts = jsonLayouts(schema, definitions)
  const code = layouts.map(canonicalCode)
  return moduleCode({
    head: [
      `import { ${usedIn(code.join('\n'), RUNTIME).join(', ')} } from '../codec/canonical-values.ts'`,
      "import { shapes } from './wire.ts'\n",
      '/** `known`: an object that has the form; it is the result where all is the same. `named`: with apiVersion and kind. */',
      'type MakeCanonical = (o: any, known: any, named?: boolean) => any',
    ],
    lookups: [
      {
        name: 'canonicalMaker',
        doc: 'What gives a message the form of what is stored.',
        type: 'MakeCanonical',
        cases: layouts.map(({ name }) => [name, `canonical${name}`]),
      },
    ],
    body: [...importedShapes(schema, code), ...code],
  })
}

/** What codec/canonical-values.ts has. */
const RUNTIME = [
  'base64Of',
  'booleanOf',
  'durationOf',
  'emptyList',
  'extraValueOf',
  'fieldsOf',
  'int32Of',
  'int64Of',
  'intOrStringOf',
  'listOf',
  'mapOf',
  'microTimeOf',
  'nameOf',
  'NOTHING',
  'numberOf',
  'refuse',
  'requireObject',
  'textOf',
  'timeOf',
]

function canonicalCode(layout: Layout): string {
  const { name, header, schema } = layout
  const lines = ['if (o === k) return o', 'requireObject(o)', 'const b = k ?? NOTHING', 'let v: any']
  const same: string[] = []
  for (const { name: property, field } of layout.properties) {
    const local = layout.local(property)
    const before = access('b', property)
    const zero = zeroOf(schema, field!)
    const value = `(v = ${access('o', property)}) == null ? undefined : ${fieldCode(schema, field!, before)}`
    // An empty list that is known already is the same one.
    const absent = zero === '[]' ? `emptyList(${before})` : zero
    lines.push(`const ${local} = ${absent === undefined ? value : `(${value}) ?? ${absent}`}`)
    same.push(`${local} === ${before}`)
  }
  // The whole object has a revision of its own.
  const shared = `if (${['k !== undefined', ...(header === undefined ? [] : ['named !== true']), ...same].join(' && ')}) return k`
  const made = makeCode(
    layout,
    (property) => layout.local(property.name),
    header && [
      `named === true ? ${JSON.stringify(header.apiVersion)} : undefined`,
      `named === true ? ${JSON.stringify(header.kind)} : undefined`,
    ],
  )
  lines.push(shared, `return ${made}`)
  return `function canonical${name}(o: any, k: any${header === undefined ? '' : ', named?: boolean'}): any {\n${indent(lines).join('\n')}\n}\n`
}

/** Of the value `v`, which is there. */
function fieldCode(schema: Schema, field: FieldSchema, before: string): string {
  const copy = copyName(schema, field)
  switch (field.label) {
    case 'optional':
      if (field.kind === 'enum') return enumCode(schema, field)
      if (copy === 'refuse') return 'refuse()'
      return SHARED.test(copy) ? `${copy}(v, ${before})` : `${copy}(v)`
    case 'repeated':
      return `listOf(${copy}, v, ${before})`
    case 'map':
      return `mapOf(${copy}, v, ${before})`
  }
}

/** What takes the value that is known. */
const SHARED = /^canonical|^fieldsOf$/

/** A value that is no name of the enum is that of 0. */
function enumCode({ enums }: Schema, { type }: FieldSchema): string {
  const first = firstOf({ enums } as Schema, type)
  return `nameOf(${JSON.stringify(Object.keys(enums[type]!.values))}, v, ${JSON.stringify(first)})`
}

function copyName(schema: Schema, field: FieldSchema): string {
  const { kind, type, options } = field
  if (kind === 'message') return isSpecial(schema, field) ? (SPECIALS[type] ?? 'refuse') : `canonical${type}`
  if (kind === 'enum' || (type === 'bytes' && options.base64 !== true)) return 'refuse'
  return SCALARS[type] ?? 'refuse'
}

/** Where there is none for a type, what the value becomes is for its bytes to tell. */
const SCALARS: Readonly<Record<string, string>> = {
  string: 'textOf',
  bytes: 'base64Of',
  bool: 'booleanOf',
  int32: 'int32Of',
  int64: 'int64Of',
  double: 'numberOf',
}
const SPECIALS: Readonly<Record<string, string>> = {
  Quantity: 'textOf',
  Time: 'timeOf',
  MicroTime: 'microTimeOf',
  Duration: 'durationOf',
  IntOrString: 'intOrStringOf',
  FieldsV1: 'fieldsOf',
  ExtraValue: 'extraValueOf',
}
