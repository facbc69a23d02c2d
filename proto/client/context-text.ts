/**
 * The context file's text in the form in which `formatContexts` writes it. Every command reads it, and loading all of
 * YAML takes longer than that.
 */

const HEAD = 'contexts:'
/** What stands before a context's first field, its others, the items of a list, and the lines of a text. */
const FIRST = '  - '
const FIELD = '    '
const ITEM = '      - '
const LINE = '      '

/** Words that YAML takes for strings whatever stands around them: names, paths and host:port. */
const PLAIN = /^(?:(?:[A-Za-z_/]|\.{1,2}\/)[\w./@+-]*|[\w.-]+:\d+)$/
const NO_STRING = /^(?:null|true|false)$/i

/** The same as YAML makes of it; undefined for text of any other form, which may be YAML all the same. */
export function parseContextText(text: string): unknown {
  if (/[^\n\x20-\x7e]/.test(text)) return undefined
  const lines = text.split('\n')
  if (lines.pop() !== '' || lines.shift() !== HEAD) return undefined
  const file: Record<string, unknown> = {}
  const contexts: Record<string, unknown>[] = []
  while (lines.length > 0) {
    const line = lines.shift()!
    if (line.startsWith(FIRST)) contexts.push({})
    const context = contexts.at(-1)
    const isField = line.startsWith(FIRST) || line.startsWith(FIELD)
    const [, name, rest] = /^(\w+):(?: (.+))?$/.exec(isField ? line.slice(FIELD.length) : line) ?? []
    const into = isField ? context : file
    if (name === undefined || into === undefined || Object.hasOwn(into, name)) return undefined
    const value = isField ? fieldValue(rest, lines) : scalar(rest ?? '')
    if (value === undefined) return undefined
    into[name] = value
  }
  // It stands before what follows it.
  return contexts.length === 0 ? undefined : { contexts, ...file }
}

/** Of a field that goes on below, its lines are taken. */
function fieldValue(rest: string | undefined, lines: string[]): unknown {
  const taken: string[] = []
  const below = rest === undefined ? ITEM : rest === '|' || rest === '|-' ? LINE : undefined
  if (below === undefined) return scalar(rest!)
  while (lines[0]?.startsWith(below) === true) taken.push(lines.shift()!.slice(below.length))
  if (taken.length === 0) return undefined
  if (below === LINE)
    // A line that begins with a space, or is empty, may be more than it seems.
    return taken.every((line) => /^\S/.test(line)) ? taken.join('\n') + (rest === '|' ? '\n' : '') : undefined
  const items = taken.map(scalar)
  return items.includes(undefined) ? undefined : items
}

function scalar(text: string): string | undefined {
  if (/^"[^"\\]*"$/.test(text)) return text.slice(1, -1)
  return PLAIN.test(text) && !NO_STRING.test(text) ? text : undefined
}
