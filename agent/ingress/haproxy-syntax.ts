/** Texts as words of HAProxy's configuration. https://docs.haproxy.org/3.0/configuration.html#2.2 */
import { readAddress } from '../../proto/base/cidr.ts'
import { GantryError } from '../../proto/base/errors.ts'

/**
 * One word, whatever is in it: nothing has a meaning between single quotes. A line cannot hold a line break:
 * InvalidArgument.
 */
export function quote(text: string): string {
  if (/[\n\r\0]/.test(text))
    throw new GantryError('InvalidArgument', 'a text for the proxy has a line break or a zero byte')
  return `'${text.replaceAll("'", `'\\''`)}'`
}

/**
 * The name of a section, a server or a host, as it stands without quotes: InvalidArgument for what is more than one
 * plain word.
 */
export function sectionName(text: string): string {
  if (!/^[A-Za-z0-9_=][A-Za-z0-9._=-]*$/.test(text)) throw refused(text, 'cannot be a name')
  return text
}

/** The first word of a line in a map, where nothing can be quoted; InvalidArgument. A "#" would begin a comment. */
export function mapKey(text: string): string {
  if (!/^[\x21\x22\x24-\x7e][\x21-\x7e]*$/.test(text)) throw refused(text, 'cannot be looked up')
  return text
}

/** An address without its port, as servers have it: InvalidArgument for anything else. */
export function serverAddress(text: string): string {
  if (readAddress(text) === undefined) throw refused(text, 'is no address')
  return text
}

/** One command for a worker, at the master's socket: InvalidArgument for one in which another could begin. */
export function workerCommand(text: string): string {
  if (!/^[A-Za-z0-9 ._:/=-]+$/.test(text)) throw refused(text, 'is no command for a worker')
  return text
}

function refused(text: string, why: string): GantryError {
  return new GantryError('InvalidArgument', `${JSON.stringify(text.slice(0, 120))} ${why} for the proxy`)
}

/** A text within a format string, where "%" begins a variable. */
function literal(text: string): string {
  return text.replaceAll('%', '%%')
}

/** A format string: texts, and expressions marked as such. */
export function formatString(...parts: readonly (string | { readonly expression: string })[]): string {
  return quote(parts.map((part) => (typeof part === 'string' ? literal(part) : `%[${part.expression}]`)).join(''))
}

/** A text as an argument of a fetch or converter: its own quotes, inside those of the word. */
export function fetchArgument(text: string): string {
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`
}
