/**
 * Which labels a node may give to itself: those that Kubernetes' NodeRestriction lets a kubelet set, and those outside
 * of the domains that mean something to the control plane. Users direct pods, Secrets and traffic to nodes by all
 * others.
 * https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#noderestriction
 */

/** What a kubelet says of its machine. */
const MACHINE_LABELS: ReadonlySet<string> = new Set([
  'kubernetes.io/hostname',
  'kubernetes.io/arch',
  'kubernetes.io/os',
  'beta.kubernetes.io/arch',
  'beta.kubernetes.io/os',
  'node.kubernetes.io/instance-type',
  'beta.kubernetes.io/instance-type',
  'topology.kubernetes.io/region',
  'topology.kubernetes.io/zone',
  'failure-domain.beta.kubernetes.io/region',
  'failure-domain.beta.kubernetes.io/zone',
])
/** Prefixes, with all below them, that kubelets may use. */
const NODE_LABEL_DOMAINS = ['kubelet.kubernetes.io', 'node.kubernetes.io'] as const
/** Prefixes, with all below them, that are the control plane's and the administrators' otherwise. */
const RESERVED = ['kubernetes.io', 'k8s.io', 'gantry.dev'] as const

export function mayNodeSetLabel(key: string): boolean {
  const slash = key.indexOf('/')
  const prefix = slash === -1 ? '' : key.slice(0, slash)
  const isBelow = (domain: string): boolean => prefix === domain || prefix.endsWith(`.${domain}`)
  return MACHINE_LABELS.has(key) || NODE_LABEL_DOMAINS.some(isBelow) || !RESERVED.some(isBelow)
}
