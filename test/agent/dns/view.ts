/** Views as the agent is given them, made of plain objects. */
import type { NetworkChange, NetworkView, NodeRanges } from '../../../agent/network/contract.ts'
import type { EndpointSlice, Service } from '../../../proto/gen/types.ts'

export const RANGES: NodeRanges = {
  podCidrs: ['10.1.2.0/24'],
  cluster: {
    podCidrs: ['10.1.0.0/16', 'fd00:1::/48'],
    serviceCidrs: ['10.96.0.0/16', 'fd00:96::/112'],
    domain: 'cluster.local',
  },
}

export function service(namespace: string, name: string, spec: Partial<Service['spec']>): Service {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace, name },
    spec: { type: 'ClusterIP', ...spec },
    status: {},
  } as Service
}

export interface EndpointSketch {
  readonly address: string
  readonly hostname?: string
  readonly ready?: boolean
}

export function slice(
  namespace: string,
  name: string,
  of: string,
  endpoints: readonly EndpointSketch[],
  ports: readonly { name?: string; protocol?: string; port: number }[] = [],
): EndpointSlice {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { namespace, name, labels: { 'kubernetes.io/service-name': of } },
    addressType: endpoints[0]?.address.includes(':') === true ? 'IPv6' : 'IPv4',
    endpoints: endpoints.map(({ address, hostname, ready }) => ({
      addresses: [address],
      hostname,
      ...(ready === undefined ? {} : { conditions: { ready } }),
    })),
    ports: ports.map((port) => ({ protocol: 'TCP', ...port })),
  } as unknown as EndpointSlice
}

export function view(objects: readonly (Service | EndpointSlice)[], revision = 1, ranges = RANGES): NetworkView {
  const of = (kind: string): ReadonlyMap<string, never> =>
    new Map(
      objects
        .filter((object) => object.kind === kind)
        .map((object) => [`${object.metadata.namespace}/${object.metadata.name}`, object as never]),
    )
  return { revision, ranges, objects: of, entries: () => new Map() }
}

export const COMPLETE: NetworkChange = { complete: true, keys: new Set() }

export function changed(...keys: string[]): NetworkChange {
  return { complete: false, keys: new Set(keys) }
}
