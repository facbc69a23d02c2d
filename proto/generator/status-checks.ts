/**
 * Code that tells whether a status is plainly as it must be: of one that is not, and in rare cases of one that is,
 * validation (validation/status.ts) finds out what is wrong with it.
 */
import type { FieldSchema, Schema } from '../schema/model.ts'
import { access, isSpecial, Layout } from './layout.ts'
import { indent, moduleCode, usedIn } from './module.ts'

export function statusChecksCode(schema: Schema): string {
  const statuses = Object.values(schema.messages).flatMap(({ name, fields, resource }) => {
    const status = resource === undefined ? undefined : fields.find((field) => field.name === 'status')
    return status === undefined || isSpecial(schema, status) ? [] : [[name, status.type] as const]
  })
  const layouts = new Map<string, Layout>()
  for (const [, status] of statuses) collect(schema, status, layouts)
  const lists = new Map<string, string>()
  const code = [...layouts.values()].map((layout) => checkCode(layout, lists))
  return moduleCode({
    head: [
      "import { formats } from '../base/format.ts'",
      `import { ${usedIn(code.join('\n'), RUNTIME).join(', ')} } from '../validation/plain-checks.ts'\n`,
      'type Check = (o: any) => boolean',
    ],
    lookups: [
      {
        name: 'plainStatusCheck',
        doc: 'What is true for a status that is plainly as it must be, by the kind that has it.',
        type: 'Check',
        cases: statuses.map(([kind, status]) => [kind, `check${status}`]),
      },
    ],
    body: [...[...lists].map(([text, name]) => `const ${name} = ${text}`), ...code],
  })
}

/** What validation/plain-checks.ts has. */
const RUNTIME = [
  'areKeyed',
  'entriesOf',
  'isAllowed',
  'isShort',
  'isSpecial',
  'isTime',
  'isWellFormed',
  'MOST_CONDITIONS',
  'MOST_ITEMS',
]

function collect(schema: Schema, name: string, into: Map<string, Layout>): void {
  if (into.has(name)) return
  const layout = new Layout(schema, name)
  into.set(name, layout)
  for (const { field } of layout.properties)
    if (field?.kind === 'message' && !isSpecial(schema, field)) collect(schema, field.type, into)
}

function checkCode({ name, schema, properties }: Layout, lists: Map<string, string>): string {
  const lines = properties.flatMap(({ field }) => fieldLines(schema, field!, lists))
  return `function check${name}(o: any): boolean {\n${indent(['let v: any', ...lines, 'return true']).join('\n')}\n}\n`
}

function fieldLines(schema: Schema, field: FieldSchema, lists: Map<string, string>): string[] {
  const { name, label, type, options } = field
  const there = `(v = ${access('o', name)}) !== undefined`
  const check = (value: string): string | undefined => valueCheck(schema, field, value, lists)
  switch (label) {
    case 'optional': {
      const one = check('v')
      return one === undefined ? [] : [`if (${there} && !(${one})) return false`]
    }
    case 'repeated': {
      const item = check('item')
      return [
        `if (${there}) {`,
        `  if (v.length > ${name === 'conditions' ? 'MOST_CONDITIONS' : 'MOST_ITEMS'}) return false`,
        ...(item === undefined ? [] : [`  for (const item of v) if (!(${item})) return false`]),
        // In Kubernetes, too, a node may have two addresses of a type.
        ...(options.mergeKey === undefined || type === 'NodeAddress'
          ? []
          : [`  if (!areKeyed(v, ${listName(lists, options.mergeKey)})) return false`]),
        '}',
      ]
    }
    case 'map': {
      const key = options.keyFormat === undefined ? undefined : `formats.${options.keyFormat}(key) === undefined`
      const all = [key, check('v[key]')].filter((one) => one !== undefined)
      return [
        `if (${there}) {`,
        '  const keys = Object.keys(v)',
        '  if (keys.length > MOST_ITEMS) return false',
        ...(all.length === 0 ? [] : [`  for (const key of keys) if (!(${all.join(' && ')})) return false`]),
        '}',
      ]
    }
  }
}

function listName(lists: Map<string, string>, texts: readonly string[]): string {
  const text = JSON.stringify(texts)
  const name = lists.get(text) ?? `list${lists.size}`
  lists.set(text, name)
  return name
}

/** The expression for whether a value is right; undefined if any is. */
function valueCheck(schema: Schema, field: FieldSchema, value: string, lists: Map<string, string>): string | undefined {
  const { kind, type, label, options } = field
  if (kind === 'message') {
    if (!isSpecial(schema, field)) return `check${type}(${value})`
    if (type === 'Time' || type === 'MicroTime') return `isTime(${JSON.stringify(type)}, ${value})`
    return ['string', 'number | string'].includes(schema.messages[type]!.value!)
      ? `isSpecial(${JSON.stringify(type)}, ${value})`
      : undefined
  }
  if (type === 'bool') return undefined
  const asked: string[] = []
  if (options.enum !== undefined) asked.push(`isAllowed(${value}, ${listName(lists, options.enum)})`)
  if (options.format !== undefined) {
    const mayBeBlank = label === 'optional' && options.required !== true
    asked.push(`(${mayBeBlank ? `${value} === '' || ` : ''}isWellFormed(${value}, formats.${options.format}))`)
  }
  if (type === 'string') asked.push(`isShort(${value})`)
  return asked.length === 0 ? undefined : asked.join(' && ')
}
