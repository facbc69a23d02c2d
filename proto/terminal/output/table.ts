/** Columns of text, aligned left, three spaces apart. */
import { escapeControls } from './escape-controls.ts'

const GAP = 3

/** Shown width: what the terminal's colour codes add does not count. */
function width(text: string): number {
  return [...text.replace(/\u001b\[[0-9;]*m/g, '')].length
}

/** Lays out rows as they come; columns never get narrower, so that the rows of a watch stay aligned. */
export class Table {
  readonly #widths: number[] = []

  /** Lines without their newline. The last column is not padded. */
  format(content: readonly (readonly string[])[]): string[] {
    const rows = content.map((row) => row.map(escapeControls))
    for (const row of rows)
      row.forEach((cell, column) => (this.#widths[column] = Math.max(this.#widths[column] ?? 0, width(cell))))
    return rows.map((row) =>
      row
        .map((cell, column) =>
          column === row.length - 1 ? cell : cell + ' '.repeat(this.#widths[column]! - width(cell) + GAP),
        )
        .join('')
        .trimEnd(),
    )
  }
}

/** One table, as text that ends in a newline; empty without rows. */
export function formatTable(rows: readonly (readonly string[])[]): string {
  return new Table()
    .format(rows)
    .map((line) => `${line}\n`)
    .join('')
}
