/** YAML to the text of JSON, which is bounded: a few aliases can mean the same long text a hundred thousand times. */
import type { JsonValue } from '../../../proto/gen/types.ts'
import { VALUE_LIMIT } from '../json-scan.ts'
import { HttpError } from '../status.ts'
import { parseYaml, type ParsedYaml } from './parse.ts'

/** Characters of JSON: the most that a body of JSON can have. */
const JSON_LIMIT = 3 * 1024 * 1024

/** HttpError as parseYaml, and 413 for a document that means more than a body of JSON may hold. */
export function readAsJson(text: string): { readonly json: string; readonly problems: ParsedYaml['problems'] } {
  const { value, problems } = parseYaml(text)
  const { values, characters } = sizeOf(value)
  if (values > VALUE_LIMIT || characters > JSON_LIMIT) {
    const what = values > VALUE_LIMIT ? `more than ${VALUE_LIMIT} values` : `more than ${JSON_LIMIT} characters`
    throw new HttpError(
      413,
      'RequestEntityTooLarge',
      `the body means ${what}, with its aliases written out`,
      'ResourceExhausted',
    )
  }
  return { json: JSON.stringify(value), problems }
}

/** Counted no further than a little beyond the limits; characters of strings and keys alone. */
function sizeOf(root: JsonValue): { values: number; characters: number } {
  let [values, characters] = [0, 0]
  const left: JsonValue[] = [root]
  for (
    let value = left.pop();
    value !== undefined && values <= VALUE_LIMIT && characters <= JSON_LIMIT;
    value = left.pop()
  ) {
    values++
    if (typeof value === 'string') characters += value.length
    else if (Array.isArray(value)) left.push(...value)
    else if (typeof value === 'object' && value !== null) {
      for (const [key, member] of Object.entries(value)) {
        characters += key.length
        left.push(member)
      }
    }
  }
  return { values, characters }
}
