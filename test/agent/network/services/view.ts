/** A view of the cluster's network that tests change as the control plane would, and what they write in it. */
import type { NetworkChange, NetworkReconciler, NetworkView, NodeRanges } from '../../../../agent/network/contract.ts'
import type {
  Endpoint,
  EndpointSlice,
  PeerNode,
  Service,
  ServicePort,
  ServiceSpec,
} from '../../../../proto/gen/types.ts'

export const RANGES: NodeRanges = {
  podCidrs: ['10.1.1.0/24', 'fd01:0:0:1::/64'],
  cluster: {
    podCidrs: ['10.1.0.0/16', 'fd01::/48'],
    serviceCidrs: ['10.96.0.0/16', 'fd00:96::/112'],
    domain: 'cluster.local',
  },
}

export class TestView implements NetworkView {
  readonly services = new Map<string, Service>()
  readonly slices = new Map<string, EndpointSlice>()
  readonly peers = new Map<string, PeerNode>()
  ranges = RANGES
  revision = 1
  readonly #keys = new Set<string>()

  objects(kind: string): ReadonlyMap<string, never> {
    return (kind === 'Service'
      ? this.services
      : kind === 'EndpointSlice'
        ? this.slices
        : new Map()) as unknown as ReadonlyMap<string, never>
  }

  entries(entry: string): ReadonlyMap<string, never> {
    return (entry === 'peer' ? this.peers : new Map()) as unknown as ReadonlyMap<string, never>
  }

  service(name: string, spec: Partial<ServiceSpec>, status: Service['status'] = {}): void {
    this.services.set(`default/${name}`, service(name, spec, status))
    this.#keys.add(`Service/default/${name}`)
  }

  /** Replaces the one slice of this name. */
  slice(
    name: string,
    of: string,
    endpoints: readonly Endpoint[],
    ports: EndpointSlice['ports'] = [{ name: '', protocol: 'TCP', port: 8080 }],
  ): void {
    this.slices.set(`default/${name}`, slice(name, of, endpoints, ports))
    this.#keys.add(`EndpointSlice/default/${name}`)
  }

  peer(name: string, addresses: readonly string[], labels: Record<string, string> = {}): void {
    this.peers.set(`PeerNode/${name}`, { name, addresses: [...addresses], podCidrs: [], labels, present: true })
    this.#keys.add(`PeerNode/${name}`)
  }

  remove(kind: 'Service' | 'EndpointSlice', name: string): void {
    ;(kind === 'Service' ? this.services : this.slices).delete(`default/${name}`)
    this.#keys.add(`${kind}/default/${name}`)
  }

  /** What has changed since the last call. */
  change(complete = false): NetworkChange {
    const keys = complete ? new Set([...this.services.keys()].map((key) => `Service/${key}`)) : new Set(this.#keys)
    this.#keys.clear()
    this.revision++
    return { complete, keys }
  }

  /** Lets a part follow. */
  async tell(part: NetworkReconciler, complete = false): Promise<void> {
    await part.apply(this, this.change(complete))
  }
}

function service(name: string, spec: Partial<ServiceSpec>, status: Service['status']): Service {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      name,
      namespace: 'default',
      uid: name,
      creationTimestamp: '2026-01-01T00:00:00Z',
    } as Service['metadata'],
    spec: { type: 'ClusterIP', sessionAffinity: 'None', ports: [port(80)], ...spec } as ServiceSpec,
    status,
  }
}

export function port(number: number, more: Partial<ServicePort> = {}): ServicePort {
  return { port: number, protocol: 'TCP', ...more }
}

function slice(name: string, of: string, endpoints: readonly Endpoint[], ports: EndpointSlice['ports']): EndpointSlice {
  const addressType = endpoints[0]?.addresses?.[0]?.includes(':') === true ? 'IPv6' : 'IPv4'
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    addressType,
    endpoints: [...endpoints],
    ports: [...(ports ?? [])],
    metadata: {
      name,
      namespace: 'default',
      uid: name,
      labels: { 'kubernetes.io/service-name': of },
    } as unknown as EndpointSlice['metadata'],
  }
}

export function endpoint(address: string, nodeName = 'n1', more: Partial<Endpoint> = {}): Endpoint {
  return { addresses: [address], nodeName, conditions: { ready: true, serving: true, terminating: false }, ...more }
}
