/**
 * Objects as YAML, in the order of the schema's fields. Words that YAML 1.1 reads as something else ("yes", "1e3",
 * times) are quoted.
 */
import { stringify } from 'yaml'
import type { JsonValue } from '../gen/types.ts'

export function formatYaml(value: JsonValue): string {
  return stringify(value, { version: '1.1', indentSeq: false, lineWidth: 0, aliasDuplicateObjects: false })
}
