/** Texts as words of HAProxy's configuration. https://docs.haproxy.org/3.0/configuration.html#2.2 */
import { GantryError } from '../../proto/api/errors.ts'

/** One word, whatever is in it: nothing has a meaning between single quotes. A line cannot hold a line break: InvalidArgument. */
export function quote(text: string): string {
  if (/[\n\r\0]/.test(text)) throw new GantryError('InvalidArgument', 'a text for the proxy has a line break or a zero byte')
  return `'${text.replaceAll("'", `'\\''`)}'`
}

/** A text within a format string, where "%" begins a variable. */
export function literal(text: string): string {
  return text.replaceAll('%', '%%')
}

/** A format string: texts, and expressions marked as such. */
export function format(...parts: readonly (string | { readonly expression: string })[]): string {
  return quote(parts.map((part) => (typeof part === 'string' ? literal(part) : `%[${part.expression}]`)).join(''))
}

/** A text as an argument of a fetch or converter: its own quotes, inside those of the word. */
export function argument(text: string): string {
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`
}
