/** What `-o` asks for, and objects in that form. https://kubernetes.io/docs/reference/kubectl/#output-options */
import { encodeJson } from '../../proto/codec/codec.ts'
import type { AnyResource, JsonObject, JsonValue } from '../../proto/gen/types.ts'
import { UsageError } from '../../proto/client/failures.ts'
import { kindWord } from '../../proto/client/kind-words.ts'
import { parseCustomColumns, type CustomColumn } from './custom-columns.ts'
import {
  findValues,
  parseTemplate,
  renderTemplate,
  showValue,
  type Template,
} from '../../proto/base/jsonpath/jsonpath.ts'
import { formatTable } from '../../proto/terminal/output/table.ts'

export type Format =
  | { readonly is: 'table'; readonly wide: boolean }
  | { readonly is: 'yaml' | 'json' | 'name' }
  | { readonly is: 'jsonpath'; readonly template: Template }
  | { readonly is: 'columns'; readonly columns: readonly CustomColumn[] }

/** Forms besides the table, for commands whose own answer is a sentence. */
export const OUTPUT_HELP = 'yaml, json, name, jsonpath=TEMPLATE or custom-columns=SPEC'

export function parseFormat(text: string | undefined): Format {
  if (text === undefined || text === '') return { is: 'table', wide: false }
  const [word, argument] = /^([^=]+)=(.*)$/s.exec(text)?.slice(1) ?? [text, undefined]
  switch (word) {
    case 'wide':
      return { is: 'table', wide: true }
    case 'yaml':
    case 'json':
    case 'name':
      return { is: word }
    case 'jsonpath':
      return { is: 'jsonpath', template: parseTemplate(required(word, argument, '{.metadata.name}')) }
    case 'custom-columns':
      return { is: 'columns', columns: parseCustomColumns(required(word, argument, 'NAME:.metadata.name')) }
    case undefined:
    default:
      throw new UsageError(`unknown output form "${text}"`, `it is wide, ${OUTPUT_HELP}`)
  }
}

function required(word: string, argument: string | undefined, example: string): string {
  if (argument === undefined || argument === '')
    throw new UsageError(`-o ${word} needs a value, such as -o ${word}='${example}'`)
  return argument
}

/** An object as JSON for people: without the bookkeeping of field ownership unless it is wanted. */
export function shownJson(object: AnyResource, managedFields: boolean): JsonObject {
  const json = encodeJson(object)
  const { managedFields: _, ...metadata } = json.metadata as JsonObject
  return managedFields ? json : { ...json, metadata }
}

/** Objects in a form other than the table. `single` for one that was asked for by name: not wrapped in a List. */
export async function formatObjects(
  format: Exclude<Format, { is: 'table' }>,
  objects: readonly AnyResource[],
  single: boolean,
  managedFields = false,
): Promise<string> {
  if (format.is === 'name')
    return objects.map((object) => `${kindWord(object.kind)}/${object.metadata.name}\n`).join('')
  const items = objects.map((object) => shownJson(object, managedFields))
  const value: JsonValue =
    single && items.length === 1
      ? items[0]!
      : { apiVersion: 'v1', kind: 'List', metadata: { resourceVersion: '' }, items }
  switch (format.is) {
    case 'yaml':
      return (await import('../../proto/base/yaml-text.ts')).formatYaml(value)
    case 'json':
      return `${JSON.stringify(value, undefined, 4)}\n`
    case 'jsonpath':
      return renderTemplate(format.template, value)
    case 'columns':
      return formatTable([
        format.columns.map((column) => column.header),
        ...items.map((item) => customRow(format.columns, item)),
      ])
  }
}

function customRow(columns: readonly CustomColumn[], item: JsonObject): string[] {
  return columns.map((column) => {
    const values = findValues(column.path, item, item)
    return values.length === 0 ? '<none>' : values.map(showValue).join(',')
  })
}
