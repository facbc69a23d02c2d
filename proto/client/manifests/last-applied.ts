/**
 * Where `kubectl apply` keeps the whole configuration that it applied last.
 * https://kubernetes.io/docs/reference/labels-annotations-taints/
 */
export const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration'
