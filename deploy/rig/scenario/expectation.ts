/** What a value must be: `is: Running`, `atLeast: 2`, `matches: ^ok`. Pure; all tests of one expectation must pass. */
import type { JsonValue } from '../../../proto/gen/types.ts'

export type ValueTest =
  /** The same text, or the same JSON. */
  | { readonly is: 'is' | 'isNot'; readonly value: JsonValue }
  | { readonly is: 'atLeast' | 'atMost'; readonly value: number }
  | { readonly is: 'contains' | 'lacks'; readonly value: string }
  | { readonly is: 'matches'; readonly value: RegExp }

/** As in the file, in the order of the documentation. */
export const VALUE_TESTS = ['is', 'isNot', 'atLeast', 'atMost', 'contains', 'lacks', 'matches'] as const

const WORDS: Record<ValueTest['is'], string> = {
  is: 'is',
  isNot: 'is not',
  atLeast: 'is at least',
  atMost: 'is at most',
  contains: 'contains',
  lacks: 'lacks',
  matches: 'matches',
}

/** Tests that also pass where there is no value: they say what must not be. */
const PASS_ON_NOTHING: ReadonlySet<ValueTest['is']> = new Set(['isNot', 'atMost', 'lacks'])

/** "is at least 2 and is at most 4" */
export function describeTests(tests: readonly ValueTest[]): string {
  return tests
    .map((test) => `${WORDS[test.is]} ${test.value instanceof RegExp ? String(test.value) : showPlain(test.value)}`)
    .join(' and ')
}

/** Whether every value passes every test; without values, whether the tests only say what must not be. */
export function allPass(tests: readonly ValueTest[], values: readonly JsonValue[]): boolean {
  if (values.length === 0) return tests.every(({ is }) => PASS_ON_NOTHING.has(is))
  return values.every((value) => tests.every((test) => passes(test, value)))
}

export function passes(test: ValueTest, value: JsonValue): boolean {
  switch (test.is) {
    case 'is':
      return equal(value, test.value)
    case 'isNot':
      return !equal(value, test.value)
    case 'atLeast':
      return numberOf(value) >= test.value
    case 'atMost':
      return numberOf(value) <= test.value
    case 'contains':
      return showPlain(value).includes(test.value)
    case 'lacks':
      return !showPlain(value).includes(test.value)
    case 'matches':
      return test.value.test(showPlain(value))
  }
}

/** A number, or text that is one; else NaN, which passes no test. */
function numberOf(value: JsonValue): number {
  if (typeof value === 'number') return value
  return typeof value === 'string' && value.trim() !== '' ? Number(value) : NaN
}

/** Scalars by their text ("3" is 3), anything else by its JSON, whatever the order of its keys. */
export function equal(a: JsonValue, b: JsonValue): boolean {
  const scalars = !isComposite(a) && !isComposite(b)
  return scalars ? String(a) === String(b) : sortedJson(a) === sortedJson(b)
}

function isComposite(value: JsonValue): boolean {
  return typeof value === 'object' && value !== null
}

function sortedJson(value: JsonValue): string {
  return JSON.stringify(value, (_, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([x], [y]) => (x < y ? -1 : 1)))
      : part,
  )
}

/** A value for people: text as it is, anything else as JSON. */
export function showPlain(value: JsonValue): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}
