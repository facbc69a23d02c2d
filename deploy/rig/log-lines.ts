/**
 * The lines of programs' logs for people: those that are JSON as time, level, text and fields, the others as they are.
 */

/** https://getpino.io/#/docs/api?id=loggerlevels-object */
const LEVELS: Readonly<Record<number, string>> = {
  10: 'trace',
  20: 'debug',
  30: 'info',
  40: 'warn',
  50: 'error',
  60: 'fatal',
}

/** What is said otherwise, or is the same on every line. */
const LEFT_OUT: ReadonlySet<string> = new Set(['level', 'time', 'msg', 'pid', 'name'])

interface Entry {
  readonly level: number
  /** RFC 3339, or milliseconds since 1970. */
  readonly time: string | number
  readonly msg: string
}

/** "12:03:07.123 warn the session ended component=session error=no answer". */
export function readableLine(line: string): string {
  const entry = parse(line)
  if (entry === undefined) return line
  const { level, time, msg } = entry
  const fields = Object.entries(entry)
    .filter(([key]) => !LEFT_OUT.has(key))
    .map(([key, value]) => ` ${key}=${shown(value)}`)
  return `${new Date(time).toISOString().slice(11, 23)} ${LEVELS[level] ?? level} ${msg}${fields.join('')}`
}

/** Of an error its message: its stack is for the whole log. */
function shown(value: unknown): string {
  if (typeof value === 'string') return value
  const { message } = (value ?? {}) as { readonly message?: unknown }
  return typeof message === 'string' ? message : JSON.stringify(value)
}

/** The last lines of a log, readable. */
export function lastLines(text: string, most: number): string[] {
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .slice(-most)
    .map(readableLine)
}

function parse(line: string): Entry | undefined {
  if (!line.startsWith('{')) return undefined
  let value: Partial<Entry>
  try {
    value = JSON.parse(line) as Partial<Entry>
  } catch (thrown) {
    if (thrown instanceof SyntaxError) return undefined // cut off, or another program's
    throw thrown
  }
  const { level, time, msg } = value
  return typeof level === 'number' &&
    time !== undefined &&
    !Number.isNaN(new Date(time).getTime()) &&
    typeof msg === 'string'
    ? (value as Entry)
    : undefined
}
