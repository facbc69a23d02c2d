/**
 * Host patterns (proxy-model.ts): which covers which, and which comes first. Two of them are apart, or one covers the
 * other.
 */
import type { HostPattern } from './proxy-model.ts'

/** What follows the asterisks, with the dot: ".example.com". */
const suffixOf = (pattern: HostPattern): string => pattern.replace(/^\*+/, '')
const isWildcard = (pattern: HostPattern): boolean => pattern.startsWith('*')
const labels = (name: string): number => name.split('.').length

/** True if every host that `inner` means is one that `outer` means. */
export function coversPattern(outer: HostPattern, inner: HostPattern): boolean {
  if (outer === '*' || outer === inner) return true
  if (!isWildcard(outer) || inner === '*') return false
  const suffix = suffixOf(outer)
  const own = suffixOf(inner)
  if (!own.endsWith(suffix)) return false
  // The labels that `inner` has more: of a wildcard at least the one of its asterisk.
  const more = labels(own) - labels(suffix) + (isWildcard(inner) ? 0 : 1)
  if (outer.startsWith('**')) return isWildcard(inner) ? true : own.length > suffix.length
  return isWildcard(inner) ? own === suffix && !inner.startsWith('**') : more === 1 && own.length > suffix.length
}

/** Negative if `a` is the more specific: exact, then by length, then one label before many, then all. */
export function compareHosts(a: HostPattern, b: HostPattern): number {
  const rank = (pattern: HostPattern): number => (pattern === '*' ? 2 : isWildcard(pattern) ? 1 : 0)
  if (rank(a) !== rank(b)) return rank(a) - rank(b)
  const [one, other] = [suffixOf(a), suffixOf(b)]
  if (one.length !== other.length) return other.length - one.length
  return a.length - b.length
}

/** A regular expression for a wildcard. */
export function hostExpression(pattern: HostPattern): string {
  return `^${pattern.startsWith('**') ? '.+' : '[^.]+'}${suffixOf(pattern).replaceAll('.', '\\.')}$`
}
