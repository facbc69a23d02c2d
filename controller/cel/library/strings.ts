/**
 * Functions of texts: cel-go's extension and Kubernetes' regular expressions.
 * https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-regex-library
 */
import type { Environment } from '@marcbachmann/cel-js'
import { pattern } from '../../../proto/validation/custom/pattern.ts'
import { CelError } from '../error.ts'
import { define, Namespace } from './define.ts'

class Strings extends Namespace {}

export function registerStrings(environment: Environment): void {
  define(
    environment,
    {
      'string.charAt(int): string': (text: string, at: bigint) => {
        if (at < 0n || at > BigInt(text.length)) throw new CelError(`index out of range: ${at}`, 'evaluation')
        return text.charAt(Number(at))
      },
      'string.replace(string, string): string': (text: string, from: string, to: string) => text.split(from).join(to),
      'string.replace(string, string, int): string': replaceSome,
      'string.reverse(): string': (text: string) => [...text].reverse().join(''),
      'string.format(list<dyn>): string': format,
      'string.find(string): string': (text: string, regexp: string) => found(text, regexp, 1)[0] ?? '',
      'string.findAll(string): list<string>': (text: string, regexp: string) => found(text, regexp, Infinity),
      'string.findAll(string, int): list<string>': (text: string, regexp: string, limit: bigint) =>
        found(text, regexp, limit < 0n ? Infinity : Number(limit)),
      'Strings.quote(string): string': (_strings: Strings, text: string) => JSON.stringify(text),
    },
    { strings: Strings },
  )
}

function replaceSome(text: string, from: string, to: string, limit: bigint): string {
  if (limit < 0n) return text.split(from).join(to)
  const parts = text.split(from)
  const replaced = Math.min(Number(limit), parts.length - 1)
  return [parts.slice(0, replaced + 1).join(to), ...parts.slice(replaced + 1)].join(from)
}

function found(text: string, regexp: string, limit: number): string[] {
  const matcher = compiled(regexp).matcher(text)
  const results: string[] = []
  while (results.length < limit && matcher.find()) results.push(matcher.group() ?? '')
  return results
}

function compiled(regexp: string): ReturnType<typeof pattern> {
  try {
    return pattern(regexp)
  } catch (thrown) {
    throw new CelError(`"${regexp}" is no regular expression: ${(thrown as Error).message}`, 'evaluation')
  }
}

/** "%s is %d": as cel-go's extension has it. */
function format(template: string, values: readonly unknown[]): string {
  let next = 0
  return template.replace(
    /%(?:%|(?:\.(\d+))?([sdfexXbo]))/g,
    (clause, precision: string | undefined, verb: string | undefined) => {
      if (verb === undefined) return '%'
      if (next >= values.length) throw new CelError(`format: there is no value for ${clause}`, 'evaluation')
      return formatValue(verb, values[next++], precision === undefined ? 6 : Number(precision))
    },
  )
}

const RADIX: Readonly<Record<string, number>> = { x: 16, X: 16, b: 2, o: 8 }

function formatValue(verb: string, value: unknown, precision: number): string {
  if (verb === 's') return shown(value)
  if (verb === 'd' && (typeof value === 'bigint' || typeof value === 'number')) return String(value)
  if (verb === 'f' && (typeof value === 'bigint' || typeof value === 'number'))
    return Number(value).toFixed(Math.min(precision, 100))
  if (verb === 'e' && (typeof value === 'bigint' || typeof value === 'number'))
    return Number(value).toExponential(Math.min(precision, 100))
  const radix = RADIX[verb]
  if (radix !== undefined && typeof value === 'bigint')
    return verb === 'X' ? value.toString(radix).toUpperCase() : value.toString(radix)
  if (verb === 'b' && typeof value === 'boolean') return value ? '1' : '0'
  if (verb.toLowerCase() === 'x' && typeof value === 'string') return Buffer.from(value).toString('hex')
  throw new CelError(`format: %${verb} is not for ${shown(value)}`, 'evaluation')
}

function shown(value: unknown): string {
  if (value === null) return 'null'
  if (value instanceof Date) return value.toISOString().replace('.000Z', 'Z')
  if (Array.isArray(value) || value instanceof Set) return `[${[...value].map(shown).join(', ')}]`
  if (value instanceof Map) return `{${[...value].map(([key, part]) => `${shown(key)}: ${shown(part)}`).join(', ')}}`
  return typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype
    ? `{${Object.entries(value)
        .map(([key, part]) => `${key}: ${shown(part)}`)
        .join(', ')}}`
    : String(value)
}
