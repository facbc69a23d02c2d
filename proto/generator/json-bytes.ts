/** Code that writes an object's JSON as bytes, with all that Kubernetes' JSON has even if it is empty. */
import type { FieldSchema, Schema } from '../schema/model.ts'
import { isNeeded, isWritten, jsonFields, jsonLayouts, zeroJson } from './json.ts'
import { access, isSpecial, type Layout } from './layout.ts'
import { indent, moduleCode } from './module.ts'

export function jsonBytesCode(schema: Schema, definitions: Readonly<Record<string, string>>): string {
  const layouts = jsonLayouts(schema, definitions)
  return moduleCode({
    head: [
      "import { hasKeys } from '../codec/json-parts.ts'",
      "import type { JsonWriter } from '../codec/json-writer.ts'\n",
      '/** `named`: with apiVersion and kind. */',
      'type WriteJson = (w: JsonWriter, o: any, named?: boolean) => void\n',
      'const NOTHING = {}',
    ],
    lookups: [
      {
        name: 'jsonBytesWriter',
        doc: 'What writes the JSON of a message, as bytes.',
        type: 'WriteJson',
        cases: layouts.map(({ name }) => [name, `write${name}`]),
      },
    ],
    body: layouts.map(writerCode),
  })
}

function writerCode(layout: Layout): string {
  const { header, name, schema } = layout
  const lines = ['let v: any', 'w.open()']
  if (header !== undefined)
    lines.push(`if (named === true) w.raw(${JSON.stringify(JSON.stringify(header).slice(1, -1))})`)
  lines.push(...jsonFields(layout).flatMap((field) => fieldLines(schema, field)), 'w.close()')
  return `function write${name}(w: JsonWriter, o: any${header === undefined ? '' : ', named?: boolean'}): void {\n${indent(lines).join('\n')}\n}\n`
}

function fieldLines(schema: Schema, field: FieldSchema): string[] {
  const { name, label, kind, type, options } = field
  const there = `(v = ${access('o', name)}) != null`
  const isMessage = kind === 'message' && !isSpecial(schema, field)
  const raw = (value: string): string => `w.raw(${JSON.stringify(`${JSON.stringify(name)}:${value}`)})`
  const absent = (line: string): string[] => (isWritten(field) || isNeeded(field) ? [`else ${line}`] : [])
  if (label === 'repeated')
    return [
      `if (${there} && v.length > 0) {`,
      `  ${raw('')}`,
      '  w.openList()',
      '  for (let i = 0; i < v.length; i++) {',
      '    if (i > 0) w.comma()',
      `    ${valueCode(schema, field, 'v[i]')}`,
      '  }',
      '  w.closeList()',
      '}',
      ...absent(raw('[]')),
    ]
  if (label === 'map')
    return [
      `if (${there} && hasKeys(v)) {`,
      `  ${raw('')}`,
      ...(kind === 'scalar' && (type === 'string' || type === 'bytes')
        ? ['  w.strings(v)']
        : [
            '  w.open()',
            '  for (const key of Object.keys(v)) {',
            '    const item = v[key]',
            '    if (item === undefined) continue',
            '    w.entry(key)',
            `    ${valueCode(schema, field, 'item')}`,
            '  }',
            '  w.close()',
          ]),
      '}',
      ...absent(raw('{}')),
    ]
  if (isMessage)
    return [
      `if (${there}) {`,
      `  ${raw('')}`,
      `  write${type}(w, v)`,
      '}',
      ...(isWritten(field) ? ['else {', `  ${raw('')}`, `  write${type}(w, NOTHING)`, '}'] : []),
    ]
  const zero = zeroJson(field)
  const value =
    kind === 'scalar' && type === 'bool'
      ? `w.raw(v ? ${JSON.stringify(`${JSON.stringify(name)}:true`)} : ${JSON.stringify(`${JSON.stringify(name)}:false`)})`
      : `{ ${raw('')}; ${valueCode(schema, field, 'v')} }`
  if (options.always !== true) return [`if (${there}) ${value}`, ...absent(raw(zero))]
  if (isWritten(field) || !isNeeded(field)) return [`if (${there} && v !== ${zero}) ${value}`, ...absent(raw(zero))]
  return [`if (${there}) { if (v !== ${zero}) ${value} }`, ...absent(raw(zero))]
}

function valueCode(schema: Schema, field: FieldSchema, value: string): string {
  const { kind, type } = field
  if (kind === 'enum') return `w.string(${value})`
  if (kind === 'message') {
    if (!isSpecial(schema, field)) return `write${type}(w, ${value})`
    const { value: inMemory } = schema.messages[type]!
    if (inMemory === 'string') return `w.string(${value})`
    if (inMemory === 'number | string')
      return `if (typeof ${value} === 'number') w.number(${value}); else w.string(${value})`
    return `w.value(${value})`
  }
  switch (type) {
    case 'string':
    case 'bytes':
      return `w.string(${value})`
    case 'bool':
      return `w.boolean(${value})`
    default:
      return `w.number(${value})`
  }
}
