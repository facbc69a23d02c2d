/**
 * Code that tells whether an object is plainly as the options of its schema ask: of one that is not, and in rare cases
 * of one that is, validation (validation/schema.ts) finds out what is wrong with it.
 */
import type { FieldSchema, Schema } from '../schema/model.ts'
import { jsonFields, jsonLayouts } from './json.ts'
import { access, isSpecial, Layout } from './layout.ts'
import { indent, moduleCode, usedIn } from './module.ts'

export function checksCode(schema: Schema, definitions: Readonly<Record<string, string>>): string {
  const layouts = jsonLayouts(schema, definitions)
  const checked = new Set(layouts.map(({ name }) => name).filter((name) => asks(schema, name, new Set())))
  const lists = new Map<string, string>()
  const list = (texts: readonly string[]): string => {
    const text = JSON.stringify(texts)
    const name = lists.get(text) ?? `list${lists.size}`
    lists.set(text, name)
    return name
  }
  const checks = layouts.filter(({ name }) => checked.has(name)).map((layout) => checkCode(layout, checked, list))
  const runtime = usedIn(checks.join('\n'), RUNTIME)
  return moduleCode({
    head: [
      "import { formats } from '../base/format.ts'",
      `import { ${runtime.join(', ')} } from '../validation/plain-checks.ts'\n`,
      'type Check = (o: any) => boolean',
    ],
    lookups: [
      {
        name: 'plainCheck',
        doc: 'What is true for a message that is plainly as it must be; none for one of which nothing is asked.',
        type: 'Check',
        cases: [...checked].map((name) => [name, `check${name}`]),
      },
    ],
    body: [...[...lists].map(([text, name]) => `const ${name} = ${text}`), ...checks],
  })
}

/** What validation/plain-checks.ts has. */
const RUNTIME = ['hasEntries', 'isAllowed', 'isInert', 'isSpecial', 'isUnique', 'isWellFormed']

/** True if anything is asked of this message or below. */
function asks(schema: Schema, name: string, seen: Set<string>): boolean {
  if (seen.has(name)) return false
  seen.add(name)
  return jsonFields(new Layout(schema, name)).some((field) => {
    const { options, kind, type } = field
    if (options.readOnly === true) return false
    if (options.required === true || options.unsupported !== undefined || options.mergeKey !== undefined) return true
    if (options.enum !== undefined || options.format !== undefined || options.keyFormat !== undefined) return true
    if (kind !== 'message') return false
    return isSpecial(schema, field) ? isChecked(schema, type) : asks(schema, type, seen)
  })
}

/** True for a special message whose value is a text or a number with a form of its own. */
function isChecked({ messages }: Schema, type: string): boolean {
  return ['string', 'number | string'].includes(messages[type]!.value!)
}

function checkCode(layout: Layout, checked: ReadonlySet<string>, list: (texts: readonly string[]) => string): string {
  const { name, schema } = layout
  const lines = jsonFields(layout).flatMap((field) => fieldLines(schema, field, checked, list))
  return `function check${name}(o: any): boolean {\n${indent(['let v: any', ...lines, 'return true']).join('\n')}\n}\n`
}

function fieldLines(
  schema: Schema,
  field: FieldSchema,
  checked: ReadonlySet<string>,
  list: (texts: readonly string[]) => string,
): string[] {
  const { name, label, options, type } = field
  if (options.readOnly === true) return []
  const lines: string[] = []
  if (options.unsupported !== undefined)
    lines.push(
      `if (!isInert(v, ${label === 'optional' ? (options.inert === undefined ? '[]' : list(options.inert)) : 'undefined'})) return false`,
    )
  const item = (value: string): string | undefined => valueCheck(schema, field, value, checked, list)
  if (label === 'optional') {
    const check = item('v')
    if (check !== undefined) lines.push(`if (!(${check})) return false`)
  }
  if (label === 'repeated') {
    const check = item('item')
    if (check !== undefined) lines.push(`for (const item of v) if (!(${check})) return false`)
    if (options.mergeKey !== undefined && options.repeats !== true) {
      const fallbacks = options.mergeKey.map(
        (key) => schema.messages[type]!.fields.find((one) => one.name === key)?.options.default ?? '',
      )
      lines.push(`if (v.length > 1 && !isUnique(v, ${list(options.mergeKey)}, ${list(fallbacks)})) return false`)
    }
  }
  if (label === 'map') {
    const key = options.keyFormat === undefined ? undefined : `formats.${options.keyFormat}(key) === undefined`
    const check = item('v[key]')
    const all = [key, check].filter((one) => one !== undefined)
    if (all.length > 0) lines.push(`for (const key of Object.keys(v)) if (!(${all.join(' && ')})) return false`)
  }
  const value = access('o', name)
  if (options.required === true) {
    const empty =
      label === 'optional'
        ? "v == null || v === ''"
        : label === 'map'
          ? 'v == null || !hasEntries(v)'
          : 'v == null || v.length === 0'
    return [`v = ${value}`, `if (${empty}) return false`, ...lines]
  }
  if (lines.length === 0) return []
  // A null is for validation.
  return [`if ((v = ${value}) !== undefined) {`, '  if (v === null) return false', ...indent(lines), '}']
}

/** The expression for whether a value is right; undefined if any is. */
function valueCheck(
  schema: Schema,
  field: FieldSchema,
  value: string,
  checked: ReadonlySet<string>,
  list: (texts: readonly string[]) => string,
): string | undefined {
  const { kind, type, options, label } = field
  if (kind === 'message' && !isSpecial(schema, field)) return checked.has(type) ? `check${type}(${value})` : undefined
  const asked: string[] = []
  if (kind === 'message' && isChecked(schema, type)) asked.push(`isSpecial(${JSON.stringify(type)}, ${value})`)
  if (options.enum !== undefined) asked.push(`isAllowed(${value}, ${list(options.enum)})`)
  if (options.format !== undefined) {
    const blank = label === 'optional' && options.required !== true
    asked.push(`${blank ? `${value} === '' || ` : ''}isWellFormed(${value}, formats.${options.format})`)
  }
  return asked.length === 0 ? undefined : asked.map((one) => (asked.length > 1 ? `(${one})` : one)).join(' && ')
}
