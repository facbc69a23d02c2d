/** Code that copies objects in memory, all the way down. */
import type { FieldSchema, Schema } from '../schema/model.ts'
import { jsonLayouts } from './json.ts'
import { access, isSpecial, type Layout } from './layout.ts'
import { indent, moduleCode } from './module.ts'
import { importedShapes, makeCode } from './shapes.ts'

export function copiesCode(schema: Schema, definitions: Readonly<Record<string, string>>): string {
  const layouts = jsonLayouts(schema, definitions)
  const code = layouts.map(copyCode)
  return moduleCode({
    head: [
      "import { clone } from '../base/clone.ts'",
      "import { listOf, mapOf } from '../codec/copy-parts.ts'",
      "import { shapes } from './wire.ts'\n",
      'type Copy = (o: any) => any',
    ],
    lookups: [
      {
        name: 'copier',
        doc: 'What copies a message.',
        type: 'Copy',
        cases: layouts.map(({ name }) => [name, `copy${name}`]),
      },
    ],
    body: [...importedShapes(schema, code), ...code],
  })
}

function copyCode(layout: Layout): string {
  const { header, name, schema } = layout
  // Of an object that lacks what is always there, as a draft may, the copy lacks it, too.
  const always = layout.properties
    .filter(({ zero }) => zero !== undefined)
    .map((property) => access('o', property.name))
  const lines = [
    ...(always.length === 0
      ? []
      : [`if (${always.map((value) => `${value} === undefined`).join(' || ')}) return clone(o)`]),
    `return ${makeCode(layout, ({ field }) => valueCode(schema, field!), header && ['o.apiVersion', 'o.kind'])}`,
  ]
  return `function copy${name}(o: any): any {\n${indent(['let v: any', ...lines]).join('\n')}\n}\n`
}

function valueCode(schema: Schema, field: FieldSchema): string {
  const { name, kind, type, label } = field
  const value = access('o', name)
  const isMessage = kind === 'message' && !isSpecial(schema, field)
  const there = `(v = ${value}) == null ? v`
  // Nobody changes fields of managedFields in place; other JSON is anybody's.
  const isValue =
    !isMessage &&
    (kind !== 'message' || ['string', 'number | string', 'JsonObject'].includes(schema.messages[type]!.value!))
  if (label === 'repeated')
    return isValue ? `${there} : v.slice()` : `${there} : listOf(v, ${isMessage ? `copy${type}` : 'clone'})`
  if (label === 'map')
    return isValue ? `${there} : { ...v }` : `${there} : mapOf(v, ${isMessage ? `copy${type}` : 'clone'})`
  if (isValue) return value
  return isMessage ? `${there} : copy${type}(v)` : `clone(${value})`
}
