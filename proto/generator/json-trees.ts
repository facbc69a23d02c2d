/** Code that makes an object's JSON as a value. */
import type { FieldSchema, Schema } from '../schema/model.ts'
import { isNeeded, isWritten, jsonFields, jsonLayouts, zeroJson } from './json.ts'
import { access, isSpecial, type Layout } from './layout.ts'
import { indent, moduleCode } from './module.ts'

export function jsonTreesCode(schema: Schema, definitions: Readonly<Record<string, string>>): string {
  const layouts = jsonLayouts(schema, definitions)
  return moduleCode({
    head: [
      "import { hasKeys, listOf, mapOf } from '../codec/json-parts.ts'\n",
      '/** `full`: with what Kubernetes has in it even if it is empty; `named`: with apiVersion and kind. */',
      'type MakeTree = (o: any, full: boolean, named?: boolean) => any\n',
      'const NOTHING = {}',
    ],
    lookups: [
      {
        name: 'jsonTree',
        doc: 'What makes the JSON of a message, as a value.',
        type: 'MakeTree',
        cases: layouts.map(({ name }) => [name, `json${name}`]),
      },
    ],
    body: layouts.map(treeCode),
  })
}

function treeCode(layout: Layout): string {
  const { header, name } = layout
  const begin =
    header === undefined
      ? 'const j: any = {}'
      : `const j: any = named === true ? { apiVersion: ${JSON.stringify(header.apiVersion)}, kind: ${JSON.stringify(header.kind)} } : {}`
  const lines = [
    begin,
    'let v: any',
    ...jsonFields(layout).flatMap((field) => fieldLines(layout.schema, field)),
    'return j',
  ]
  return `function json${name}(o: any, full: boolean${header === undefined ? '' : ', named?: boolean'}): any {\n${indent(lines).join('\n')}\n}\n`
}

function fieldLines(schema: Schema, field: FieldSchema): string[] {
  const { name, label, kind, type, options } = field
  const there = `(v = ${access('o', name)}) != null`
  const set = `${access('j', name)} =`
  const isMessage = kind === 'message' && !isSpecial(schema, field)
  if (label !== 'optional') {
    const [filled, made, empty] =
      label === 'repeated'
        ? ['v.length > 0', `listOf(v, json${type}, full)`, '[]']
        : ['hasKeys(v)', `mapOf(v, json${type}, full)`, '{}']
    const lines = [`if (${there} && ${filled}) ${set} ${isMessage ? made : 'v'}`]
    return isWritten(field) ? [...lines, `else if (full) ${set} ${empty}`] : lines
  }
  if (isMessage) {
    const made = `json${type}(v, full)`
    const lines =
      options.always === true
        ? [`if (${there}) {`, `  const e = ${made}`, `  if (full || hasKeys(e)) ${set} e`, '}']
        : [`if (${there}) ${set} ${made}`]
    return isWritten(field) ? [...lines, `else if (full) ${set} json${type}(NOTHING, true)`] : lines
  }
  if (kind === 'message' && (isWritten(field) || options.always === true))
    throw new Error(`${name}: nothing is known of an empty ${type} in JSON`)
  const zero = zeroJson(field)
  const absent = isWritten(field) || isNeeded(field) ? [`else if (full) ${set} ${zero}`] : []
  if (options.always !== true) return [`if (${there}) ${set} v`, ...absent]
  if (isWritten(field) || absent.length === 0) return [`if (${there} && v !== ${zero}) ${set} v`, ...absent]
  return [`if (${there}) {`, `  if (v !== ${zero}) ${set} v`, '}', ...absent]
}
