/**
 * Versions in the order in which they are preferred: v10, v2, v1, v11beta2, v10beta3, v3beta1, v12alpha1, foo1, foo10.
 * https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definition-versioning/#version-priority
 */
const FORM = /^v(\d+)(?:(alpha|beta)(\d+))?$/

/** Negative if `a` is preferred. */
export function apiPriority(a: string, b: string): number {
  const [x, y] = [FORM.exec(a), FORM.exec(b)]
  if (x === null || y === null) return x !== null ? -1 : y !== null ? 1 : a < b ? -1 : a > b ? 1 : 0
  return stability(y[2]) - stability(x[2]) || Number(y[1]) - Number(x[1]) || Number(y[3] ?? 0) - Number(x[3] ?? 0)
}

function stability(word: string | undefined): number {
  return word === undefined ? 2 : word === 'beta' ? 1 : 0
}
