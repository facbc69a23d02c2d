/** Services, EndpointSlices and Endpoints: addresses and ports, and who is behind them. */
import { isIPv6 } from 'node:net'
import type { Endpoint, EndpointAddress, Endpoints, EndpointSlice, Pod, Service, ServicePort } from '../../gen/types.ts'
import type { ClusterClient } from '../cluster.ts'
import { clusterAddress, serviceSelector, someOf } from '../../objects/columns/service.ts'
import { missingEndpointReasons } from './missing-endpoints.ts'
import { conditionEntry, controllerEntries, deletionEntries, markEntries, nameEntries, tableEntry } from './metadata.ts'
import { entry, optional, type Entry } from './page.ts'

/** As many endpoints as a page names for each port. */
const ENDPOINTS = 10

/** What belongs to a Service: its slices, the pods that its selector matches, and pods that it may have meant. */
export interface ServiceSurroundings {
  readonly slices: readonly EndpointSlice[]
  readonly pods: readonly Pod[]
  /** With labels of the selector's keys; needed only where no pod matches. */
  readonly similar: readonly Pod[]
}

export async function serviceSurroundings(
  cluster: ClusterClient,
  { metadata: { namespace, name }, spec: { selector = {} } }: Service,
): Promise<ServiceSurroundings> {
  const keys = Object.keys(selector)
  const podsWith = async (labelSelector: string): Promise<readonly Pod[]> =>
    keys.length === 0 ? [] : (await cluster.list('Pod', { namespace, labelSelector })).items
  const [slices, pods] = await Promise.all([
    cluster.list('EndpointSlice', { namespace, labelSelector: `kubernetes.io/service-name=${name}` }),
    podsWith(keys.map((key) => `${key}=${selector[key]}`).join(',')),
  ])
  return { slices: slices.items, pods, similar: pods.length > 0 ? [] : await podsWith(keys.join(',')) }
}

export function serviceEntries(service: Service, surroundings: ServiceSurroundings): Entry[] {
  const { spec, status } = service
  const {
    ipFamilyPolicy,
    ipFamilies,
    clusterIPs,
    externalIPs,
    loadBalancerIP,
    loadBalancerClass,
    loadBalancerSourceRanges,
    healthCheckNodePort,
    sessionAffinity,
    sessionAffinityConfig,
  } = spec
  const seconds = sessionAffinityConfig?.clientIP?.timeoutSeconds
  const ingress = status.loadBalancer?.ingress?.map(
    ({ ip, hostname, ipMode }) => `${ip ?? hostname ?? ''}${ipMode === undefined ? '' : ` (${ipMode})`}`,
  )
  return [
    ...nameEntries(service),
    ...markEntries(service),
    ...deletionEntries(service),
    entry('Selector', serviceSelector(service)),
    entry('Type', spec.type),
    ...optional('IP Family Policy', ipFamilyPolicy),
    ...optional('IP Families', ipFamilies?.join(',')),
    entry('IP', clusterAddress(service)),
    ...optional('IPs', clusterIPs?.join(',')),
    ...optional('External IPs', externalIPs?.join(',')),
    ...optional('External Name', spec.externalName),
    ...optional('Desired LoadBalancer IP', loadBalancerIP),
    ...optional('LoadBalancer Class', loadBalancerClass),
    ...optional('LoadBalancer Ingress', ingress?.join(', ')),
    ...(spec.ports ?? []).flatMap((port) => portEntries(port, service, surroundings)),
    ...withoutPorts(service, surroundings),
    entry(
      'Session Affinity',
      sessionAffinity + (sessionAffinity === 'ClientIP' && seconds !== undefined ? ` (${seconds}s)` : ''),
    ),
    ...optional('External Traffic Policy', spec.externalTrafficPolicy),
    ...optional('Internal Traffic Policy', spec.internalTrafficPolicy),
    ...optional('Traffic Distribution', spec.trafficDistribution),
    ...optional(
      'HealthCheck NodePort',
      healthCheckNodePort === undefined || healthCheckNodePort === 0 ? undefined : String(healthCheckNodePort),
    ),
    ...optional('LoadBalancer Source Ranges', loadBalancerSourceRanges?.join(',')),
    ...(status.conditions === undefined || status.conditions.length === 0 ? [] : [conditionEntry(status.conditions)]),
  ]
}

