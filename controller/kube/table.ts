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
    const head = JSON.stringify({
      kind: 'Table',
      apiVersion: this.#apiVersion,
      metadata,
      columnDefinitions: definitions,
    }).slice(0, -1)
    const pieces: Uint8Array[] = [Buffer.from(`${head},"rows":[`)]
    for (const [index, item] of items.entries()) {
      const cells = JSON.stringify(columns.map((column) => cellOf(column, item.object as AnyResource, now)))
      pieces.push(Buffer.from(`${index > 0 ? ',' : ''}{"cells":${cells},"object":`), this.#object(item), ROW_END)
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

  #object(item: EncodableObject): Uint8Array {
    switch (this.#include) {
      case 'None':
        return NULL
      case 'Metadata':
        return metadataOfRow(item, this.#apiVersion)
      case 'Object':
        return item.json()
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

const NULL = Buffer.from('null')
const ROW_END = Buffer.from('}')
const TABLE_END = Buffer.from(']}')

/** By object and version of meta.k8s.io: made once. */
const known = new WeakMap<EncodableObject, Map<string, Uint8Array>>()

/**
 * All metadata but `managedFields`: they would be most of a table, which is for people, and reading those of 500 pods
 * takes kubectl longer than all the rest of `get pods`.
 */
function metadataOfRow(item: EncodableObject, apiVersion: string): Uint8Array {
  let made = known.get(item)
  if (made === undefined) known.set(item, (made = new Map()))
  let json = made.get(apiVersion)
  if (json === undefined) {
    const { metadata = {} } = item.object as { metadata?: object }
    const shown = encodeFields('ObjectMeta', { ...metadata, managedFields: undefined })
    made.set(
      apiVersion,
      (json = Buffer.from(JSON.stringify({ kind: 'PartialObjectMetadata', apiVersion, metadata: shown }))),
    )
  }
  return json
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
