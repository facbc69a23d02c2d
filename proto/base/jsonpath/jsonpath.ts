/**
 * Templates as `-o jsonpath=` takes them: text with paths in braces. Paths, wildcards, slices, unions, recursive
 * descent, filters, quoted text and `{range …}…{end}`. https://kubernetes.io/docs/reference/kubectl/jsonpath/
 */
import { GantryError } from '../errors.ts'
import type { JsonValue } from '../../gen/types.ts'
import { parsePath, type Path, type Step, type Test } from './syntax.ts'

type Part =
  | { readonly is: 'text'; readonly text: string }
  | { readonly is: 'path'; readonly path: Path }
  | { readonly is: 'range'; readonly path: Path; readonly parts: readonly Part[] }

export interface Template {
  readonly parts: readonly Part[]
}

/** Reads a template; InvalidArgument says which part is wrong. Without braces the whole text is one path. */
export function parseTemplate(text: string): Template {
  const scanner = {
    text: text.includes('{')
      ? text
      : `{${text.startsWith('.') || text.startsWith('$') || text.startsWith('[') ? text : `.${text}`}}`,
    at: 0,
  }
  const parts = readParts(scanner, false)
  return { parts }
}

/** The template's text for one object or list. */
export function renderTemplate(template: Template, root: JsonValue): string {
  return renderParts(template.parts, root, root)
}

/** Every value that a path finds. */
export function findValues(path: Path, current: JsonValue, root: JsonValue): JsonValue[] {
  if (path.literal !== undefined) return [path.literal]
  let values = [path.fromRoot ? root : current]
  for (const step of path.steps) values = values.flatMap((value) => take(step, value, root))
  return values
}

/** One path, with or without braces, as `wait --for=jsonpath=` and `--sort-by` take it. */
export function parseSinglePath(text: string): Path {
  const parts = parseTemplate(text).parts
  const only = parts[0]
  if (parts.length !== 1 || only?.is !== 'path')
    throw new GantryError('InvalidArgument', `"${text}" is not one path, such as {.metadata.name}`)
  return only.path
}

function readParts(scanner: { text: string; at: number }, inRange: boolean): Part[] {
  const parts: Part[] = []
  while (scanner.at < scanner.text.length) {
    const open = scanner.text.indexOf('{', scanner.at)
    const text = scanner.text.slice(scanner.at, open < 0 ? undefined : open)
    if (text !== '') parts.push({ is: 'text', text })
    if (open < 0) {
      scanner.at = scanner.text.length
      break
    }
    const close = closingBrace(scanner.text, open)
    const inner = scanner.text.slice(open + 1, close).trim()
    scanner.at = close + 1
    if (inner === 'end') {
      if (!inRange) throw new GantryError('InvalidArgument', `jsonpath: {end} at character ${open + 1} ends no {range}`)
      return parts
    }
    const range = /^range\s+(.*)$/s.exec(inner)
    if (range !== null) parts.push({ is: 'range', path: parsePath(range[1]!), parts: readParts(scanner, true) })
    else parts.push({ is: 'path', path: parsePath(inner) })
  }
  if (inRange) throw new GantryError('InvalidArgument', 'jsonpath: {range} has no {end}')
  return parts
}

/** The brace that closes the one at `open`, leaving out those in quotes. */
function closingBrace(text: string, open: number): number {
  let quote = ''
  for (let at = open + 1; at < text.length; at++) {
    const character = text[at]!
    if (quote !== '') {
      if (character === '\\') at++
      else if (character === quote) quote = ''
    } else if (character === '"' || character === "'") quote = character
    else if (character === '}') return at
  }
  throw new GantryError('InvalidArgument', `jsonpath: the brace at character ${open + 1} is not closed`)
}

function renderParts(parts: readonly Part[], current: JsonValue, root: JsonValue): string {
  return parts
    .map((part) => {
      switch (part.is) {
        case 'text':
          return part.text
        case 'path':
          return findValues(part.path, current, root).map(showValue).join(' ')
        case 'range':
          return findValues(part.path, current, root)
            .map((item) => renderParts(part.parts, item, root))
            .join('')
      }
    })
    .join('')
}

/** Text as it is, anything else as JSON. */
export function showValue(value: JsonValue): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}

function take(step: Step, value: JsonValue, root: JsonValue): JsonValue[] {
  switch (step.is) {
    case 'field':
      return property(value, step.name)
    case 'all':
      return children(value)
    case 'index':
      return Array.isArray(value) ? value.slice(step.at, step.at === -1 ? undefined : step.at + 1) : []
    case 'slice':
      return Array.isArray(value) ? slice(value, step) : []
    case 'union':
      return step.steps.flatMap((one) => take(one, value, root))
    case 'descend':
      return [value, ...descendants(value)].flatMap((item) => take(step.step, item, root))
    case 'filter':
      return children(value).filter((item) => holds(step.test, item, root))
  }
}

function property(value: JsonValue, name: string): JsonValue[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || !Object.hasOwn(value, name)) return []
  const found = value[name]
  return found === undefined ? [] : [found]
}

function children(value: JsonValue): JsonValue[] {
  return typeof value !== 'object' || value === null ? [] : Object.values(value)
}

function descendants(value: JsonValue): JsonValue[] {
  return children(value).flatMap((child) => [child, ...descendants(child)])
}

function slice(
  list: JsonValue[],
  { from, to, by }: { from: number | undefined; to: number | undefined; by: number },
): JsonValue[] {
  return list.slice(from, to).filter((_, index) => index % by === 0)
}

function holds(test: Test, item: JsonValue, root: JsonValue): boolean {
  const left = findValues(test.left, item, root)
  if (test.operator === undefined) return left.length > 0
  const right = findValues(test.right, item, root)
  if (left.length === 0 || right.length === 0) return false
  return compare(left[0]!, right[0]!, test.operator)
}

function compare(left: JsonValue, right: JsonValue, operator: string): boolean {
  const numbers = typeof left === 'number' && typeof right === 'number'
  const [a, b] = numbers ? [left, right] : [showValue(left), showValue(right)]
  switch (operator) {
    case '==':
      return a === b
    case '!=':
      return a !== b
    case '<':
      return a < b
    case '<=':
      return a <= b
    case '>':
      return a > b
    default:
      return a >= b
  }
}
