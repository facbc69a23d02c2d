/**
 * A program's configuration file: YAML (or JSON), read strictly. A shape says what may stand in it; whatever else does is refused with
 * FILE:LINE:COLUMN and the nearest known name.
 */
import { readFile } from 'node:fs/promises'
import { isMap, isNode, isScalar, isSeq, LineCounter, parseDocument, type Node } from 'yaml'
import { GantryError } from './errors.ts'
import { nearest } from './nearest.ts'

interface Reading {
  problem(node: Node | null, path: string, text: string): void
}

/** How one setting is read. `absent` is its value when the file does not have it; without it the setting is required. */
export interface Setting<T> {
  readonly absent?: { readonly value: T }
  read(node: Node | null, path: string, reading: Reading): T | undefined
}

export type Settings<T> = { readonly [K in keyof T]-?: Setting<T[K]> }

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

export const text = scalar('text', (value): value is string => typeof value === 'string' && value !== '')
export const integer = scalar('a whole number', (value): value is number => Number.isSafeInteger(value))

export function oneOf<T extends string>(...values: readonly T[]): Setting<T> {
  return scalar(`one of ${values.join(', ')}`, (value): value is T => (values as readonly unknown[]).includes(value))
}

/** A setting that may be left out. */
export function withDefault<T, D extends T | undefined>(setting: Setting<T>, value: D): Setting<T | D> {
  return { absent: { value }, read: (node, path, reading) => setting.read(node, path, reading) }
}

export function listOf<T>(item: Setting<T>): Setting<readonly T[]> {
  return {
    read(node, path, reading) {
      if (!isSeq(node)) return void reading.problem(node, path, 'must be a list')
      return node.items.flatMap((entry, index) => item.read(isNode(entry) ? entry : null, `${path}[${index}]`, reading) ?? [])
    },
  }
}

export function mapOf<T>(item: Setting<T>): Setting<Readonly<Record<string, T>>> {
  return {
    read(node, path, reading) {
      if (!isMap(node)) return void reading.problem(node, path, 'must be a map')
      const result: Record<string, T> = {}
      for (const pair of node.items) {
        const key = String(isScalar(pair.key) ? pair.key.value : pair.key)
        const value = item.read(isNode(pair.value) ? pair.value : null, `${path}.${key}`, reading)
        if (value !== undefined) result[key] = value
      }
      return result
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
        reading.problem(isNode(pair.key) ? pair.key : null, path === '' ? key : `${path}.${key}`, `is not a setting${near === undefined ? ` (known: ${Object.keys(settings).join(', ')})` : `, did you mean "${near}"?`}`)
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

/** The settings in a text; InvalidArgument with every problem on a line of its own, each beginning FILE:LINE:COLUMN. */
export function parseConfig<T extends object>(content: string, file: string, settings: Settings<T>): T {
  const lines = new LineCounter()
  const document = parseDocument(content, { lineCounter: lines })
  const problems: string[] = document.errors.map((error) => `${file}:${error.linePos?.[0].line ?? 1}:${error.linePos?.[0].col ?? 1}: ${error.message.split('\n')[0]}`)
  const reading: Reading = {
    problem(node, path, message) {
      const { line, col } = lines.linePos(node?.range?.[0] ?? 0)
      problems.push(`${file}:${Math.max(line, 1)}:${Math.max(col, 1)}: ${path} ${message}`)
    },
  }
  const result = problems.length === 0 ? section(settings).read(document.contents, '', reading) : undefined
  if (problems.length > 0 || result === undefined) throw new GantryError('InvalidArgument', problems.join('\n'))
  return result
}

/** The settings in a file; NotFound if there is none. */
export async function readConfig<T extends object>(file: string, settings: Settings<T>): Promise<T> {
  let content: string
  try {
    content = await readFile(file, 'utf8')
  } catch (cause) {
    throw new GantryError(GantryError.from(cause).code, `cannot read the configuration file ${file}: ${(cause as Error).message}`, { cause })
  }
  return parseConfig(content, file, settings)
}
