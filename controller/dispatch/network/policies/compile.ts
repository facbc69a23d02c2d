/**
 * One NetworkPolicy as its nodes are told it: rules whose other sides are named sets of addresses, and the selectors
 * that say who is in the sets.
 */
import { labelSelectorMatcher, LabelMatcher, type LabelRequirement } from '../../../../proto/objects/selector.ts'
import { directionsOf, policyName, type PolicyProtocol } from '../../../../proto/objects/network-policy.ts'
import type { Input } from '../../../../proto/codec/wire.ts'
import type {
  LabelSelector,
  NetworkPolicy,
  NetworkPolicyPeer,
  NetworkPolicyPort,
  PolicyPort,
  PolicyRule,
  PolicyRules,
} from '../../../../proto/gen/types.ts'

/** Who is in a set: pods by namespace and labels. */
export interface PeerSelector {
  /** The same for the same selection, whichever policy says it. */
  readonly id: string
  /** One by name, or those with labels. */
  readonly namespaces: { readonly name: string } | { readonly matcher: LabelMatcher }
  readonly pods: LabelMatcher
  /** Only pods with a port of that name, and only that port of them. */
  readonly port: { readonly name: string; readonly protocol: PolicyProtocol } | undefined
}

export interface CompiledPolicy {
  /** "namespace/name" */
  readonly name: string
  readonly namespace: string
  readonly pods: LabelMatcher
  readonly ingress: boolean
  readonly egress: boolean
  readonly rules: Input<PolicyRules>
  /** Each once. */
  readonly selectors: readonly PeerSelector[]
}

/** The policy must be valid. */
export function compilePolicy(policy: NetworkPolicy): CompiledPolicy {
  const { namespace } = policy.metadata
  const { podSelector, ingress = [], egress = [] } = policy.spec
  const directions = directionsOf(policy)
  const about = { ingress: directions.includes('Ingress'), egress: directions.includes('Egress') }
  const selectors = new Map<string, PeerSelector>()
  const name = (selector: PeerSelector): string => {
    selectors.set(selector.id, selector)
    return selector.id
  }
  const peers = (list: readonly NetworkPolicyPeer[]): Pick<PolicyRule, 'anyPeer' | 'sets' | 'blocks'> => ({
    anyPeer: list.length === 0,
    sets: list.flatMap((peer) => (peer.ipBlock === undefined ? [name(peerSelector(namespace, peer))] : [])),
    blocks: list.flatMap(({ ipBlock }) =>
      ipBlock === undefined ? [] : [{ cidr: ipBlock.cidr ?? '', except: ipBlock.except ?? [] }],
    ),
  })
  const rules = {
    name: policyName(policy),
    ingress: !about.ingress
      ? []
      : ingress.map(({ from = [], ports = [] }): PolicyRule => ({
          ...peers(from),
          anyPort: ports.length === 0,
          ports: numbers(ports),
          endpoints: named(ports).map((port) => name(selectorOf({ name: namespace }, podSelector, port))),
        })),
    egress: !about.egress
      ? []
      : egress.flatMap(({ to = [], ports = [] }): PolicyRule[] => {
          const rule = { ...peers(to), anyPort: ports.length === 0, ports: numbers(ports), endpoints: [] }
          // Who has the port says its number too: such peers are sets of addresses with ports. Of a range of addresses,
          // those of pods have names of ports.
          const holders =
            to.length === 0 ? [{ namespaceSelector: {} }] : to.filter(({ ipBlock }) => ipBlock === undefined)
          const endpoints = named(ports).flatMap((port) =>
            holders.map((peer) => name(peerSelector(namespace, peer, port))),
          )
          const inBlocks =
            rule.blocks.length === 0
              ? []
              : named(ports).map((port) => name(peerSelector(namespace, { namespaceSelector: {} }, port)))
          return [
            ...(rule.anyPort || rule.ports.length > 0 ? [rule] : []),
            ...(endpoints.length === 0
              ? []
              : [{ anyPeer: true, sets: [], blocks: [], anyPort: false, ports: [], endpoints }]),
            ...(inBlocks.length === 0
              ? []
              : [{ anyPeer: false, sets: [], blocks: rule.blocks, anyPort: false, ports: [], endpoints: inBlocks }]),
          ]
        }),
  }
  // Egress rules with nothing but named ports use sets that their peers alone would not.
  const used = new Set([...rules.ingress, ...rules.egress].flatMap(({ sets, endpoints }) => [...sets, ...endpoints]))
  return {
    name: rules.name,
    namespace,
    pods: labelSelectorMatcher(podSelector),
    ...about,
    rules,
    selectors: [...selectors.values()].filter(({ id }) => used.has(id)),
  }
}

function numbers(ports: readonly NetworkPolicyPort[]): PolicyPort[] {
  return ports.flatMap(({ protocol = 'TCP', port = 0, endPort = 0 }) =>
    typeof port === 'string' ? [] : [{ protocol, port, endPort }],
  )
}

function named(ports: readonly NetworkPolicyPort[]): { name: string; protocol: PolicyProtocol }[] {
  return ports.flatMap(({ protocol = 'TCP', port }) => (typeof port === 'string' ? [{ name: port, protocol }] : []))
}

function peerSelector(
  namespace: string,
  { podSelector = {}, namespaceSelector }: NetworkPolicyPeer,
  port?: PeerSelector['port'],
): PeerSelector {
  return selectorOf(
    namespaceSelector === undefined ? { name: namespace } : { matcher: labelSelectorMatcher(namespaceSelector) },
    podSelector,
    port,
  )
}

function selectorOf(
  namespaces: PeerSelector['namespaces'],
  podSelector: LabelSelector,
  port: PeerSelector['port'],
): PeerSelector {
  const pods = labelSelectorMatcher(podSelector)
  const where = 'name' in namespaces ? `namespace ${namespaces.name}` : `namespaces [${canonical(namespaces.matcher)}]`
  return {
    id: `${where} pods [${canonical(pods)}]${port === undefined ? '' : ` port ${port.name}/${port.protocol}`}`,
    namespaces,
    pods,
    port,
  }
}

/** The same text for the same requirements in whatever order. */
function canonical({ requirements }: LabelMatcher): string {
  return requirements
    .map(({ key, operator, values }: LabelRequirement) =>
      values.length === 0 ? `${key} ${operator}` : `${key} ${operator} ${[...values].sort().join('|')}`,
    )
    .sort()
    .join(', ')
}
