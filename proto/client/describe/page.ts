/** A description as labelled values, some of them with labelled values below. Laying it out is the terminal's. */

export type Value = string | readonly string[] | readonly Entry[] | Block | Table

export interface Entry {
  readonly label: string
  readonly value: Value
}

/** Lines that stand below their label as they are. */
export interface Block {
  readonly lines: readonly string[]
}

/** Rows of cells that stand in columns below their label. */
export interface Table {
  readonly rows: readonly (readonly string[])[]
  /** Lines below the rows. */
  readonly below: readonly string[]
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

export function table(rows: readonly (readonly string[])[], below: readonly string[] = []): Table {
  return { rows, below }
}

/** "key=value" each on its own line. */
export function mapValue(map: Readonly<Record<string, string>> | undefined, separator = '='): readonly string[] {
  const entries = Object.entries(map ?? {}).sort(([a], [b]) => (a < b ? -1 : 1))
  return entries.length === 0 ? ['<none>'] : entries.map(([key, value]) => `${key}${separator}${value}`)
}

export function isEntries(value: Value): value is readonly Entry[] {
  return Array.isArray(value) && typeof value[0] === 'object'
}

export function isBlock(value: Value): value is Block {
  return typeof value === 'object' && 'lines' in value
}

export function isTable(value: Value): value is Table {
  return typeof value === 'object' && 'rows' in value
}
