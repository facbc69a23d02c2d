/** Which endpoints of a Service's port this node sends to. Pure. */
import { formatAddress, readAddress, type AddressFamily } from '../../../proto/base/cidr.ts'
import type { Endpoint, EndpointSlice, Service, ServicePort } from '../../../proto/gen/types.ts'

/** Where the choosing node is. */
export interface NodeTopology {
  readonly node: string
  /** Its label topology.kubernetes.io/zone. */
  readonly zone: string | undefined
  /** Zones of all nodes that have one, by name. */
  readonly zones: ReadonlyMap<string, string>
}

/** An address and a port as nft writes their concatenation: "10.1.0.2 . 8080", "fd00::2 . 8080". */
export type NftTarget = string

export interface EndpointSelection {
  /** For traffic that may go to any node. */
  readonly cluster: readonly NftTarget[]
  /** For traffic that stays on this node. */
  readonly local: readonly NftTarget[]
  /** Those of them that are ready: a balancer in front of the nodes is to turn away from those that are leaving. */
  readonly readyLocal: readonly NftTarget[]
  /** Addresses of those targets that may be on this node. */
  readonly localAddresses: ReadonlySet<string>
}

interface Candidate {
  readonly target: NftTarget
  readonly endpoint: Endpoint
  readonly ready: boolean
  /** Neither ready nor gone: the last resort. */
  readonly servingTerminating: boolean
}

export const ZONE_LABEL = 'topology.kubernetes.io/zone'

/**
 * Ready endpoints; those that are on their way out but still serve only where there is no ready one (KEP-1669). Among
 * all nodes' endpoints hints and nearness choose as in
 * https://kubernetes.io/docs/concepts/services-networking/topology-aware-routing/: only if every ready endpoint says
 * whom it is for and at least one is for this node; never for traffic that stays on the node.
 */
export function chooseEndpoints(
  service: Service,
  port: ServicePort,
  family: AddressFamily,
  slices: Iterable<EndpointSlice>,
  place: NodeTopology,
): EndpointSelection {
  const candidates = candidatesOf(port, family, slices)
  const ready = candidates.filter((candidate) => candidate.ready)
  const cluster =
    ready.length > 0
      ? filterByTopology(ready, service, place)
      : candidates.filter(({ servingTerminating: leaving }) => leaving)
  const localReady = ready.filter(({ endpoint }) => endpoint.nodeName === place.node)
  const local =
    localReady.length > 0
      ? localReady
      : candidates.filter(({ endpoint, servingTerminating: leaving }) => leaving && endpoint.nodeName === place.node)
  const here = new Set<string>()
  for (const { target, endpoint } of [...cluster, ...local])
    if (endpoint.nodeName === undefined || endpoint.nodeName === place.node) here.add(addressOf(target))
  return {
    cluster: cluster.map(({ target }) => target),
    local: local.map(({ target }) => target),
    readyLocal: localReady.map(({ target }) => target),
    localAddresses: here,
  }
}

export function addressOf(target: NftTarget): string {
  return target.slice(0, target.indexOf(' '))
}

/** In the form that the kernel's content is read back in; undefined for what is no address. */
export function canonicalAddress(text: string): { readonly family: AddressFamily; readonly text: string } | undefined {
  const address = readAddress(text)
  if (address === undefined) return undefined
  return { family: address.family, text: address.family === 4 ? text : formatAddress(6, address.value) }
}

/**
 * Each target once: the same pod may stand in two slices while it moves from one to the other; the better condition
 * counts.
 */
function candidatesOf(port: ServicePort, family: AddressFamily, slices: Iterable<EndpointSlice>): Candidate[] {
  const candidates = new Map<NftTarget, Candidate>()
  for (const { addressType, endpoints = [], ports = [] } of slices) {
    if (addressType !== `IPv${family}`) continue
    const number = ports.find(
      (one) => (one.name ?? '') === (port.name ?? '') && (one.protocol ?? 'TCP') === (port.protocol ?? 'TCP'),
    )?.port
    if (number === undefined) continue
    for (const endpoint of endpoints) {
      const address = canonicalAddress(endpoint.addresses?.[0] ?? '')
      if (address?.family !== family) continue
      const { ready = true, serving = ready, terminating = false } = endpoint.conditions ?? {}
      const leaving = !ready && serving && terminating
      if (!ready && !leaving) continue
      const target = `${address.text} . ${number}`
      if (candidates.get(target)?.ready !== true)
        candidates.set(target, { target, endpoint, ready, servingTerminating: leaving })
    }
  }
  return [...candidates.values()]
}

function filterByTopology(ready: readonly Candidate[], service: Service, place: NodeTopology): readonly Candidate[] {
  const nodesOf = ({ endpoint }: Candidate): readonly string[] =>
    endpoint.hints?.forNodes?.map(({ name }) => name) ?? []
  const zonesOf = ({ endpoint }: Candidate): readonly string[] =>
    endpoint.hints?.forZones?.map(({ name }) => name) ?? []
  const forNode = ready.every((one) => nodesOf(one).length > 0)
    ? ready.filter((one) => nodesOf(one).includes(place.node))
    : []
  if (forNode.length > 0) return forNode
  const { zone } = place
  if (zone === undefined) return ready
  const hinted = ready.every((one) => zonesOf(one).length > 0)
  const inZone = hinted
    ? ready.filter((one) => zonesOf(one).includes(zone))
    : service.spec.trafficDistribution === 'PreferClose'
      ? ready.filter(({ endpoint }) => (endpoint.zone ?? place.zones.get(endpoint.nodeName ?? '')) === zone)
      : []
  return inZone.length > 0 ? inZone : ready
}
