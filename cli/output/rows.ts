/** The tables of `get`: the columns of each kind, and what a command adds to them. */
import { columnsOf, headerOf } from '../../proto/objects/columns/columns.ts'
import type { Column } from '../../proto/objects/columns/column.ts'
import { resourceOf } from '../../proto/schema/schema.ts'
import type { AnyResource, Kind } from '../../proto/gen/types.ts'

export interface TableOptions {
  readonly wide: boolean
  /** A first column with the namespace. */
  readonly namespaces: boolean
  /** Names as "pod/web", for tables of several kinds. */
  readonly kinds: boolean
  /** A last column with every label. */
  readonly labels: boolean
  /** Columns of single labels. */
  readonly labelColumns: readonly string[]
  readonly color: (status: string) => string
}

export function tableHeader(kind: Kind, options: TableOptions): string[] {
  return [
    ...(options.namespaces && resourceOf(kind).namespaced ? ['NAMESPACE'] : []),
    ...shownColumns(kind, options).map(headerOf),
    ...options.labelColumns.map((label) => label.split('/').at(-1)!.toUpperCase()),
    ...(options.labels ? ['LABELS'] : []),
  ]
}

export function tableRow(object: AnyResource, options: TableOptions, now: number): string[] {
  const { kind, metadata } = object
  const { group, namespaced, kind: word } = resourceOf(kind)
  const prefix = options.kinds ? `${word.toLowerCase()}${group === '' ? '' : `.${group}`}/` : ''
  const labels = metadata.labels ?? {}
  return [
    ...(options.namespaces && namespaced ? [metadata.namespace] : []),
    ...shownColumns(kind, options).map((column) => {
      const text =
        (options.wide ? column.wideCell : undefined)?.(object as never, now) ?? column.cell(object as never, now)
      return column.status === true ? options.color(text) : column.format === 'name' ? prefix + text : text
    }),
    ...options.labelColumns.map((label) => labels[label] ?? ''),
    ...(options.labels ? [formatLabels(labels)] : []),
  ]
}

export function formatLabels(labels: Readonly<Record<string, string>> | undefined): string {
  const list = Object.entries(labels ?? {})
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${value}`)
  return list.length === 0 ? '<none>' : list.join(',')
}

function shownColumns(kind: Kind, { wide }: TableOptions): readonly Column<Kind>[] {
  return columnsOf(kind).filter((column) => wide || column.wide !== true)
}
