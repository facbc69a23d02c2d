/**
 * Where a Service of type LoadBalancer is reached: at addresses of nodes, each of which takes its ports. Pure.
 * https://kubernetes.io/docs/concepts/services-networking/service/#loadbalancer
 */
import { canonical } from '../../api/services/service-range.ts'
import { formatTime } from '../../../proto/base/time.ts'
import { ingressNodes } from '../../../proto/objects/ingress/classes.ts'
import { INGRESS_PORTS } from '../../../proto/objects/reserved-ports.ts'
import { rangeContains, readAddress, readCidr, type AddressRange } from '../../../proto/base/cidr.ts'
import { specialAddress } from '../../../proto/validation/address.ts'
import { familyOf } from '../../../proto/validation/service.ts'
import type { EndpointSlice, LoadBalancerIngress, Node, Service, ServiceStatus } from '../../../proto/gen/types.ts'
import { withCondition, withoutCondition } from '../../../proto/objects/conditions.ts'
import { internalAddresses } from '../endpointslice/endpoint-nodes.ts'

/** A node that is to take no traffic for load balancers has this label. */
export const EXCLUDE_LABEL = 'node.kubernetes.io/exclude-from-external-load-balancers'

/** Condition: another Service takes the same ports. Kubernetes' own word. */
export const PORTS_ERROR = 'LoadBalancerPortsError'
/** Condition: the address that it asks for is no node's. */
export const ADDRESS_ERROR = 'LoadBalancerAddressError'

/** A Service that the nodes serve; one with a class is somebody else's. */
export function isServed({ metadata: { deletionTimestamp }, spec: { type, loadBalancerClass } }: Service): boolean {
  return type === 'LoadBalancer' && loadBalancerClass === undefined && deletionTimestamp === undefined
}

/** "80/TCP" for each port that it takes. */
export function portsTaken({ spec: { ports = [] } }: Service): string[] {
  return ports.map(({ port, protocol }) => `${port}/${protocol}`)
}

/**
 * The Service that keeps this one from being reached: an older one, itself reached, that takes one of its ports at the
 * same addresses.
 */
export function conflictingService(
  service: Service,
  others: readonly Service[],
): { readonly rival: Service; readonly port: string } | undefined {
  const reached: Service[] = []
  for (const one of others
    .filter((other) => isServed(other) && !isOlder(service, other))
    .sort((a, b) => (isOlder(a, b) ? -1 : 1))) {
    const ports = portsTaken(one)
    const [rival, port] =
      reached.flatMap((other): [Service, string][] => {
        const taken = mayMeet(other, one) ? portsTaken(other).find((candidate) => ports.includes(candidate)) : undefined
        return taken === undefined ? [] : [[other, taken]]
      })[0] ?? []
    if (one.metadata.uid === service.metadata.uid) return rival === undefined ? undefined : { rival, port: port! }
    if (rival === undefined) reached.push(one)
  }
  return undefined
}

function isOlder(one: Service, other: Service): boolean {
  const [a, b] = [one, other].map(({ metadata }) => `${metadata.creationTimestamp ?? ''} ${metadata.uid}`) as [
    string,
    string,
  ]
  return a < b
}

/** Two that each ask for another address do not. */
function mayMeet({ spec: one }: Service, { spec: other }: Service): boolean {
  const [a, b] = [one.loadBalancerIP ?? '', other.loadBalancerIP ?? '']
  return (
    (a === '' || b === '' || canonical(a) === canonical(b)) &&
    (one.ipFamilies ?? []).some((family) => other.ipFamilies?.includes(family) === true)
  )
}

export interface LoadBalancerSnapshot {
  readonly service: Service
  /** Nodes that are heard from, or were until too many fell silent at once. */
  readonly nodes: readonly Node[]
  /** Of the Service. */
  readonly slices: readonly EndpointSlice[]
  readonly conflict: ReturnType<typeof conflictingService>
  /** CIDRs of pods and Services: whatever a node says, no address of these is its own. */
  readonly clusterRanges: readonly string[]
}

