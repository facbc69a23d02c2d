/** A description as text: labels on the left, what belongs to one thing indented below it. */
import {
  isBlock,
  isEntries,
  isTable,
  type Block,
  type Entry,
  type Table as TableValue,
} from '../../proto/client/describe/page.ts'
import { escapeControls } from '../../proto/terminal/output/escape-controls.ts'
import { Table } from '../../proto/terminal/output/table.ts'

/** Values of one level stand in one column. */
export function formatPage(entries: readonly Entry[], indent = 0): string {
  const inColumn = entries.filter(({ value }) => !isEntries(value) && !isBlock(value) && !isTable(value))
  const width = Math.max(0, ...inColumn.map(({ label }) => label.length)) + 3
  const margin = ' '.repeat(indent)
  return entries
    .map(({ label, value }) => {
      if (isBlock(value) || isTable(value)) return `${margin}${label}:${formatLines(linesOf(value), margin)}`
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

function linesOf(value: Block | TableValue): readonly string[] {
  return isBlock(value) ? value.lines : [...new Table().format(value.rows), ...value.below]
}

function formatLines(lines: readonly string[], margin: string): string {
  return `${lines.length === 0 ? ' <none>' : ''}\n${lines.map((line) => `${margin}  ${escapeControls(line)}\n`).join('')}`
}
