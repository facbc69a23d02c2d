/** `-o custom-columns=NAME:.metadata.name,NODE:.spec.nodeName` */
import { UsageError } from '../../proto/client/failures.ts'
import type { Path } from '../../proto/base/jsonpath/syntax.ts'
import { parseSinglePath } from '../../proto/base/jsonpath/jsonpath.ts'

export interface CustomColumn {
  readonly header: string
  readonly path: Path
}

export function parseCustomColumns(text: string): CustomColumn[] {
  return splitOutsideBrackets(text).map((part) => {
    const at = part.indexOf(':')
    if (at <= 0 || at === part.length - 1)
      throw new UsageError(`custom-columns: "${part}" is not HEADER:PATH, such as NAME:.metadata.name`)
    return { header: part.slice(0, at), path: parseSinglePath(part.slice(at + 1)) }
  })
}

/** At commas, but not those of a union or filter in brackets. */
function splitOutsideBrackets(text: string): string[] {
  const parts = ['']
  let depth = 0
  for (const character of text) {
    if (character === '[') depth++
    if (character === ']') depth--
    if (character === ',' && depth === 0) parts.push('')
    else parts[parts.length - 1] += character
  }
  return parts
}
