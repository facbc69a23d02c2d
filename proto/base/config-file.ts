/**
 * A program's settings: a file in YAML (or JSON), read strictly, and flags that stand for single settings and win over
 * the file. Settings say what may stand in it; whatever else does is refused with FILE:LINE:COLUMN (or the flag) and
 * the nearest known name.
 */
import { readFile } from 'node:fs/promises'
import { isMap, isNode, isScalar, isSeq, LineCounter, parseDocument, type Document, type Node } from 'yaml'
import { GantryError } from './errors.ts'
import { formats, type Flaw } from './format.ts'
import { nearest } from './nearest.ts'
import { parseQuantity } from './quantity.ts'

interface Reading {
  problem(node: Node | null, path: string, text: string): void
}

/**
 * How one setting is read. `absent` is its value when the file does not have it; without it the setting is required.
 */
export interface Setting<T> {
  readonly absent?: { readonly value: T }
  read(node: Node | null, path: string, reading: Reading): T | undefined
}

export type Settings<T> = { readonly [K in keyof T]-?: Setting<T[K]> }

/** A value from the command line: it stands in the place of what the file says. */
export interface Override {
  /** As people write it, e.g. "--listen". */
  readonly flag: string
  readonly path: readonly string[]
  readonly value: string | number | readonly string[]
}

/** Says what a text must be when it is not. */
export type Check = (value: string) => string | undefined

function scalar<T>(expected: string, accept: (value: unknown) => value is T): Setting<T> {
  return {
    read(node, path, reading) {
      const value = isScalar(node) ? node.value : undefined
      if (accept(value)) return value
      reading.problem(node, path, `must be ${expected}`)
      return undefined
    },
  }
}

export const text = scalar(
  'text (a number, true, false and null need quotes)',
  (value): value is string => typeof value === 'string' && value !== '',
)
export const textOrEmpty = scalar(
  'text (a number, true, false and null need quotes)',
  (value): value is string => typeof value === 'string',
)

/** A whole number, `least` or more. */
export function count(least: number): Setting<number> {
  return scalar(
    `a whole number, ${least} or more`,
    (value): value is number => Number.isSafeInteger(value) && (value as number) >= least,
  )
}

export const port = scalar(
  'a port, 1 to 65535',
  (value): value is number => Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) <= 65_535,
)

export function oneOf<T extends string>(...values: readonly T[]): Setting<T> {
  return scalar(`one of ${values.join(', ')}`, (value): value is T => (values as readonly unknown[]).includes(value))
}

/** A setting whose value must pass a check, too. */
export function checked<T extends string>(setting: Setting<T>, check: Check): Setting<T> {
  return {
    read(node, path, reading) {
      const value = setting.read(node, path, reading)
      const wrong = value === undefined ? undefined : check(value)
      if (wrong === undefined) return value
      reading.problem(node, path, wrong)
      return undefined
    },
  }
}

function matching(pattern: RegExp, expected: string): Setting<string> {
  return checked(text, (value) => (pattern.test(value) ? undefined : `must be ${expected}`))
}

