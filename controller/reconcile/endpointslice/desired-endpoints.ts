/**
 * The endpoints that a Service should have: its pods, by address family and by the numbers that its ports mean. Pure.
 * https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/
 */
import { familyOf, isHeadless } from '../../../proto/validation/service.ts'
import type { Endpoint, EndpointPort, EndpointSlice, Pod, Service, ServicePort } from '../../../proto/gen/types.ts'
import { NODE_LOST, NODE_SUSPECT } from '../../nodehealth/health.ts'
import { findCondition } from '../../../proto/objects/conditions.ts'
import { isTerminal } from '../../../proto/objects/pod.ts'
import { isDeleting } from '../../../proto/objects/deletion.ts'
import { lastingContainers } from '../../../proto/objects/containers.ts'

/** What is known of a pod's node. */
export interface EndpointNode {
  /** `silent`: not heard from. `held`: neither, but so many with it that the fault is more likely on this side. */
  readonly reachability: 'here' | 'silent' | 'held'
  readonly zone: string | undefined
  readonly addresses: readonly string[]
}

/** Endpoints that have the same ports. */
export interface EndpointGroup {
  readonly addressType: EndpointSlice['addressType']
  readonly ports: readonly EndpointPort[]
  readonly endpoints: readonly Endpoint[]
}

export interface DesiredEndpoints {
  readonly groups: readonly EndpointGroup[]
  /** Silent nodes whose pods stay ready, and why. */
  readonly kept: { readonly why: 'brake' | 'last'; readonly nodes: readonly string[] } | undefined
}

/** A pod that may be an endpoint. */
interface Candidate {
  readonly pod: Pod
  readonly node: EndpointNode
  readonly serving: boolean
  readonly terminating: boolean
}

/**
 * `pods` are those that the selector matches. One on a silent node is not ready, unless too many nodes are silent at
 * once or it would leave the Service without any: a wrong guess costs some connections, none left costs all.
 */
export function desiredEndpoints(
  service: Service,
  pods: readonly Pod[],
  nodeOf: (name: string) => EndpointNode,
): DesiredEndpoints {
  const candidates = pods
    .filter((pod) => !isTerminal(pod))
    .map((pod): Candidate => ({
      pod,
      node: nodeOf(pod.spec.nodeName ?? ''),
      serving: lastSaidReady(pod),
      terminating: isDeleting(pod),
    }))
  const takes = ({ serving, terminating }: Candidate): boolean => serving && !terminating
  const last = !candidates.some((candidate) => takes(candidate) && candidate.node.reachability !== 'silent')
  const isLost = ({ node }: Candidate): boolean => node.reachability === 'silent' && !last
  const kept = candidates.filter(
    (candidate) => takes(candidate) && candidate.node.reachability !== 'here' && !isLost(candidate),
  )
  const groups = (service.spec.ipFamilies ?? ['IPv4']).flatMap((family) => grouped(service, family, candidates, isLost))
  const names = [...new Set(kept.map(({ pod }) => pod.spec.nodeName ?? ''))].sort()
  return {
    groups,
    kept:
      kept.length === 0
        ? undefined
        : { why: kept.some(({ node }) => node.reachability === 'held') ? 'brake' : 'last', nodes: names },
  }
}

/** As the agent said last: while a node is not heard from, Ready says no more than that. */
function lastSaidReady({ status: { conditions } }: Pod): boolean {
  const ready = findCondition(conditions, 'Ready')
  const said =
    ready?.reason === NODE_SUSPECT || ready?.reason === NODE_LOST ? findCondition(conditions, 'ContainersReady') : ready
  return said?.status === 'True'
}

/** An empty group if there is nobody, so that one empty slice says so. */
function grouped(
  service: Service,
  family: 'IPv4' | 'IPv6',
  candidates: readonly Candidate[],
  isLost: (candidate: Candidate) => boolean,
): EndpointGroup[] {
  const groups = new Map<string, { ports: readonly EndpointPort[]; endpoints: Endpoint[] }>()
  for (const candidate of candidates) {
    const address = addressOf(candidate, family)
    if (address === undefined) continue
    const ports = portsOf(service, candidate.pod)
    const key = portsKey(ports)
    const group = groups.get(key) ?? { ports, endpoints: [] }
    groups.set(key, group)
    group.endpoints.push(endpointOf(service, candidate, address, isLost(candidate)))
  }
  if (groups.size === 0) return [{ addressType: family, ports: [], endpoints: [] }]
  return [...groups.values()].map((group) => ({ addressType: family, ...group }))
}