/** Its status as it should be. Other conditions stay. */
export function loadBalancerStatus(
  { service, nodes, slices, conflict: rival, clusterRanges }: LoadBalancerSnapshot,
  now: number,
): ServiceStatus {
  if (!isServed(service)) return service.spec.type === 'LoadBalancer' ? service.status : cleared(service.status)
  const {
    spec: { loadBalancerIP = '', ipFamilies = ['IPv4'] },
    status,
  } = service
  const ranges = clusterRanges.flatMap((cidr) => readCidr(cidr) ?? [])
  const addressesOf = (node: Node): string[] => internalAddresses(node).filter((address) => mayBeNodes(address, ranges))
  const serving = servingNodes(service, nodes, slices)
    .flatMap(addressesOf)
    .filter((address) => (ipFamilies as readonly (string | undefined)[]).includes(familyOf(address)))
  const isAsked = (address: string): boolean =>
    loadBalancerIP === '' || canonical(address) === canonical(loadBalancerIP)
  const known = nodes.flatMap(addressesOf).some(isAsked)
  const ofIngresses = portOfIngresses(service)
  const ingress: LoadBalancerIngress[] =
    rival === undefined ? [...new Set(serving.filter(isAsked))].sort().map((ip) => ({ ip, ipMode: 'VIP' })) : []
  const onlyIngressNodes =
    rival === undefined &&
    ingress.length === 0 &&
    ofIngresses !== undefined &&
    ingressNodes(nodes).some((node) => addressesOf(node).some(isAsked))
  const errors = [
    {
      type: PORTS_ERROR,
      reason: 'PortTaken',
      message: onlyIngressNodes
        ? `port ${ofIngresses} of nodes that are an entrance is for Ingresses: give this Service another port, or make other nodes the entrance`
        : rival === undefined
          ? undefined
          : `port ${rival.port} is taken by Service ${rival.rival.metadata.namespace}/${rival.rival.metadata.name}, which is older: give this one another port, or another loadBalancerIP to each`,
    },
    {
      type: ADDRESS_ERROR,
      reason: 'NoNodeHasAddress',
      message:
        loadBalancerIP === '' || known
          ? undefined
          : `no node that is ready has the address ${loadBalancerIP} that loadBalancerIP asks for`,
    },
  ]
  const conditions = errors.reduce(
    (list, { type, reason, message }) =>
      message === undefined
        ? withoutCondition(list, type)
        : withCondition(list, {
            type,
            status: 'True' as const,
            reason,
            message,
            observedGeneration: service.metadata.generation,
            lastTransitionTime: formatTime(now),
          }),
    status.conditions ?? [],
  )
  return { loadBalancer: ingress.length === 0 ? {} : { ingress }, ...(conditions.length > 0 && { conditions }) }
}

/**
 * A node says itself which its addresses are: those that mean something else everywhere, and those of pods and
 * Services, are not.
 */
function mayBeNodes(text: string, ranges: readonly AddressRange[]): boolean {
  const address = readAddress(text)
  if (address === undefined || specialAddress(text) !== undefined) return false
  return !ranges.some((range) =>
    rangeContains(range, { family: address.family, first: address.value, last: address.value }),
  )
}

function cleared({ conditions = [] }: ServiceStatus): ServiceStatus {
  const left = [PORTS_ERROR, ADDRESS_ERROR].reduce((list, type) => withoutCondition(list, type), conditions)
  return { loadBalancer: {}, ...(left.length > 0 && { conditions: left }) }
}

/**
 * "443/TCP": a port of the Service that Ingresses have on ingress nodes; who takes it there has the
 * traffic of all of them.
 */
function portOfIngresses(service: Service): string | undefined {
  return portsTaken(service).find((taken) =>
    INGRESS_PORTS.some(({ port, protocol }) => taken === `${port}/${protocol}`),
  )
}

/** With externalTrafficPolicy Local those that have an endpoint of it themselves. */
function servingNodes(service: Service, nodes: readonly Node[], slices: readonly EndpointSlice[]): readonly Node[] {
  const { spec } = service
  const reserved = portOfIngresses(service) === undefined ? new Set<Node>() : new Set(ingressNodes(nodes))
  const able = nodes.filter((node) => node.metadata.labels?.[EXCLUDE_LABEL] === undefined && !reserved.has(node))
  if (spec.externalTrafficPolicy !== 'Local') return able
  const local = new Set(
    slices.flatMap(({ endpoints = [] }) =>
      endpoints.filter(({ conditions }) => conditions?.ready !== false).map(({ nodeName }) => nodeName),
    ),
  )
  return able.filter(({ metadata }) => local.has(metadata.name))
}

/** Whether two statuses say the same of a load balancer. */
export function comparable({ loadBalancer, conditions = [] }: ServiceStatus): unknown {
  return [loadBalancer?.ingress ?? [], conditions]
}
