/** What a pod asks of the node's network: ports of the node, and Networks beside the cluster's own. Pure. */
import { podNetworks } from '../../../proto/objects/pod-networks.ts'
import type { Pod } from '../../../proto/gen/types.ts'
import type { Attachment, AttachRequest, HostPort } from '../../network/contract.ts'

export function attachRequest({ metadata, spec }: Pod): AttachRequest {
  const { cluster, further } = podNetworks(metadata)
  const hostPorts = [...spec.containers, ...(spec.initContainers ?? [])].flatMap(({ ports = [] }) =>
    ports.flatMap(({ hostPort = 0, containerPort, protocol, hostIP = '' }): HostPort[] =>
      hostPort === 0
        ? []
        : [
            {
              protocol: protocol as HostPort['protocol'],
              hostPort,
              containerPort,
              hostIP: hostIP === '' ? undefined : hostIP,
            },
          ],
    ),
  )
  return { hostPorts, networks: { namespace: metadata.namespace, cluster, further } }
}

/** Where others reach the pod: on the cluster's own network, or if it is not on that, on its Networks. */
export function podAddresses(attachment: Attachment | undefined): readonly string[] {
  if (attachment === undefined) return []
  return attachment.apart === true
    ? (attachment.further ?? []).flatMap(({ addresses }) => addresses)
    : attachment.addresses
}
