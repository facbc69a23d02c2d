/** What policies look at of a pod. */
import { hasPodNetwork, namedPorts, type NamedPort } from '../../../../proto/objects/network-policy.ts'
import type { Pod } from '../../../../proto/gen/types.ts'
import { isBound, isTerminal } from '../../../../proto/objects/pod.ts'
import type { Labels } from './selector-index.ts'

export interface PodFacts {
  readonly uid: string
  readonly namespace: string
  readonly labels: Labels
  /** Where it is guarded; undefined for one that is bound to no node, has ended, or is in its node's own network. */
  readonly node: string | undefined
  /** In canonical form; empty for one whose addresses do not count as a pod's. */
  readonly addresses: readonly string[]
  readonly ports: readonly NamedPort[]
}

/** A pod that is being ended counts to its end. */
export function podFacts(pod: Pod): PodFacts {
  const {
    metadata: { uid, namespace, labels = {} },
    spec: { nodeName },
    status: { podIP, podIPs = [] },
  } = pod
  const counts = hasPodNetwork(pod) && !isTerminal(pod)
  const addresses = new Set(
    [podIP, ...podIPs.map(({ ip }) => ip)].filter(
      (address): address is string => address !== undefined && address !== '',
    ),
  )
  return {
    uid,
    namespace,
    labels,
    node: counts && isBound(pod) ? nodeName : undefined,
    addresses: counts ? [...addresses] : [],
    ports: namedPorts(pod),
  }
}

/** Most changes of pods are news of their containers and no concern of policies. */
export function sameFacts(a: PodFacts, b: PodFacts): boolean {
  return (
    a.uid === b.uid &&
    a.node === b.node &&
    sameLabels(a.labels, b.labels) &&
    a.addresses.join() === b.addresses.join() &&
    samePorts(a.ports, b.ports)
  )
}

function samePorts(a: readonly NamedPort[], b: readonly NamedPort[]): boolean {
  return (
    a.length === b.length &&
    a.every(
      ({ name, protocol, port }, index) =>
        name === b[index]!.name && protocol === b[index]!.protocol && port === b[index]!.port,
    )
  )
}

function sameLabels(a: Labels, b: Labels): boolean {
  const keys = Object.keys(a)
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && a[key] === b[key])
}
