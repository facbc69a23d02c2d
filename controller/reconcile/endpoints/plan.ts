/**
 * What the Endpoints of a Service should say, from the EndpointSlices that the control plane keeps for it. Pure.
 * https://kubernetes.io/docs/concepts/services-networking/service/#endpoints
 */
import { isHeadless } from '../../../proto/validation/service.ts'
import type {
  Endpoint,
  EndpointAddress,
  EndpointPort,
  EndpointSlice,
  EndpointSubset,
  EndpointsPort,
  Service,
} from '../../../proto/gen/types.ts'

/**
 * The most addresses that one Endpoints object names.
 * https://kubernetes.io/docs/concepts/services-networking/service/#over-capacity-endpoints
 */
const MOST_ADDRESSES = 1000

export interface EndpointsContent {
  readonly subsets: readonly EndpointSubset[]
  /** Whether addresses were left out because there are more than `MOST_ADDRESSES`. */
  readonly truncated: boolean
  /** When the newest change that the slices show was seen, as they say it; undefined if they do not. */
  readonly trigger: string | undefined
}

interface SubsetAddress {
  readonly address: EndpointAddress
  ready: boolean
}

/** One port with all its addresses, by what tells one address from another. */
interface PortAddresses {
  /** Undefined where the Service has no ports: the addresses stand for themselves. */
  readonly port: EndpointsPort | undefined
  readonly addresses: Map<string, SubsetAddress>
}

/**
 * `slices`: those that the control plane made for the Service. Endpoints have one address family, the Service's first.
 */
export function planEndpoints(
  service: Service,
  slices: readonly EndpointSlice[],
  triggerAnnotation: string,
  most = MOST_ADDRESSES,
): EndpointsContent {
  const family = service.spec.ipFamilies?.[0] ?? 'IPv4'
  const byPort = new Map<string, PortAddresses>()
  let trigger: string | undefined
  for (const { addressType, endpoints = [], ports = [], metadata } of slices) {
    const seen = metadata.annotations?.[triggerAnnotation]
    if (seen !== undefined && (trigger === undefined || seen > trigger)) trigger = seen
    if (addressType !== family) continue
    const shown = ports.flatMap(portsOf)
    // A pod without any of the Service's ports is no endpoint here, except where the Service has none either.
    const wanted =
      shown.length > 0 ? shown : isHeadless(service.spec) && (service.spec.ports ?? []).length === 0 ? [undefined] : []
    const taking = endpoints.filter((endpoint) => counts(service, endpoint))
    for (const port of wanted) for (const endpoint of taking) add(byPort, port, endpoint)
  }
  const packed = pack([...byPort.values()])
  const { subsets, truncated } = truncate(packed, most)
  return { subsets, truncated, trigger }
}

/** One on its way out is named only if the Service publishes whatever there is. */
function counts({ spec: { publishNotReadyAddresses } }: Service, { conditions }: Endpoint): boolean {
  return conditions?.terminating !== true || publishNotReadyAddresses === true
}

function portsOf({ name = '', port, protocol = 'TCP', appProtocol }: EndpointPort): EndpointsPort[] {
  if (port === undefined) return []
  return [{ ...(name !== '' && { name }), port, protocol, ...(appProtocol !== undefined && { appProtocol }) }]
}

function add(
  byPort: Map<string, PortAddresses>,
  port: EndpointsPort | undefined,
  { addresses = [], conditions, hostname, nodeName, targetRef }: Endpoint,
): void {
  const ip = addresses[0]
  if (ip === undefined) return
  const key = port === undefined ? '' : portKey(port)
  const entry = byPort.get(key) ?? { port, addresses: new Map<string, SubsetAddress>() }
  byPort.set(key, entry)
  const identity = JSON.stringify([ip, targetRef?.uid ?? ''])
  const ready = conditions?.ready !== false
  const known = entry.addresses.get(identity)
  if (known !== undefined) {
    // Two slices may show one endpoint while it moves from one to the other: not ready wins.
    known.ready &&= ready
    return
  }
  const address = {
    ip,
    ...(hostname !== undefined && { hostname }),
    ...(nodeName !== undefined && { nodeName }),
    ...(targetRef !== undefined && { targetRef: { ...targetRef } }),
  }
  entry.addresses.set(identity, { address, ready })
}

function portKey({ name = '', port, protocol, appProtocol = '' }: EndpointsPort): string {
  return JSON.stringify([name, port, protocol, appProtocol])
}

/**
 * Ports that have the same addresses in the same state make one subset. Everything is in an order that depends on its
 * content only.
 */
function pack(ports: readonly PortAddresses[]): EndpointSubset[] {
  const subsets = new Map<
    string,
    { readonly places: readonly (readonly [string, SubsetAddress])[]; readonly ports: EndpointsPort[] }
  >()
  for (const { port, addresses: places } of [...ports].sort((a, b) => compare(keyOf(a), keyOf(b)))) {
    const sorted = [...places].sort(([a], [b]) => compare(a, b))
    const key = JSON.stringify(sorted.map(([identity, { ready }]) => [identity, ready]))
    const subset = subsets.get(key) ?? { places: sorted, ports: [] }
    subsets.set(key, subset)
    if (port !== undefined) subset.ports.push(port)
  }
  const inState = (places: readonly (readonly [string, SubsetAddress])[], wanted: boolean): EndpointAddress[] =>
    places.flatMap(([, { address, ready }]) => (ready === wanted ? [address] : []))
  return [...subsets.values()].map(({ places, ports: own }) =>
    subsetOf(inState(places, true), inState(places, false), own),
  )
}

function keyOf({ port }: PortAddresses): string {
  return port === undefined ? '' : portKey(port)
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function subsetOf(
  addresses: EndpointAddress[],
  notReadyAddresses: EndpointAddress[],
  ports: EndpointsPort[],
): EndpointSubset {
  return {
    ...(addresses.length > 0 && { addresses }),
    ...(notReadyAddresses.length > 0 && { notReadyAddresses }),
    ...(ports.length > 0 && { ports }),
  }
}

/** Ready addresses are kept first; of those that cannot all be kept, each subset keeps its share. */
function truncate(subsets: EndpointSubset[], most: number): Pick<EndpointsContent, 'subsets' | 'truncated'> {
  const ready = subsets.reduce((sum, { addresses = [] }) => sum + addresses.length, 0)
  const waiting = subsets.reduce((sum, { notReadyAddresses = [] }) => sum + notReadyAddresses.length, 0)
  if (ready + waiting <= most) return { subsets, truncated: false }
  const cutsReady = ready > most
  const total = cutsReady ? ready : waiting
  const room = cutsReady ? most : most - ready
  let left = room
  const share = (addresses: readonly EndpointAddress[]): EndpointAddress[] => {
    const kept = addresses.slice(0, Math.min(left, Math.ceil((addresses.length / total) * room)))
    left -= kept.length
    return kept
  }
  const cut = subsets.map(({ addresses = [], notReadyAddresses = [], ports = [] }) =>
    cutsReady ? subsetOf(share(addresses), [], ports) : subsetOf(addresses, share(notReadyAddresses), ports),
  )
  return {
    subsets: cut.filter(
      ({ addresses, notReadyAddresses }) => addresses !== undefined || notReadyAddresses !== undefined,
    ),
    truncated: true,
  }
}
