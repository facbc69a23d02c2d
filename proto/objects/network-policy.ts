/**
 * What NetworkPolicies say about a packet. https://kubernetes.io/docs/concepts/services-networking/network-policies/
 * Nodes follow rules compiled from the same policies; this is the plain reading of them, for explanations and to test
 * the others against.
 */
import { isRestartableInitContainer } from './containers.ts'
import type { Container, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort, Pod } from '../gen/types.ts'
import { rangeContains, readAddress, readCidr } from '../base/cidr.ts'
import { labelSelectorMatcher } from './selector.ts'

export type PolicyProtocol = 'TCP' | 'UDP' | 'SCTP'

/** One end of a packet's way, as it is after Services have been translated to pods. */
export interface FlowEndpoint {
  readonly address: string
  /** The pod whose address it is, if it is one's. */
  readonly pod?: Pod
  /** The node whose own address it is, if it is one's. */
  readonly node?: string
}

export interface PolicyFlow {
  readonly from: FlowEndpoint
  readonly to: FlowEndpoint
  /** undefined: something without ports, such as ICMP. */
  readonly protocol: PolicyProtocol | undefined
  /** The receiver's. 0 without protocol. */
  readonly port: number
}

export interface PolicySnapshot {
  readonly policies: readonly NetworkPolicy[]
  /** Labels by the namespace's name. */
  readonly namespaces: ReadonlyMap<string, Readonly<Record<string, string>>>
}

export type PolicyDecision =
  /** No policy is about the pod in this direction, or the end is no pod. */
  | { readonly is: 'open' }
  /** The first that allows it, as "namespace/name", and the index of its rule. */
  | { readonly is: 'allowed'; readonly policy: string; readonly rule: number }
  /** The policies that are about the pod in this direction, none of which allows it. */
  | { readonly is: 'refused'; readonly policies: readonly string[] }

export interface PolicyVerdict {
  readonly allowed: boolean
  /** What the sender's policies say. */
  readonly egress: PolicyDecision
  /** What the receiver's policies say. */
  readonly ingress: PolicyDecision
}

const OPEN = { is: 'open' } as const

/**
 * What the policies say about the beginning of a connection; answers belong to what they answer. InvalidArgument for a
 * selector that no validation has seen.
 */
export function explainPolicies(flow: PolicyFlow, world: PolicySnapshot): PolicyVerdict {
  const { from, to } = flow
  const exempt = isSame(from, to) || isOwnNode(from, to) || isOwnNode(to, from)
  const egress = exempt ? OPEN : decide(from, 'Egress', flow, world)
  const ingress = exempt ? OPEN : decide(to, 'Ingress', flow, world)
  return { allowed: egress.is !== 'refused' && ingress.is !== 'refused', egress, ingress }
}

/** A pod cannot be kept from itself. */
function isSame(a: FlowEndpoint, b: FlowEndpoint): boolean {
  return a.pod !== undefined && a.pod.metadata.uid === b.pod?.metadata.uid
}

/** A node may always talk to its own pods: it probes them. */
function isOwnNode(node: FlowEndpoint, pod: FlowEndpoint): boolean {
  return node.node !== undefined && node.node === pod.pod?.spec.nodeName
}

/** Pods in the node's own network are the node. */
export function hasPodNetwork(pod: Pod): boolean {
  return pod.spec.hostNetwork !== true
}

function decide(
  end: FlowEndpoint,
  direction: 'Ingress' | 'Egress',
  flow: PolicyFlow,
  world: PolicySnapshot,
): PolicyDecision {
  const { pod } = end
  if (pod === undefined || !hasPodNetwork(pod)) return OPEN
  const about = world.policies.filter((policy) => selects(policy, pod) && directionsOf(policy).includes(direction))
  if (about.length === 0) return OPEN
  for (const policy of about) {
    const rule =
      direction === 'Ingress'
        ? (policy.spec.ingress ?? []).findIndex(
            ({ ports, from }) => portFits(ports, flow) && peerFits(from, flow.from, policy, world),
          )
        : (policy.spec.egress ?? []).findIndex(
            ({ ports, to }) => portFits(ports, flow) && peerFits(to, flow.to, policy, world),
          )
    if (rule !== -1) return { is: 'allowed', policy: policyName(policy), rule }
  }
  return { is: 'refused', policies: about.map(policyName) }
}

