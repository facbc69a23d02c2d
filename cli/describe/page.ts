/** A description as labelled values, some of them with labelled values below. */
import { escapeControls } from '../../proto/terminal/output/escape-controls.ts'

export type Value = string | readonly string[] | readonly Entry[] | Block

export interface Entry {
  readonly label: string
  readonly value: Value
}

/** Lines that stand below their label as they are. */
export interface Block {
  readonly lines: readonly string[]
}

export function entry(label: string, value: Value): Entry {
  return { label, value }
}

/** The entry, or nothing for a value that is absent. */
export function optional(label: string, value: Value | undefined): Entry[] {
  return value === undefined || value === '' ? [] : [{ label, value }]
}

export function block(lines: readonly string[]): Block {
  return { lines }
}

/** "key=value" each on its own line. */
export function mapValue(map: Readonly<Record<string, string>> | undefined, separator = '='): readonly string[] {
  const entries = Object.entries(map ?? {}).sort(([a], [b]) => (a < b ? -1 : 1))
  return entries.length === 0 ? ['<none>'] : entries.map(([key, value]) => `${key}${separator}${value}`)
}

function isEntries(value: Value): value is readonly Entry[] {
  return Array.isArray(value) && typeof value[0] === 'object'
}

function isBlock(value: Value): value is Block {
  return !Array.isArray(value) && typeof value === 'object'
}

/** Values of one level stand in one column. */
export function formatPage(entries: readonly Entry[], indent = 0): string {
  const inColumn = entries.filter(({ value }) => !isEntries(value) && !isBlock(value))
  const width = Math.max(0, ...inColumn.map(({ label }) => label.length)) + 3
  const margin = ' '.repeat(indent)
  return entries
    .map(({ label, value }) => {
      if (isBlock(value))
        return `${margin}${label}:${value.lines.length === 0 ? ' <none>' : ''}\n${value.lines.map((line) => `${margin}  ${escapeControls(line)}\n`).join('')}`
      if (isEntries(value)) return `${margin}${label}:\n${formatPage(value, indent + 2)}`
      const lines = typeof value === 'string' ? value.split('\n') : value
      const column = indent + width
      return lines
        .map(
          (line, index) =>
            `${index === 0 ? `${margin}${label}:`.padEnd(column) : ' '.repeat(column)}${escapeControls(line)}`.trimEnd() +
            '\n',
        )
        .join('')
    })
    .join('')
}