export const absolutePath = matching(/^\//, 'an absolute path')
export const hostPort = checked(text, (value) => {
  const port = /^(?:\[[\da-fA-F:.]+\]|[^:\s[\]]+):(\d{1,5})$/.exec(value)?.[1]
  return port !== undefined && Number(port) <= 65_535 ? undefined : 'must be HOST:PORT'
})
export const quantity = checked(text, (value) =>
  isQuantity(value) ? undefined : 'must be a quantity, such as 500m or 2Gi',
)

/** A format of the schema (proto/base/format.ts) as a check: for names and values that become part of objects. */
export function format(name: keyof typeof formats): Check {
  return (value) => {
    const flaw: Flaw | undefined = formats[name](value)
    return flaw === undefined ? undefined : `${flaw.message}: ${flaw.remedy}`
  }
}

function isQuantity(value: string): boolean {
  try {
    parseQuantity(value)
    return true
  } catch (thrown) {
    if (GantryError.is(thrown, 'InvalidArgument')) return false
    throw thrown
  }
}

/** A setting that may be left out. */
export function withDefault<T, D extends T | undefined>(setting: Setting<T>, value: D): Setting<T | D> {
  return { absent: { value }, read: (node, path, reading) => setting.read(node, path, reading) }
}

export function optional<T>(setting: Setting<T>): Setting<T | undefined> {
  return withDefault(setting, undefined)
}

export function listOf<T>(item: Setting<T>, { least = 0 }: { readonly least?: number } = {}): Setting<readonly T[]> {
  return {
    read(node, path, reading) {
      if (!isSeq(node)) return void reading.problem(node, path, 'must be a list')
      if (node.items.length < least)
        reading.problem(node, path, least === 1 ? 'must not be empty' : `must have ${least} items or more`)
      return node.items.flatMap(
        (entry, index) => item.read(isNode(entry) ? entry : null, `${path}[${index}]`, reading) ?? [],
      )
    },
  }
}

/** Values by names that are free, or that pass a check. */
export function mapOf<T>(item: Setting<T>, key?: Check): Setting<Readonly<Record<string, T>>> {
  return {
    read(node, path, reading) {
      if (!isMap(node)) return void reading.problem(node, path, 'must be a map')
      return Object.fromEntries(
        node.items.flatMap((pair): [string, T][] => {
          const name = String(isScalar(pair.key) ? pair.key.value : pair.key)
          const wrong = key?.(name)
          if (wrong !== undefined) reading.problem(isNode(pair.key) ? pair.key : null, `${path}.${name}`, wrong)
          const value = item.read(isNode(pair.value) ? pair.value : null, `${path}.${name}`, reading)
          return value === undefined ? [] : [[name, value]]
        }),
      )
    },
  }
}

export function section<T extends object>(settings: Settings<T>): Setting<T> {
  return {
    read(node, path, reading) {
      if (!isMap(node)) return void reading.problem(node, path, 'must be a map')
      const result: Partial<Record<keyof T, unknown>> = {}
      for (const pair of node.items) {
        const key = String(isScalar(pair.key) ? pair.key.value : pair.key)
        if (Object.hasOwn(settings, key)) continue
        const near = nearest(key, Object.keys(settings))
        reading.problem(
          isNode(pair.key) ? pair.key : null,
          path === '' ? key : `${path}.${key}`,
          `is not a setting${near === undefined ? ` (known: ${Object.keys(settings).join(', ')})` : `, did you mean "${near}"?`}`,
        )
      }
      for (const key of Object.keys(settings) as (keyof T & string)[]) {
        const setting: Setting<unknown> = settings[key]
        const found = node.get(key, true)
        const at = path === '' ? key : `${path}.${key}`
        if (found !== undefined) result[key] = setting.read(isNode(found) ? found : null, at, reading)
        else if (setting.absent !== undefined) result[key] = setting.absent.value
        else reading.problem(node, at, 'is missing')
      }
      return result as T
    },
  }
}

/**
 * The settings in a text, an empty one being an empty map, with flags in their places. InvalidArgument with every
 * problem on a line of its own, each beginning FILE:LINE:COLUMN or, for the value of a flag, the flag.
 */
export function parseConfig<T extends object>(
  content: string,
  file: string,
  settings: Settings<T>,
  overrides: readonly Override[] = [],
): T {
  const lines = new LineCounter()
  const document = parseDocument(content, { lineCounter: lines })
  const broken = [...document.errors, ...document.warnings]
  const problems: string[] = broken.map(
    (error) =>
      `${file}:${error.linePos?.[0].line ?? 1}:${error.linePos?.[0].col ?? 1}: ${error.message.split('\n')[0]}`,
  )
  const flags = problems.length === 0 ? put(document, overrides) : new Map<Node, string>()
  const reading: Reading = {
    problem(node, path, message) {
      const flag = node === null ? undefined : flags.get(node)
      if (flag !== undefined) return void problems.push(`${flag}: ${message}`)
      const { line, col } = lines.linePos(node?.range?.[0] ?? 0)
      problems.push(`${file}:${Math.max(line, 1)}:${Math.max(col, 1)}: ${path === '' ? 'the file' : path} ${message}`)
    },
  }
  const result = problems.length === 0 ? section(settings).read(document.contents, '', reading) : undefined
  if (problems.length > 0 || result === undefined) throw new GantryError('InvalidArgument', problems.join('\n'))
  return result
}

/**
 * Puts the flags' values into the document; where each node that they make comes from. What is no map in the file
 * stays, to be refused.
 */
function put(document: Document.Parsed, overrides: readonly Override[]): Map<Node, string> {
  const flags = new Map<Node, string>()
  if (document.contents === null || (isScalar(document.contents) && document.contents.value === null))
    document.contents = document.createNode({}) as never
  for (const { flag, path, value } of overrides) {
    const parents = path.slice(0, -1).map((_, index) => document.getIn(path.slice(0, index + 1), true))
    if (!isMap(document.contents) || parents.some((parent) => parent !== undefined && !isMap(parent))) continue
    const node = document.createNode(value)
    flags.set(node, flag)
    if (isSeq(node)) for (const item of node.items) if (isNode(item)) flags.set(item, flag)
    document.setIn(path, node)
  }
  return flags
}

/**
 * The settings in a file and in flags; without a file in flags alone. NotFound if there is no such file, otherwise as
 * `parseConfig`.
 */
export async function readConfig<T extends object>(
  file: string | undefined,
  settings: Settings<T>,
  overrides: readonly Override[] = [],
): Promise<T> {
  if (file === undefined) return parseConfig('', 'command line', settings, overrides)
  let content: string
  try {
    content = await readFile(file, 'utf8')
  } catch (cause) {
    throw new GantryError(
      GantryError.from(cause).code,
      `cannot read the configuration file ${file}: ${(cause as Error).message}`,
      { cause },
    )
  }
  return parseConfig(content, file, settings, overrides)
}
