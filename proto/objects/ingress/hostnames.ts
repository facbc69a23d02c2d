/**
 * Hostnames of listeners and routes, exact or "*.example.com". https://gateway-api.sigs.k8s.io/reference/spec/#hostname
 */

const isWildcard = (host: string): boolean => host.startsWith('*.')

/** True for every name that ends in what follows the "*", with at least one label before it. */
function covers(wildcard: string, host: string): boolean {
  const suffix = wildcard.slice(1)
  return (isWildcard(host) ? host.slice(1) : host).endsWith(suffix) && (isWildcard(host) || host.length > suffix.length)
}

/**
 * The hostname that both mean; undefined if there is none. An empty or absent one means all, as '*' in the answer does.
 */
export function commonHostname(one: string | undefined, other: string | undefined): string | undefined {
  const [a, b] = [(one ?? '').toLowerCase(), (other ?? '').toLowerCase()]
  if (a === '' || b === '') return a + b === '' ? '*' : a + b
  if (a === b) return a
  if (isWildcard(a) && covers(a, b)) return b
  if (isWildcard(b) && covers(b, a)) return a
  return undefined
}
