/** Ports of this node that no pod and no Service takes over. */
import { RESERVED_PORTS, type ReservedPort } from '../../proto/objects/reserved-ports.ts'
import type { AgentConfig } from '../config.ts'

/**
 * What the cluster and its administrators need at nodes' addresses: the way to the machine, to the controllers, and to
 * pods of other nodes.
 */
export function reservedPorts(
  { controllers, network, entrance }: Pick<AgentConfig, 'controllers' | 'network' | 'entrance'>,
  isIngressNode = false,
): ReservedPort[] {
  return [
    ...RESERVED_PORTS,
    ...controllers.map((address): ReservedPort => ({
      protocol: 'TCP',
      port: Number(address.slice(address.lastIndexOf(':') + 1)),
      owner: 'the controllers',
    })),
    { protocol: 'UDP', port: network.vxlanPort, owner: 'the pod network (VXLAN)' },
    ...(isIngressNode ? [entrance.http, entrance.https] : []).map((port): ReservedPort => ({
      protocol: 'TCP',
      port,
      owner: "the entrance's Ingresses",
    })),
  ]
}
