/** Ports of machines that the cluster and its administrators need: no pod and no Service takes them over. Pure. */
import { readAddress } from '../base/cidr.ts'
import type { HostPortClaim } from './host-ports.ts'

export interface ReservedPort {
  readonly protocol: 'TCP' | 'UDP' | 'SCTP'
  readonly port: number
  /** Who needs it. */
  readonly owner: string
}

/** Where nothing else is configured. A pod may land on the machine of a controller, so these hold of every node. */
export const RESERVED_PORTS: readonly ReservedPort[] = [
  { protocol: 'TCP', port: 22, owner: 'SSH' },
  { protocol: 'TCP', port: 2379, owner: 'etcd' },
  { protocol: 'TCP', port: 2380, owner: 'etcd' },
  { protocol: 'TCP', port: 4222, owner: 'NATS' },
  { protocol: 'TCP', port: 6222, owner: 'NATS' },
  { protocol: 'TCP', port: 6443, owner: 'the Kubernetes API' },
  { protocol: 'TCP', port: 7443, owner: 'the controllers' },
  { protocol: 'UDP', port: 8472, owner: 'the pod network (VXLAN)' },
]

/** On ingress nodes, unless the agent's settings say others. */
export const INGRESS_PORTS: readonly ReservedPort[] = [
  { protocol: 'TCP', port: 80, owner: "the entrance's Ingresses" },
  { protocol: 'TCP', port: 443, owner: "the entrance's Ingresses" },
]

/** The resolver answers pods at link-local addresses of the node. */
const RESOLVER_PORT = 53

/**
 * Who needs a port that a pod wants of its node; undefined if the pod may have it. `more`: beside those that are always
 * reserved.
 */
export function ownerOfHostPort(
  { protocol, port, address }: HostPortClaim,
  more: readonly ReservedPort[] = [],
): string | undefined {
  const reserved = [...RESERVED_PORTS, ...more].find((one) => one.protocol === protocol && one.port === port)
  if (reserved !== undefined) return reserved.owner
  return port === RESOLVER_PORT && !isOwnAddress(address) ? "the node's resolver" : undefined
}

/** One address of the node that other machines know it by: what is sent to the resolver is not sent there. */
function isOwnAddress(text: string): boolean {
  const address = readAddress(text)
  return address !== undefined && address.value !== 0n && !/^(169\.254\.|fe[89ab])/i.test(text)
}
