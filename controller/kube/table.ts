/**
 * Tables as clients ask for them instead of objects.
 * https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables
 */
import { encodeFields } from '../../proto/codec/codec.ts'
import { columnsOf } from '../../proto/objects/columns/columns.ts'
import type { Column } from '../../proto/objects/columns/column.ts'
import type { AnyResource, JsonObject, JsonValue, Kind } from '../../proto/gen/types.ts'
import type { ListMeta, ServedResource, EncodableObject } from './contract.ts'
import { HttpError } from './status.ts'

/** What of the object itself goes with its row. */
export type IncludeObject = 'None' | 'Metadata' | 'Object'

/** BadRequest for another value. */
export function includeObject(query: URLSearchParams): IncludeObject {
  const text = query.get('includeObject') ?? ''
  if (text === '') return 'Metadata'
  if (text === 'None' || text === 'Metadata' || text === 'Object') return text
  throw new HttpError(400, 'BadRequest', `includeObject is "${text}": use None, Metadata or Object`)
}

export class TableMaker {
  readonly #apiVersion: string
  readonly #resource: ServedResource | undefined
  readonly #include: IncludeObject
  readonly #now: () => number

  constructor(apiVersion: string, resource: ServedResource | undefined, include: IncludeObject, now: () => number) {
    this.#apiVersion = apiVersion
    this.#resource = resource
    this.#include = include
    this.#now = now
  }

  /** A row for each object. In a watch only the first table says what its columns are. */
  table(items: readonly EncodableObject[], metadata: ListMeta, withColumns = true): EncodableObject {
    const columns = this.#columns(items[0])
    const now = this.#now()
    const definitions = withColumns ? columns.map(definitionOf) : []
    const head = { kind: 'Table', apiVersion: this.#apiVersion, metadata, columnDefinitions: definitions }
    const pieces: Uint8Array[] = [Buffer.from(`${JSON.stringify(head).slice(0, -1)},"rows":[`)]
    for (const item of items) {
      const { texts, aging } = this.#row(item, columns)
      if (pieces.length > 1) pieces.push(COMMA)
      pieces.push(texts[0]!)
      for (let at = 0; at < aging.length; at++)
        pieces.push(Buffer.from(JSON.stringify(cellOf(aging[at]!, item.object as AnyResource, now))), texts[at + 1]!)
      if (this.#include === 'Object') pieces.push(item.json(), ROW_END)
    }
    pieces.push(TABLE_END)
    const json = Buffer.concat(pieces)
    return {
      apiVersion: this.#apiVersion,
      kind: 'Table',
      object: { metadata },
      json: () => json,
      protobuf: () => undefined,
    }
  }

  #row(item: EncodableObject, columns: readonly Column<Kind>[]): Row {
    let row = known.get(item)
    if (row?.columns !== columns || row.include !== this.#include || row.apiVersion !== this.#apiVersion) {
      const { texts, aging } = rowOf(item, columns, this.#objectText(item))
      known.set(item, (row = { columns, include: this.#include, apiVersion: this.#apiVersion, texts, aging }))
    }
    return row
  }

  /** What stands behind the cells; the object itself is added by whoever wants it. */
  #objectText(item: EncodableObject): string {
    switch (this.#include) {
      case 'None':
        return 'null}'
      case 'Metadata':
        return `${metadataText(item, this.#apiVersion)}}`
      case 'Object':
        return ''
    }
  }

  /**
   * Those of the objects, whose kind may be another than the resource's (a subresource); those of the resource where
   * there are none.
   */
  #columns(first: EncodableObject | undefined): readonly Column<Kind>[] {
    const kind =
      first === undefined
        ? (this.#resource?.stored ?? this.#resource?.kind)
        : (first.object as Partial<AnyResource>).kind
    const apiVersion = first?.apiVersion
    return columnsOf(kind as Kind | undefined, apiVersion)
  }
}

const COMMA = Buffer.from(',')
const ROW_END = Buffer.from('}')
const TABLE_END = Buffer.from(']}')

/** A row but for the cells that age. */
interface Row {
  /** What stands before, between and behind those. */
  readonly texts: readonly Uint8Array[]
  readonly aging: readonly Column<Kind>[]
}

/** The last that was made of each object: most who ask for tables ask for the same. */
const known = new WeakMap<
  EncodableObject,
  Row & { readonly columns: readonly Column<Kind>[]; readonly include: IncludeObject; readonly apiVersion: string }
>()

/** `behind`: what follows the cells. */
function rowOf(item: EncodableObject, columns: readonly Column<Kind>[], behind: string): Row {
  const object = item.object as AnyResource
  const texts: Uint8Array[] = []
  const aging: Column<Kind>[] = []
  let text = '{"cells":['
  for (const [index, column] of columns.entries()) {
    if (index > 0) text += ','
    if (column.ages?.(object) === true) {
      texts.push(Buffer.from(text))
      aging.push(column)
      text = ''
    } else text += JSON.stringify(cellOf(column, object, 0))
  }
  texts.push(Buffer.from(`${text}],"object":${behind}`))
  return { texts, aging }
}

/**
 * All metadata but `managedFields`: they would be most of a table, which is for people, and reading those of 500 pods
 * takes kubectl longer than all the rest of `get pods`.
 */
function metadataText(item: EncodableObject, apiVersion: string): string {
  const { metadata = {} } = item.object as { metadata?: object }
  const shown = encodeFields('ObjectMeta', { ...metadata, managedFields: undefined })
  return JSON.stringify({ kind: 'PartialObjectMetadata', apiVersion, metadata: shown })
}

function definitionOf({ name, type = 'string', format, description = '', wide }: Column<Kind>): JsonObject {
  return { name, type, format: format ?? '', description, priority: wide === true ? 1 : 0 }
}

/** Of the column's type; null for what is not there. */
function cellOf(column: Column<Kind>, object: AnyResource, now: number): JsonValue {
  const text = column.kubernetesCell?.(object, now) ?? column.cell(object, now)
  switch (column.type) {
    case 'integer':
    case 'number':
      return Number.isFinite(Number(text)) && text !== '' ? Number(text) : null
    case 'boolean':
      return text === 'true' ? true : text === 'false' ? false : null
    case 'date':
    case 'string':
    case undefined:
      return text
  }
}
