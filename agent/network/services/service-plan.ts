/**
 * What one Service asks of a node's kernel: the addresses and ports it is reached at, and where each of them leads.
 * Pure.
 */
import type { AddressFamily } from '../../../proto/base/cidr.ts'
import type { EndpointSlice, Service, ServicePort } from '../../../proto/gen/types.ts'
import { addressOf, canonicalAddress, chooseEndpoints, type NodeTopology, type NftTarget } from './endpoints.ts'

export type Protocol = 'TCP' | 'UDP' | 'SCTP'

/** Unique within a Service; lasts as long as the Service's port does. */
export type BackendName = string

/** The endpoints that one way into a Service's port leads to. */
export interface BackendPlan {
  readonly family: AddressFamily
  readonly protocol: Protocol
  readonly targets: readonly NftTarget[]
  /** Seconds that a client keeps its endpoint since its last connection; undefined: each connection goes anywhere. */
  readonly affinity: number | undefined
  /** What a client sees when there is no target: its connection is refused, or its packets vanish. */
  readonly onNoEndpoints: 'refuse' | 'drop'
  /** The backend that clients inside the cluster get instead. */
  readonly internalBackend: BackendName | undefined
  /**
   * Whether connections to an endpoint that is gone are ended: it is lost, and cannot say so itself. Else it may be
   * about to end in peace.
   */
  readonly resetsConnections: boolean
}

/** An address and a port that lead to a backend. */
export interface ServiceFrontend {
  readonly family: AddressFamily
  /** undefined: every address of the node. */
  readonly address: string | undefined
  readonly protocol: Protocol
  readonly port: number
  readonly backend: BackendName
  /** Only clients in these ranges are let in; undefined: all. */
  readonly sources: readonly string[] | undefined
}

export interface ServicePlan {
  readonly fronts: readonly ServiceFrontend[]
  readonly backends: ReadonlyMap<BackendName, BackendPlan>
  /** Addresses of endpoints on this node, which may call themselves through the Service. */
  readonly localAddresses: ReadonlySet<string>
  /** The port that tells whether this node has endpoints, and how many. */
  readonly health: { readonly port: number; readonly localEndpoints: number } | undefined
  /** Sentences for a person: what was left out, and why. */
  readonly problems: readonly string[]
}

export interface PlanContext {
  readonly topology: NodeTopology
  /** Addresses of all nodes. */
  readonly nodeAddresses: ReadonlySet<string>
  /** Ports of the nodes that no Service may take over, as "TCP/7443". */
  readonly reserved: ReadonlySet<string>
}

/**
 * The Service by which pods reach the control plane. Its endpoints are controllers: one that goes is no longer heard
 * from by the others, or has sent its clients away.
 */
export const API_SERVICE = { namespace: 'default', name: 'kubernetes' } as const

/** https://kubernetes.io/docs/concepts/services-networking/service/#session-stickiness-timeout */
const DEFAULT_AFFINITY = 10_800
/**
 * Services with one of these labels are somebody else's to serve:
 * https://kubernetes.io/docs/reference/labels-annotations-taints/
 */
const FOREIGN_LABELS = ['service.kubernetes.io/service-proxy-name', 'service.kubernetes.io/headless']

/** `local` and `external-local`: what internalTrafficPolicy and externalTrafficPolicy Local ask for. */
type TrafficScope = 'cluster' | 'local' | 'external-local'

/**
 * The plan of a Service; undefined if the kernel has nothing to do for it (headless, ExternalName, somebody else's).
 * Rules:
 * https://kubernetes.io/docs/reference/networking/virtual-ips/
 */
export function planService(
  service: Service,
  slices: Iterable<EndpointSlice>,
  context: PlanContext,
): ServicePlan | undefined {
  const { spec, metadata } = service
  const clusterIPs = (spec.clusterIPs?.length ? spec.clusterIPs : [spec.clusterIP ?? '']).filter(
    (address) => address !== '' && address !== 'None',
  )
  if (spec.type === 'ExternalName' || clusterIPs.length === 0) return undefined
  if (FOREIGN_LABELS.some((label) => label in (metadata.labels ?? {}))) return undefined
  const families = new Set(clusterIPs.flatMap((text) => canonicalAddress(text)?.family ?? []))
  const planner = new ServicePlanner(service, [...slices], families, context)
  for (const text of clusterIPs)
    planner.address(text, { reach: spec.internalTrafficPolicy === 'Local' ? 'local' : 'cluster' })
  const reach = spec.externalTrafficPolicy === 'Local' ? 'external-local' : 'cluster'
  for (const text of spec.externalIPs ?? []) planner.address(text, { reach, outside: true })
  if (spec.type === 'LoadBalancer') {
    const sources = spec.loadBalancerSourceRanges?.length
      ? spec.loadBalancerSourceRanges.map((range) => range.trim())
      : undefined
    // Traffic to addresses of mode Proxy is to go through the balancer: KEP-1860.
    for (const { ip, ipMode } of service.status.loadBalancer?.ingress ?? [])
      if (ip !== undefined && ip !== '' && ipMode !== 'Proxy') planner.address(ip, { reach, outside: true, sources })
  }
  if (spec.type === 'NodePort' || spec.type === 'LoadBalancer') planner.nodePorts(reach)
  return planner.plan()
}