function portEntries(port: ServicePort, service: Service, { slices, pods, similar }: ServiceSurroundings): Entry[] {
  const { type } = service.spec
  const { name = '', protocol, targetPort, nodePort = 0, appProtocol } = port
  const label = name || '<unset>'
  return [
    entry('Port', `${label}  ${port.port}/${protocol}${appProtocol === undefined ? '' : ` (${appProtocol})`}`),
    ...(type === 'ExternalName' ? [] : [entry('TargetPort', `${targetPort ?? port.port}/${protocol}`)]),
    ...(nodePort === 0 ? [] : [entry('NodePort', `${label}  ${nodePort}/${protocol}`)]),
    ...(type === 'ExternalName'
      ? []
      : [
          entry('Endpoints', someOf(endpointsOf(name, slices), '<none>', ENDPOINTS)),
          ...optional('Left Out', missingEndpointReasons(service, port, slices, pods, similar)),
        ]),
  ]
}

/** A headless Service may have names only: its endpoints are addresses. */
function withoutPorts(service: Service, { slices, pods, similar }: ServiceSurroundings): Entry[] {
  if (service.spec.type === 'ExternalName' || (service.spec.ports ?? []).length > 0) return []
  const addresses = slices.flatMap(({ endpoints = [] }) =>
    endpoints.filter(isReady).flatMap((endpoint) => endpoint.addresses ?? []),
  )
  return [
    entry('Endpoints', someOf(addresses, '<none>', ENDPOINTS)),
    ...optional('Left Out', missingEndpointReasons(service, undefined, slices, pods, similar)),
  ]
}

/** "10.244.1.7:8080" of each endpoint that takes traffic for the port of that name. */
export function endpointsOf(name: string, slices: readonly EndpointSlice[]): string[] {
  return slices.flatMap(({ ports = [], endpoints = [] }) =>
    ports
      .filter((port) => (port.name ?? '') === name)
      .flatMap(({ port }) =>
        endpoints.filter(isReady).map(({ addresses = [] }) => {
          const address = addresses[0] ?? ''
          return port === undefined ? address : `${isIPv6(address) ? `[${address}]` : address}:${port}`
        }),
      ),
  )
}

function isReady({ conditions }: Endpoint): boolean {
  return conditions?.ready !== false
}

export function endpointSliceEntries(slice: EndpointSlice): Entry[] {
  const { addressType, ports = [], endpoints = [] } = slice
  return [
    ...nameEntries(slice),
    ...markEntries(slice),
    ...deletionEntries(slice),
    ...controllerEntries(slice),
    entry('AddressType', addressType),
    tableEntry(
      'Ports',
      ['Name', 'Port', 'Protocol'],
      ports.map(({ name, port, protocol }) => [name || '<unset>', String(port ?? '<unset>'), protocol]),
    ),
    entry(
      'Endpoints',
      endpoints.length === 0
        ? '<none>'
        : endpoints.map((endpoint) => entry((endpoint.addresses ?? []).join(','), endpointEntries(endpoint))),
    ),
  ]
}

function endpointEntries({ conditions = {}, hostname, targetRef, nodeName, zone, hints }: Endpoint): Entry[] {
  const { ready, serving, terminating } = conditions
  const said = (value: boolean | undefined): string => (value === undefined ? '<unset>' : String(value))
  return [
    entry('Conditions', `ready ${said(ready)}, serving ${said(serving)}, terminating ${said(terminating)}`),
    ...optional('Hostname', hostname),
    ...optional('TargetRef', targetRef === undefined ? undefined : `${targetRef.kind}/${targetRef.name}`),
    ...optional('NodeName', nodeName),
    ...optional('Zone', zone),
    ...optional('Hints', [...(hints?.forZones ?? []), ...(hints?.forNodes ?? [])].map(({ name }) => name).join(',')),
  ]
}

export function endpointsEntries(endpoints: Endpoints): Entry[] {
  const { subsets = [] } = endpoints
  const listed = (addresses: readonly EndpointAddress[] = []): string =>
    addresses.map(({ ip }) => ip).join(',') || '<none>'
  return [
    ...nameEntries(endpoints),
    ...markEntries(endpoints),
    ...deletionEntries(endpoints),
    ...controllerEntries(endpoints),
    entry(
      'Subsets',
      subsets.length === 0
        ? '<none>'
        : subsets.flatMap(({ addresses, notReadyAddresses, ports = [] }) => [
            entry('Addresses', listed(addresses)),
            entry('NotReadyAddresses', listed(notReadyAddresses)),
            tableEntry(
              'Ports',
              ['Name', 'Port', 'Protocol'],
              ports.map(({ name, port, protocol }) => [name || '<unset>', String(port), protocol]),
            ),
          ]),
    ),
  ]
}
