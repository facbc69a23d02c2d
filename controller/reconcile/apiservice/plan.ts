/**
 * What Service default/kubernetes leads to: the Kubernetes API of the controllers, at their advertised addresses. Pure.
 */
import { familyOf } from '../../../proto/validation/service.ts'
import { Report } from '../../../proto/validation/report.ts'
import { validateReachable } from '../../../proto/validation/address.ts'
import type { Endpoint, EndpointPort, ServiceSpec } from '../../../proto/gen/types.ts'

/** Marks the EndpointSlices of Service default/kubernetes that the control plane keeps. */
export const API_SLICES_MANAGER = 'apiservice-controller.gantry.dev'

const PORT_NAME = 'https'
const PORT = 443

/** One EndpointSlice: controllers that have one port. */
export interface ApiSlice {
  readonly name: string
  readonly addressType: 'IPv4' | 'IPv6'
  readonly ports: readonly EndpointPort[]
  readonly endpoints: readonly Endpoint[]
}

export interface ApiPlan {
  readonly ports: NonNullable<ServiceSpec['ports']>
  readonly slices: readonly ApiSlice[]
  /** Advertised addresses that pods cannot be sent to: names, and addresses of one machine only. */
  readonly skipped: readonly string[]
}

/** `addresses`: host:port of every controller's Kubernetes API; `service`: the name of the Service. */
export function planApi(addresses: Iterable<string>, service: string): ApiPlan {
  const skipped: string[] = []
  const slices = new Map<string, ApiSlice & { endpoints: Endpoint[] }>()
  const sorted = [...new Set(addresses)].sort()
  for (const advertised of sorted) {
    const { host = '', port: text = '' } = /^\[?(?<host>.*?)\]?:(?<port>\d+)$/.exec(advertised)?.groups ?? {}
    const addressType = familyOf(host)
    if (addressType === undefined || !validateReachable(new Report(), '', host)) {
      skipped.push(advertised)
      continue
    }
    const port = Number(text)
    const name = `${service}-${addressType.toLowerCase()}-${port}`
    const slice = slices.get(name) ?? {
      name,
      addressType,
      ports: [{ name: PORT_NAME, protocol: 'TCP', port }],
      endpoints: [],
    }
    slices.set(name, slice)
    slice.endpoints.push({ addresses: [host], conditions: { ready: true } })
  }
  const list = [...slices.values()]
  const targetPort = list[0]?.ports[0]?.port ?? PORT
  return { ports: [{ name: PORT_NAME, protocol: 'TCP', port: PORT, targetPort }], slices: list, skipped }
}