interface FrontendOptions {
  readonly reach: TrafficScope
  /** Not an address of the cluster's own: it may be one that programs of the nodes answer at. */
  readonly outside?: boolean
  readonly sources?: readonly string[] | undefined
}

class ServicePlanner {
  readonly #service: Service
  readonly #slices: readonly EndpointSlice[]
  readonly #families: readonly AddressFamily[]
  readonly #context: PlanContext
  readonly #fronts: ServiceFrontend[] = []
  readonly #backends = new Map<BackendName, BackendPlan>()
  readonly #here = new Set<string>()
  readonly #refused: string[] = []
  readonly #taken = new Set<string>()

  constructor(
    service: Service,
    slices: readonly EndpointSlice[],
    families: ReadonlySet<AddressFamily>,
    context: PlanContext,
  ) {
    this.#service = service
    this.#slices = slices
    this.#families = [...families]
    this.#context = context
  }

  address(text: string, { reach, outside = false, sources }: FrontendOptions): void {
    const address = canonicalAddress(text)
    if (address === undefined) {
      this.#refused.push(`"${text}" is no IP address`)
      return
    }
    for (const port of this.#service.spec.ports ?? []) {
      const protocol = port.protocol ?? 'TCP'
      if (
        outside &&
        this.#context.nodeAddresses.has(address.text) &&
        this.#reserved(protocol, port.port, `${address.text}:${port.port}/${protocol}`)
      )
        continue
      this.#front({
        family: address.family,
        address: address.text,
        protocol,
        port: port.port,
        backend: this.#backend(port, address.family, reach),
        sources,
      })
    }
  }

  nodePorts(reach: TrafficScope): void {
    for (const port of this.#service.spec.ports ?? []) {
      const { nodePort = 0, protocol = 'TCP' } = port
      if (nodePort === 0 || this.#reserved(protocol, nodePort, `node port ${nodePort}/${protocol}`)) continue
      for (const family of this.#families)
        this.#front({
          family,
          address: undefined,
          protocol,
          port: nodePort,
          backend: this.#backend(port, family, reach),
          sources: undefined,
        })
    }
  }

  plan(): ServicePlan {
    const { type, externalTrafficPolicy, healthCheckNodePort = 0 } = this.#service.spec
    let health: ServicePlan['health']
    if (
      type === 'LoadBalancer' &&
      externalTrafficPolicy === 'Local' &&
      healthCheckNodePort > 0 &&
      !this.#reserved('TCP', healthCheckNodePort, `health check port ${healthCheckNodePort}`)
    ) {
      health = { port: healthCheckNodePort, localEndpoints: this.#localEndpoints() }
    }
    return {
      fronts: this.#fronts,
      backends: this.#backends,
      localAddresses: this.#here,
      health,
      problems: this.#refused,
    }
  }

  /** The same address may be an external one and the balancer's; the first counts. */
  #front(front: ServiceFrontend): void {
    const key = `${front.family} ${front.address} ${front.protocol} ${front.port}`
    if (this.#taken.has(key)) return
    this.#taken.add(key)
    this.#fronts.push(front)
  }

  #reserved(protocol: string, port: number, what: string): boolean {
    if (!this.#context.reserved.has(`${protocol}/${port}`)) return false
    this.#refused.push(
      `${what} is not served on node ${this.#context.topology.node}: the node itself needs port ${port}`,
    )
    return true
  }

  #backend(port: ServicePort, family: AddressFamily, reach: TrafficScope): BackendName {
    const protocol = port.protocol ?? 'TCP'
    const name = `${port.name ?? ''}/${protocol}/${family}/${reach}`
    if (this.#backends.has(name)) return name
    const { spec, metadata } = this.#service
    const {
      cluster,
      local,
      localAddresses: here,
    } = chooseEndpoints(this.#service, port, family, this.#slices, this.#context.topology)
    for (const address of here) this.#here.add(address)
    this.#backends.set(name, {
      family,
      protocol,
      targets: reach === 'cluster' ? cluster : local,
      affinity:
        spec.sessionAffinity === 'ClientIP'
          ? (spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? DEFAULT_AFFINITY)
          : undefined,
      onNoEndpoints: reach !== 'cluster' && cluster.length > 0 ? 'drop' : 'refuse',
      internalBackend: reach === 'external-local' ? this.#backend(port, family, 'cluster') : undefined,
      resetsConnections:
        protocol !== 'TCP' || (metadata.namespace === API_SERVICE.namespace && metadata.name === API_SERVICE.name),
    })
    return name
  }

  /** Endpoints, not addresses and ports: one with several ports, or of both families, counts once. */
  #localEndpoints(): number {
    const counts = this.#families.map((family) => {
      const targets = (this.#service.spec.ports ?? []).flatMap(
        (port) => chooseEndpoints(this.#service, port, family, this.#slices, this.#context.topology).readyLocal,
      )
      return new Set(targets.map(addressOf)).size
    })
    return Math.max(0, ...counts)
  }
}
