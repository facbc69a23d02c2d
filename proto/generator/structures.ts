/**
 * Code that tells which fields are set in an object, as text: two objects with the same text have the same fields, so
 * that whoever makes them owns the same (merge/object-ownership.ts). Values count only where they tell items apart.
 */
import type { FieldSchema, Schema } from '../schema/model.ts'
import { jsonLayouts } from './json.ts'
import { access, isSpecial, type Layout } from './layout.ts'
import { indent, moduleCode, usedIn } from './module.ts'

const PARTS = ['atom', 'keyed', 'map', 'values']

export function structuresCode(schema: Schema, definitions: Readonly<Record<string, string>>): string {
  const layouts = jsonLayouts(schema, definitions)
  const kinds = layouts.filter(({ header }) => header !== undefined)
  const code = layouts.map((layout) => structureCode(schema, layout)).join('\n')
  return moduleCode({
    head: [
      `import { ${usedIn(code, PARTS).join(', ')} } from '../merge/structure-parts.ts'\n`,
      'type TellStructure = (o: any) => string',
    ],
    lookups: [
      {
        name: 'structureTeller',
        doc: 'What tells the structure of a kind, but for its status.',
        type: 'TellStructure',
        cases: kinds.map(({ name }) => [name, `structureOf${name}`]),
      },
    ],
    body: [code],
  })
}

function structureCode(schema: Schema, { name, properties, header }: Layout): string {
  const lines = properties.flatMap(({ field }, index) =>
    header !== undefined && field!.name === 'status' ? [] : fieldCode(schema, field!, index.toString(36)),
  )
  const body = ["let s = ''", ...(lines.length === 0 ? [] : ['let v: any', ...lines]), 'return s']
  return `function structureOf${name}(o: any): string {\n${indent(body).join('\n')}\n}\n`
}

/** `place`: how the field is called in the text. */
function fieldCode(schema: Schema, field: FieldSchema, place: string): string[] {
  const { name, kind, type, label, options } = field
  const isMessage = kind === 'message' && !isSpecial(schema, field)
  const present = `(v = ${access('o', name)}) != null`
  const set = (condition: string, part: string): string[] => [`if (${condition}) s += ${part}`]
  if (label === 'optional') {
    if (!isMessage) {
      const zero = options.always !== true ? '' : " && v !== '' && v !== 0 && v !== false"
      // A special message may be a list, and an empty one is absent.
      const empty = kind === 'message' ? ' && !(Array.isArray(v) && v.length === 0)' : ''
      return set(`${present}${zero}${empty}`, `'${place},'`)
    }
    if (options.always !== true) return set(present, `'${place}{' + structureOf${type}(v) + '}'`)
    return set(`${present} && (v = structureOf${type}(v)) !== ''`, `'${place}{' + v + '}'`)
  }
  const inner = isMessage ? `structureOf${type}` : 'atom'
  if (label === 'map')
    return options.atomic === true
      ? set(`${present} && Object.keys(v).length > 0`, `'${place},'`)
      : set(`${present} && (v = map(v, ${inner})) !== ''`, `'${place}' + v`)
  const filled = `${present} && v.length > 0`
  if (options.set === true) return set(filled, `'${place}' + values(v)`)
  if (options.mergeKey === undefined || options.atomic === true) return set(filled, `'${place},'`)
  const keys = options.mergeKey.map((key) => access('i', key)).join(', ')
  return set(filled, `'${place}' + keyed(v, (i: any) => [${keys}], ${inner})`)
}
