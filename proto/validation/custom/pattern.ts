/**
 * Regular expressions as Kubernetes has them: RE2's, which take no longer than the text is long.
 * https://github.com/google/re2/wiki/Syntax
 */
import { RE2JS } from 're2js'

/**
 * Compiled patterns that are kept, and characters of one: expressions take patterns from objects, too, which are as
 * long as somebody likes.
 */
const PATTERN_CACHE_SIZE = 2000
const KEPT_LENGTH = 1000
const compiled = new Map<string, RE2JS>()

/** Throws RE2JS's error for what is no pattern. */
export function pattern(text: string): RE2JS {
  let found = compiled.get(text)
  if (found === undefined) {
    found = RE2JS.compile(text)
    if (text.length > KEPT_LENGTH) return found
    if (compiled.size >= PATTERN_CACHE_SIZE) compiled.delete(compiled.keys().next().value!)
    compiled.set(text, found)
  }
  return found
}

/** Whether a text matches somewhere. */
export function matches(text: string, value: string): boolean {
  return pattern(text).test(value)
}

/** What is wrong with a pattern; undefined if nothing is. */
export function patternFlaw(text: string): string | undefined {
  try {
    pattern(text)
    return undefined
  } catch (thrown) {
    return `is not a regular expression of RE2: ${(thrown as Error).message}`
  }
}
