/**
 * A look over JSON text before it is parsed: how deep it goes, and which keys come twice, both of which JSON.parse does
 * not tell. It passes over malformed text, which JSON.parse refuses afterwards.
 */
import { entryPath, fieldPath } from '../../proto/base/path.ts'
import { problem, type Problem } from '../../proto/base/problem.ts'
import { HttpError } from './status.ts'

/**
 * Levels of objects and lists in each other. Kubernetes takes 10,000; whatever walks over an object here does so by
 * recursion, and must not reach the end of the stack.
 */
export const DEPTH_LIMIT = 500

/**
 * Values in a body: members of objects and items of lists. Each costs some ten microseconds of the thread that all
 * share until its object is stored, which is at most 1.5 MB; the largest definitions in use have a third of it.
 */
export const VALUE_LIMIT = 50_000

/** More is told to nobody's use. */
const PROBLEM_LIMIT = 50

const QUOTE = 34
const COMMA = 44
const COLON = 58
const OPEN_LIST = 91
const BACKSLASH = 92
const CLOSE_LIST = 93
const OPEN_OBJECT = 123
const CLOSE_OBJECT = 125

/** An object or a list that is not closed yet. */
interface Level {
  /** Of an object. */
  readonly keys: Set<string> | undefined
  /** The key or index that the scan is at. */
  key: string
  index: number
}

/**
 * The keys that an object has twice, each with its path. BadRequest for text that is nested too deep; 413 for one that
 * holds too many values.
 */
export function scanJson(text: string): Problem[] {
  const problems: Problem[] = []
  let values = 1
  const levels: Level[] = []
  let level: Level | undefined
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case QUOTE: {
        const end = endOfString(text, at)
        if (level?.keys !== undefined && isKey(text, end)) {
          level.key = keyOf(text, at, end)
          if (level.keys.has(level.key) && problems.length < PROBLEM_LIMIT)
            problems.push(
              problem(pathOf(levels), 'duplicate field', { key: true, unknownOrDuplicate: true, remedy: 'keep one' }),
            )
          level.keys.add(level.key)
        }
        at = end
        break
      }
      case OPEN_OBJECT:
      case OPEN_LIST:
        if (levels.length >= DEPTH_LIMIT)
          throw new HttpError(
            400,
            'BadRequest',
            `the body is nested more than ${DEPTH_LIMIT} levels deep, at ${placeOf(text, at)}`,
          )
        level = { keys: text.charCodeAt(at) === OPEN_OBJECT ? new Set() : undefined, key: '', index: 0 }
        levels.push(level)
        if (++values > VALUE_LIMIT) throw tooManyValues()
        break
      case CLOSE_OBJECT:
      case CLOSE_LIST:
        levels.pop()
        level = levels.at(-1)
        break
      case COMMA:
        if (level !== undefined) level.index++
        if (++values > VALUE_LIMIT) throw tooManyValues()
        break
    }
  }
  return problems
}

/** 413 for an object that was not read from JSON and holds too many values. */
export function checkValues(root: object): void {
  const left: object[] = [root]
  let values = 1
  for (let value = left.pop(); value !== undefined; value = left.pop()) {
    if (value instanceof Uint8Array) continue
    const members: unknown[] = Array.isArray(value) ? value : Object.values(value)
    values += members.length
    if (values > VALUE_LIMIT) throw tooManyValues()
    for (const member of members) if (typeof member === 'object' && member !== null) left.push(member)
  }
}

function tooManyValues(): HttpError {
  return new HttpError(
    413,
    'RequestEntityTooLarge',
    `the body holds more than ${VALUE_LIMIT} values: divide what it describes`,
    'ResourceExhausted',
  )
}

/** "line 3, column 7" */
export function placeOf(text: string, offset: number): string {
  const before = text.slice(0, offset)
  const line = before.split('\n').length
  return `line ${line}, column ${offset - before.lastIndexOf('\n')}`
}

/** Where the quote that ends the string beginning at `start` stands; the end of the text if none does. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let slashes = 0
    while (text.charCodeAt(end - 1 - slashes) === BACKSLASH) slashes++
    if (slashes % 2 === 0) return end
  }
  return text.length
}

function isKey(text: string, end: number): boolean {
  let next = end + 1
  while (text.charCodeAt(next) <= 32) next++
  return text.charCodeAt(next) === COLON
}

/** A key may be written with escapes: "\u0061" is "a". */
function keyOf(text: string, start: number, end: number): string {
  const raw = text.slice(start + 1, end)
  if (!raw.includes('\\')) return raw
  try {
    return JSON.parse(`"${raw}"`) as string
  } catch {
    return raw // malformed: the parser says so
  }
}

function pathOf(levels: readonly Level[]): string {
  return levels.reduce(
    (path, { keys, key, index }) => (keys === undefined ? entryPath(path, index) : fieldPath(path, key)),
    '',
  )
}

type Expected = 'value' | 'value or ]' | 'key' | 'key or }' | 'colon' | 'comma or end' | 'nothing'

const SIGNS = '{}[],:'
const SCALAR = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y

/** Where text that is no JSON stops being it; for text that JSON.parse refuses. */
export function faultOf(text: string): number {
  const open: string[] = []
  let expected: Expected = 'value'
  for (let at = afterSpace(text, 0); ; at = afterSpace(text, at)) {
    const character = text.charAt(at)
    const sign = character !== '' && SIGNS.includes(character) ? character : undefined
    const next = following(expected, sign, character === '"', open)
    if (next === undefined) return at
    expected = next
    const end = sign !== undefined ? at + 1 : character === '"' ? endOfString(text, at) + 1 : endOfScalar(text, at)
    if (end === at || (character === '"' && !isString(text.slice(at, end)))) return at
    at = end
  }
}

function afterSpace(text: string, from: number): number {
  let at = from
  for (
    let code = text.charCodeAt(at);
    code === 32 || code === 10 || code === 13 || code === 9;
    code = text.charCodeAt(at)
  )
    at++
  return at
}

/** `at` itself if no scalar begins there. */
function endOfScalar(text: string, at: number): number {
  SCALAR.lastIndex = at
  return SCALAR.test(text) ? SCALAR.lastIndex : at
}

/** What is to come after a token; undefined if that may not stand there. `open` is what is not closed yet. */
function following(
  expected: Expected,
  sign: string | undefined,
  isString: boolean,
  open: string[],
): Expected | undefined {
  const after = (): Expected => (open.length === 0 ? 'nothing' : 'comma or end')
  const takesValue = expected === 'value' || expected === 'value or ]'
  switch (sign) {
    case undefined:
      return takesValue ? after() : isString && (expected === 'key' || expected === 'key or }') ? 'colon' : undefined
    case '{':
    case '[':
      open.push(sign)
      return takesValue ? (sign === '{' ? 'key or }' : 'value or ]') : undefined
    case '}':
    case ']': {
      const closes =
        open.pop() === (sign === '}' ? '{' : '[') &&
        (expected === 'comma or end' || expected === (sign === '}' ? 'key or }' : 'value or ]'))
      return closes ? after() : undefined
    }
    case ',':
      return expected === 'comma or end' ? (open.at(-1) === '{' ? 'key' : 'value') : undefined
    default:
      return expected === 'colon' ? 'value' : undefined
  }
}

function isString(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
