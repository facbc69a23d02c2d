/**
 * The endpoints that EndpointSlices should show for Endpoints that a user wrote. Pure.
 * https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#endpointslice-mirroring
 */
import { familyOf } from '../../../proto/validation/service.ts'
import type { Endpoint, EndpointAddress, EndpointPort, Endpoints, EndpointsPort } from '../../../proto/gen/types.ts'
import {
  MANAGED_BY,
  portsKey,
  SERVICE_NAME,
  TRIGGER_TIME,
  type EndpointGroup,
} from '../endpointslice/desired-endpoints.ts'

/** Kubernetes' own word for slices that are copies: what reads them looks for it. */
export const MIRROR_MANAGER = 'endpointslicemirroring-controller.k8s.io'
/** The addresses of one subset that are copied; further ones are left out. */
const MOST_ADDRESSES = 1000
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration'

/** One group for each address family and set of ports that there is. */
export function mirroredGroups({ subsets = [] }: Endpoints, most = MOST_ADDRESSES): EndpointGroup[] {
  const groups = new Map<string, EndpointGroup & { readonly endpoints: Endpoint[] }>()
  for (const { addresses = [], notReadyAddresses = [], ports: own = [] } of subsets) {
    const ports = own.map(portOf)
    const endpoints = [
      ...addresses.map((address) => ({ address, ready: true })),
      ...notReadyAddresses.map((address) => ({ address, ready: false })),
    ]
    for (const { address, ready } of endpoints.slice(0, most)) {
      const addressType = familyOf(address.ip)
      if (addressType === undefined) continue
      const key = `${addressType} ${portsKey(ports)}`
      const group = groups.get(key) ?? { addressType, ports, endpoints: [] }
      groups.set(key, group)
      group.endpoints.push(endpointOf(address, ready))
    }
  }
  return [...groups.values()]
}

function portOf({ name = '', port, protocol, appProtocol }: EndpointsPort): EndpointPort {
  return { name, protocol, port, ...(appProtocol !== undefined && { appProtocol }) }
}

function endpointOf({ ip, hostname = '', nodeName, targetRef }: EndpointAddress, ready: boolean): Endpoint {
  return {
    addresses: [ip],
    conditions: { ready },
    ...(hostname !== '' && { hostname }),
    ...(nodeName !== undefined && { nodeName }),
    ...(targetRef !== undefined && { targetRef: { ...targetRef } }),
  }
}

export function mirrorLabels({ metadata: { name, labels } }: Endpoints): Record<string, string> {
  return { ...labels, [SERVICE_NAME]: name, [MANAGED_BY]: MIRROR_MANAGER }
}

/** Those of the Endpoints, except what is about the Endpoints object itself. */
export function mirrorAnnotations({ metadata: { annotations } }: Endpoints): Record<string, string> {
  const { [LAST_APPLIED]: _applied, [TRIGGER_TIME]: _trigger, ...others } = annotations ?? {}
  return others
}
