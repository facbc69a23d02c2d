/** What a Service, an EndpointSlice and Endpoints are in one line, in kubectl's words. */
import type { Endpoints, EndpointSlice, Service } from '../../gen/types.ts'

/** As many items as a cell of a table names. */
const SHOWN = 3
/** Characters of a load balancer's addresses in a narrow table. */
const NARROW = 16

/** "a,b,c + 2 more..."; `none` for an empty list. */
export function someOf(items: readonly string[], none: string, shown = SHOWN): string {
  if (items.length === 0) return none
  return items.length <= shown
    ? items.join(',')
    : `${items.slice(0, shown).join(',')} + ${items.length - shown} more...`
}

export function clusterAddress({ spec }: Service): string {
  return spec.clusterIP || '<none>'
}

/** Where it is reached from outside; "<pending>" for a load balancer that has no address yet. */
export function externalAddress({ spec, status }: Service, wide = false): string {
  const given = spec.externalIPs ?? []
  switch (spec.type) {
    case 'ExternalName':
      return spec.externalName ?? ''
    case 'LoadBalancer': {
      const ingress = (status.loadBalancer?.ingress ?? []).map(({ ip, hostname }) => ip ?? hostname ?? '').join(',')
      const cut = wide || ingress.length <= NARROW ? ingress : `${ingress.slice(0, NARROW - 3)}...`
      return [cut, ...given].filter((text) => text !== '').join(',') || '<pending>'
    }
    case 'ClusterIP':
    case 'NodePort':
      return given.join(',') || '<none>'
  }
}

/** "80/TCP,443:30443/TCP" */
export function servicePorts({ spec }: Service): string {
  const ports = (spec.ports ?? []).map(
    ({ port, nodePort = 0, protocol }) => `${port}${nodePort === 0 ? '' : `:${nodePort}`}/${protocol}`,
  )
  return ports.join(',') || '<none>'
}

export function serviceSelector({ spec }: Service): string {
  return (
    Object.entries(spec.selector ?? {})
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, value]) => `${key}=${value}`)
      .join(',') || '<none>'
  )
}

/** Numbers of the ports, "*" for all of them. */
export function slicePorts({ ports = [] }: EndpointSlice): string {
  return someOf(
    ports.map(({ port, name }) => (port === undefined ? name || '*' : String(port))),
    '<unset>',
  )
}

export function sliceEndpoints({ endpoints = [] }: EndpointSlice): string {
  return someOf(
    endpoints.flatMap(({ addresses = [] }) => addresses),
    '<unset>',
  )
}

/** "10.244.1.7:8080" for each ready address and port; the address alone where a set has no ports. */
export function endpointsAddresses({ subsets = [] }: Endpoints): string {
  if (subsets.length === 0) return '<none>'
  const texts = subsets.flatMap(({ addresses = [], ports = [] }) =>
    ports.length === 0
      ? addresses.map(({ ip }) => ip)
      : ports.flatMap(({ port }) => addresses.map(({ ip }) => `${ip.includes(':') ? `[${ip}]` : ip}:${port}`)),
  )
  return someOf(texts, '')
}
