/**
 * The table of a custom kind: the columns that its definition gives a version.
 * https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#additional-printer-columns
 */
import type { CustomResourceColumnDefinition, JsonValue, Kind, Resources } from '../../gen/types.ts'
import type { CustomVersion } from '../../schema/custom/definitions.ts'
import { GantryError } from '../../base/errors.ts'
import { findValues, parseSinglePath, showValue } from '../../base/jsonpath/jsonpath.ts'
import { ageSince } from './age.ts'
import type { Column, ColumnType } from './column.ts'

/** In place of what is not there. */
const NONE = '<none>'

const NAME: Column<Kind> = { name: 'Name', format: 'name', cell: ({ metadata }) => metadata.name }
const AGE: Column<Kind> = {
  name: 'Age',
  type: 'date',
  ages: () => true,
  cell: ({ metadata }, now) => ageSince(metadata.creationTimestamp, now),
}

const known = new WeakMap<CustomVersion, readonly Column<Kind>[]>()

/** The name, then what the definition says; without a word of it, the age. */
export function customColumns(version: CustomVersion): readonly Column<Kind>[] {
  let columns = known.get(version)
  if (columns === undefined)
    known.set(version, (columns = [NAME, ...(version.columns.length === 0 ? [AGE] : version.columns.map(columnOf))]))
  return columns
}

function columnOf({
  name,
  type,
  description = '',
  priority = 0,
  jsonPath,
}: CustomResourceColumnDefinition): Column<Kind> {
  const path = parseSinglePath(jsonPath)
  return {
    name,
    type: type as ColumnType,
    description,
    ...(priority > 0 && { wide: true }),
    ...(type === 'date' && { ages: () => true }),
    cell(object: Resources[Kind], now: number): string {
      const values = findValues(path, object as unknown as JsonValue, object as unknown as JsonValue).filter(
        (value) => value !== null,
      )
      const [first] = values
      if (first === undefined) return NONE
      switch (type) {
        case 'date':
          return typeof first === 'string' ? dateCell(first, now) : NONE
        case 'string':
          return values.map(showValue).join(' ')
        case 'boolean':
        case 'integer':
        case 'number':
        default:
          return showValue(first)
      }
    },
  }
}

/** Only the definition's schema, if anything, says that the field is a time. */
function dateCell(text: string, now: number): string {
  try {
    return ageSince(text, now)
  } catch (thrown) {
    if (GantryError.is(thrown, 'InvalidArgument')) return '<invalid>'
    throw thrown
  }
}