/** "namespace/name" */
export function policyName({ metadata: { namespace, name } }: NetworkPolicy): string {
  return `${namespace}/${name}`
}

/** As admission fills in policyTypes. */
export function directionsOf({ spec: { policyTypes = [], egress = [] } }: NetworkPolicy): readonly string[] {
  return policyTypes.length > 0 ? policyTypes : ['Ingress', ...(egress.length > 0 ? ['Egress'] : [])]
}

function selects(policy: NetworkPolicy, pod: Pod): boolean {
  return (
    policy.metadata.namespace === pod.metadata.namespace &&
    labelSelectorMatcher(policy.spec.podSelector).matches(pod.metadata.labels)
  )
}

function peerFits(
  peers: readonly NetworkPolicyPeer[] | undefined,
  other: FlowEndpoint,
  policy: NetworkPolicy,
  world: PolicySnapshot,
): boolean {
  if (peers === undefined || peers.length === 0) return true
  return peers.some(({ podSelector, namespaceSelector, ipBlock }) => {
    if (ipBlock !== undefined) return blockFits(ipBlock.cidr ?? '', ipBlock.except ?? [], other.address)
    const { pod } = other
    if (pod === undefined || !hasPodNetwork(pod)) return false
    const { namespace, labels } = pod.metadata
    const namespaceFits =
      namespaceSelector === undefined
        ? namespace === policy.metadata.namespace
        : labelSelectorMatcher(namespaceSelector).matches(world.namespaces.get(namespace))
    return namespaceFits && (podSelector === undefined || labelSelectorMatcher(podSelector).matches(labels))
  })
}

function blockFits(cidr: string, except: readonly string[], text: string): boolean {
  const address = readAddress(text)
  if (address === undefined) return false
  const point = { family: address.family, first: address.value, last: address.value }
  const contains = (range: string): boolean => {
    const read = readCidr(range)
    return read !== undefined && rangeContains(read, point)
  }
  return contains(cidr) && !except.some(contains)
}

function portFits(
  ports: readonly NetworkPolicyPort[] | undefined,
  { protocol: spoken, port: number, to }: PolicyFlow,
): boolean {
  if (ports === undefined || ports.length === 0) return true
  return ports.some(({ protocol = 'TCP', port, endPort }) => {
    if (spoken !== protocol) return false
    if (port === undefined) return true
    if (typeof port === 'number') return number >= port && number <= (endPort ?? port)
    return (
      to.pod !== undefined &&
      hasPodNetwork(to.pod) &&
      namedPorts(to.pod).some((named) => named.name === port && named.protocol === protocol && named.port === number)
    )
  })
}

export interface NamedPort {
  readonly name: string
  readonly protocol: PolicyProtocol
  readonly port: number
}

/**
 * Ports with names of the containers that run beside one another: sidecars are among them, other init containers are
 * not.
 */
export function namedPorts({ spec: { containers, initContainers = [] } }: Pod): NamedPort[] {
  const sidecars = initContainers.filter(isRestartableInitContainer)
  return [...sidecars, ...containers].flatMap(({ ports = [] }: Pick<Container, 'ports'>) =>
    ports.flatMap(({ name, protocol, containerPort }) =>
      name === undefined || name === '' || containerPort === undefined
        ? []
        : [{ name, protocol: protocol ?? 'TCP', port: containerPort }],
    ),
  )
}

/** One sentence about a decision: "allowed by rule 1 of NetworkPolicy shop/web". */
export function describeDecision(decision: PolicyDecision): string {
  switch (decision.is) {
    case 'open':
      return 'no NetworkPolicy is about it'
    case 'allowed':
      return `allowed by rule ${decision.rule + 1} of NetworkPolicy ${decision.policy}`
    case 'refused':
      return `refused: no rule of NetworkPolicy ${decision.policies.join(', ')} allows it`
  }
}
