/** `gantry explain`: a kind or a field of it, out of the schema's own words. */
import { explain, type Explanation } from '../../proto/schema/explain.ts'
import type { ExplainedField } from '../../proto/schema/explained-field.ts'
import { defineCommand } from '../../proto/terminal/command.ts'
import { kindOf } from '../../proto/client/operands.ts'
import { UsageError } from '../../proto/client/failures.ts'

const WIDTH = 100

export default defineCommand({
  usage: 'TYPE[.FIELD…] [--recursive]',
  summary: 'document a kind and its fields',
  examples: ['gantry explain pod', 'gantry explain deploy.spec.strategy', 'gantry explain pod.spec --recursive'],
  flags: { recursive: { type: 'boolean', help: 'names and types of all fields below' } },
  completes: 'kinds',
  async run({ flags, args, environment }) {
    if (args.length !== 1)
      throw new UsageError(
        args.length === 0 ? 'which type? Such as pod, or deploy.spec' : 'one type or field is expected',
      )
    const { kinds } = environment
    kindOf(args[0]!.split('.', 1)[0]!, kinds)
    const explanation = await explain(args[0]!, { recursive: flags.recursive, kinds })
    environment.stdout.write(format(explanation, flags.recursive))
  },
})

function format({ kind, apiVersion, path, field }: Explanation, recursive: boolean): string {
  const [group, version] = apiVersion.includes('/') ? (apiVersion.split('/') as [string, string]) : ['', apiVersion]
  const head = [...(group === '' ? [] : [`GROUP:      ${group}`]), `KIND:       ${kind}`, `VERSION:    ${version}`]
  const what = path === '' ? [] : ['', `FIELD: ${path.split('.').at(-1)} <${field.type}>${marks(field)}`]
  const about = [
    '',
    'DESCRIPTION:',
    ...wrap(field.description === '' ? '<empty>' : field.description, 4),
    ...notes(field, 4),
  ]
  const below =
    field.children.length === 0
      ? []
      : ['', 'FIELDS:', ...(recursive ? tree(field.children, 2) : field.children.flatMap(one))]
  return `${[...head, ...what, ...about, ...below].join('\n')}\n`
}

function marks(field: ExplainedField): string {
  return `${field.required ? ' -required-' : ''}${field.readOnly ? ' -read-only-' : ''}${field.frozen ? ' -cannot change-' : ''}`
}

function one(field: ExplainedField): string[] {
  return [`  ${field.name}\t<${field.type}>${marks(field)}`, ...wrap(field.description, 4), ...notes(field, 4), '']
}

function tree(fields: readonly ExplainedField[], indent: number): string[] {
  return fields.flatMap((field) => [
    `${' '.repeat(indent)}${field.name}\t<${field.type}>${marks(field)}`,
    ...tree(field.children, indent + 2),
  ])
}

/** What the schema says beside the comment. */
function notes(field: ExplainedField, indent: number): string[] {
  const { unsupported } = field
  const texts = [
    ...(field.enum.length === 0
      ? []
      : [`Values: ${field.enum.map((value) => (value === '' ? '""' : value)).join(', ')}.`]),
    ...(field.default === undefined ? [] : [`Default: ${field.default}.`]),
    ...(field.mergeKey.length === 0 ? [] : [`Items are told apart by ${field.mergeKey.join(' and ')}.`]),
    ...(unsupported === undefined ? [] : [`Refused: ${unsupported.reason}${acceptedText(unsupported.accepted)}.`]),
  ]
  return texts.flatMap((text) => wrap(text, indent))
}

function wrap(text: string, indent: number): string[] {
  return text.split('\n').flatMap((paragraph) => {
    const lines: string[] = []
    for (const word of paragraph.split(/\s+/).filter((part) => part !== '')) {
      const last = lines.at(-1)
      if (last !== undefined && last.length + 1 + word.length <= WIDTH - indent)
        lines[lines.length - 1] = `${last} ${word}`
      else lines.push(word)
    }
    return lines.map((line) => ' '.repeat(indent) + line)
  })
}

/** What may be written all the same; an empty text or map is as good as nothing, which needs no telling. */
export function acceptedText(accepted: readonly string[]): string {
  const told = accepted.filter((value) => value !== '' && value !== '{}')
  return told.length === 0 ? '' : ` (accepted: ${told.join(', ')})`
}