/** A pod in its node's network has its node's address. */
function addressOf({ pod: { spec, status }, node }: Candidate, family: 'IPv4' | 'IPv6'): string | undefined {
  const own = [...(status.podIPs?.map(({ ip }) => ip ?? '') ?? []), status.podIP ?? ''].find(
    (address) => familyOf(address) === family,
  )
  if (own !== undefined || spec.hostNetwork !== true || spec.nodeName === undefined) return own
  return node.addresses.find((address) => familyOf(address) === family)
}

function endpointOf(
  { metadata, spec: { publishNotReadyAddresses, trafficDistribution } }: Service,
  { pod, node, serving, terminating }: Candidate,
  address: string,
  lost: boolean,
): Endpoint {
  const { namespace, name, uid } = pod.metadata
  const { nodeName, hostname, subdomain } = pod.spec
  const early = publishNotReadyAddresses === true
  return {
    addresses: [address],
    conditions: {
      ready: early || (serving && !terminating && !lost),
      serving: early || (serving && !lost),
      terminating,
    },
    targetRef: { kind: 'Pod', namespace, name, uid },
    ...(nodeName !== undefined && nodeName !== '' && { nodeName }),
    ...(hostname !== undefined && hostname !== '' && subdomain === metadata.name && { hostname }),
    ...(node.zone !== undefined && { zone: node.zone }),
    ...(trafficDistribution === 'PreferClose' &&
      node.zone !== undefined && { hints: { forZones: [{ name: node.zone }] } }),
  }
}

/** Ports of the Service that the pod has: a name may stand for another number in each. */
function portsOf({ spec }: Service, pod: Pod): EndpointPort[] {
  return (spec.ports ?? []).flatMap((port) => {
    const number = targetOf(port, pod)
    const { name = '', protocol, appProtocol } = port
    return number === undefined
      ? []
      : [{ name, protocol, port: number, ...(appProtocol !== undefined && { appProtocol }) }]
  })
}

function targetOf({ targetPort, port, protocol }: ServicePort, pod: Pod): number | undefined {
  if (typeof targetPort !== 'string') return targetPort ?? port
  for (const { ports = [] } of lastingContainers(pod)) {
    const found = ports.find((candidate) => candidate.name === targetPort && (candidate.protocol ?? 'TCP') === protocol)
    if (found !== undefined) return found.containerPort
  }
  return undefined
}

/** The same for ports that mean the same. */
export function portsKey(ports: readonly EndpointPort[]): string {
  return JSON.stringify(
    ports
      .map(({ name = '', protocol, port, appProtocol = '' }) => [name, protocol, port ?? 0, appProtocol])
      .sort((a, b) => (String(a[0]) < String(b[0]) ? -1 : 1)),
  )
}

/** Labels by which slices of a Service are known. Others of the Service are passed on. */
export const SERVICE_NAME = 'kubernetes.io/service-name'
export const MANAGED_BY = 'endpointslice.kubernetes.io/managed-by'
export const HEADLESS_LABEL = 'service.kubernetes.io/headless'
/** Kubernetes' own word for slices made from a selector: what reads them looks for it. */
export const MANAGER = 'endpointslice-controller.k8s.io'
export const TRIGGER_TIME = 'endpoints.kubernetes.io/last-change-trigger-time'

/**
 * Whether its endpoints are found by the control plane. Those of a Service without a selector are somebody else's to
 * write; a name has none.
 */
export function hasEndpoints({ spec: { selector = {}, type } }: Service): boolean {
  return type !== 'ExternalName' && Object.keys(selector).length > 0
}

export function sliceLabels({ metadata: { name, labels }, spec }: Service): Record<string, string> {
  return { ...labels, [SERVICE_NAME]: name, [MANAGED_BY]: MANAGER, ...(isHeadless(spec) && { [HEADLESS_LABEL]: '' }) }
}
