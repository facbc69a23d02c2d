/** A boolean in a query. */

/**
 * True, false, or undefined where the query does not have the parameter. As Kubernetes converts it, the first value
 * counts: "false" in any case and "0" are false, and any other value is true, the empty one too (Python's client sends
 * "True").
 * https://pkg.go.dev/k8s.io/apimachinery/pkg/runtime#Convert_Slice_string_To_bool
 */
export function flag(query: URLSearchParams, name: string): boolean | undefined {
  const text = query.get(name)?.toLowerCase()
  return text === undefined ? undefined : text !== 'false' && text !== '0'
}
