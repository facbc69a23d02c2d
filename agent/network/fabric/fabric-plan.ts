/**
 * How pods of other nodes are reached: what the kernel ought to have, and the commands from what it has to that. Pure.
 */
import { createHash } from 'node:crypto'
import { familyOf, readAddress, type AddressFamily } from '../../../proto/base/cidr.ts'
import type { PeerNode } from '../../../proto/gen/types.ts'
import { ip, type IpText } from '../../host/program-text.ts'
import { OVERLAY_DEVICES } from '../commands.ts'

/** Marks our routes (iproute2's rt_protos): those with it that nobody wants are removed, others are never touched. */
export const ROUTE_PROTOCOL = 71
/** The UDP port, unless the configuration names another. */
export const VXLAN_PORT = 8472
/** The one segment that all nodes are on. */
export const VNI = 26478

export type Overlay = 'auto' | 'vxlan'

/** How the node itself would reach an address: the answer of `ip route get`. */
export interface RouteLookup {
  readonly dev: string
  /** Through a router: there is no link with it. */
  readonly gateway: boolean
  /** The address is the node's own. */
  readonly local: boolean
}

export interface OverlayDevice {
  readonly family: AddressFamily
  readonly name: string
  readonly mac: string
  /** The node's address, from which it sends: peers take packets from no other. */
  readonly local: string
  readonly mtu: number
  readonly port: number
}

export interface Route {
  readonly to: string
  readonly via: string
  readonly dev: string
}

/** A peer behind an overlay device: frames to `mac` go to `remote`. */
export interface FdbEntry {
  readonly dev: string
  readonly mac: string
  readonly remote: string
}

/** The next hop of a route through an overlay. */
export interface Neighbour {
  readonly dev: string
  readonly address: string
  readonly mac: string
}

export interface FabricState {
  readonly devices: readonly OverlayDevice[]
  readonly routes: readonly Route[]
  readonly forwardings: readonly FdbEntry[]
  readonly neighbours: readonly Neighbour[]
}

/** A peer that cannot be reached as things are. */
export interface UnreachablePeer {
  readonly node: string
  readonly why: string
}

/**
 * The hardware address of a node's overlay device, which follows from the node's address: so nobody has to be told of
 * it. Locally administered; of an IPv4 address it holds all, of an IPv6 address a digest.
 */
export function overlayMac(address: string): string {
  const { family, value } = readAddress(address)!
  const bytes =
    family === 4
      ? `76${value.toString(16).padStart(8, '0')}`
      : createHash('sha256').update(value.toString(16)).digest('hex').slice(0, 10)
  return ['02', ...bytes.match(/../g)!].join(':')
}

function firstOf(addresses: readonly string[], family: AddressFamily): string | undefined {
  return addresses.find((address) => familyOf(address) === family)
}

/**
 * The node's overlay devices: one for each family that it has addresses of, also when it sends nothing itself, as
 * others may send to it.
 */
export function overlayDevices(own: PeerNode, port: number, mtu: (address: string) => number): OverlayDevice[] {
  return ([4, 6] as const).flatMap((family) => {
    const local = firstOf(own.addresses, family)
    return local === undefined
      ? []
      : [{ family, name: OVERLAY_DEVICES[family], mac: overlayMac(local), local, mtu: mtu(local), port }]
  })
}

/**
 * Each peer's ranges lead to its address where it is on a link with this node, else through the overlay. A peer that is
 * not present keeps its routes: it may be back, and its pods' addresses are nobody else's.
 */
export function planFabric(
  own: PeerNode,
  peers: readonly PeerNode[],
  ways: ReadonlyMap<string, RouteLookup>,
  devices: readonly OverlayDevice[],
  overlay: Overlay,
): FabricState & { readonly unreachable: readonly UnreachablePeer[] } {
  const routes: Route[] = []
  const forwardings: FdbEntry[] = []
  const neighbours: Neighbour[] = []
  const unreachable: UnreachablePeer[] = []
  const taken = new Set(own.podCidrs)
  for (const peer of peers) {
    if (peer.name === own.name) continue
    const device = devices.find(({ family }) => firstOf(peer.addresses, family) !== undefined)
    for (const to of peer.podCidrs) {
      if (taken.has(to)) {
        unreachable.push({ node: peer.name, why: `its pod range ${to} is another node's, too` })
        continue
      }
      taken.add(to)
      const address = firstOf(peer.addresses, familyOf(to))
      const way = address === undefined ? undefined : ways.get(address)
      if (overlay === 'auto' && way !== undefined && !way.gateway && !way.local) {
        routes.push({ to, via: address!, dev: way.dev })
        continue
      }
      if (device === undefined) {
        unreachable.push({
          node: peer.name,
          why: `it has no address of a family that this node has: ${peer.addresses.join(', ') || 'none'}`,
        })
        continue
      }
      const remote = firstOf(peer.addresses, device.family)!
      if (ways.get(remote)?.local === true) {
        unreachable.push({ node: peer.name, why: `its address ${remote} is this node's` })
        continue
      }
      const mac = overlayMac(remote)
      // The range's own first address is no pod's, and stands for the peer on the segment.
      const via = to.slice(0, to.indexOf('/'))
      routes.push({ to, via, dev: device.name })
      neighbours.push({ dev: device.name, address: via, mac })
      if (!forwardings.some((other) => other.mac === mac)) forwardings.push({ dev: device.name, mac, remote })
    }
  }
  return { devices, routes, forwardings, neighbours, unreachable }
}

/** What the kernel has of ours. */
export interface KernelFabric {
  readonly devices: readonly (Omit<OverlayDevice, 'family' | 'local'> & {
    readonly local: string | undefined
    readonly vni: number
    readonly up: boolean
  })[]
  readonly routes: readonly Route[]
  readonly forwardings: readonly FdbEntry[]
  readonly neighbours: readonly Neighbour[]
}

/**
 * Batches in their order: `ip` (devices and neighbours), `bridge` (forwardings), `ip` (routes, and what is no longer
 * wanted).
 */
export interface FabricCommands {
  readonly devices: IpText
  /** Devices that are made anew. */
  readonly made: readonly string[]
  readonly forwardings: IpText
  readonly routes: IpText
}

const isOverlay = (device: string): boolean => Object.values(OVERLAY_DEVICES).includes(device)

export function fabricCommands(wanted: FabricState, has: KernelFabric): FabricCommands {
  const deviceLines: IpText[] = []
  const made: string[] = []
  for (const device of wanted.devices) {
    const present = has.devices.find(({ name }) => name === device.name)
    const fits = present?.vni === VNI && present.port === device.port && present.local === device.local
    if (present !== undefined && !fits) deviceLines.push(ip`link del ${device.name}`)
    if (present === undefined || !fits) {
      made.push(device.name)
      deviceLines.push(
        ip`link add ${device.name} address ${device.mac} mtu ${device.mtu} type vxlan id ${VNI} dstport ${device.port} nolearning local ${device.local}`,
        ip`link set ${device.name} up`,
      )
    } else if (present.mac !== device.mac || present.mtu !== device.mtu || !present.up)
      deviceLines.push(
        ip`link set ${device.name}${present.mac === device.mac ? ip`` : ip` address ${device.mac}`} mtu ${device.mtu} up`,
      )
  }
  const gone = has.devices
    .filter(({ name }) => !wanted.devices.some((device) => device.name === name))
    .map(({ name }) => name)
  const lost = new Set([...gone, ...made])
  const stays = <T extends { readonly dev: string }>(items: readonly T[]): T[] =>
    items.filter(({ dev }) => !lost.has(dev))
  // With a device's hardware address the kernel forgets its neighbours, permanent ones, too.
  const same = (dev: string): boolean =>
    wanted.devices.find(({ name }) => name === dev)?.mac === has.devices.find(({ name }) => name === dev)?.mac
  const neighbours = difference(
    wanted.neighbours,
    stays(has.neighbours).filter(({ dev }) => same(dev)),
    ({ dev, address }) => `${dev} ${address}`,
    ({ mac }) => mac,
  )
  const forwardings = difference(
    wanted.forwardings,
    stays(has.forwardings),
    ({ dev, mac }) => `${dev} ${mac}`,
    ({ remote }) => remote,
  )
  const routes = difference(
    wanted.routes,
    stays(has.routes),
    ({ to }) => to,
    ({ via, dev }) => `${via} ${dev}`,
  )
  return {
    devices: ip.lines(
      ...deviceLines,
      ...neighbours.set.map(
        ({ address, mac, dev }) => ip`neigh replace ${address} lladdr ${mac} dev ${dev} nud permanent`,
      ),
    ),
    made,
    forwardings: ip.lines(
      ...forwardings.set.map(({ mac, dev, remote }) => ip`fdb replace ${mac} dev ${dev} dst ${remote} self permanent`),
      ...forwardings.removed.map(({ mac, dev, remote }) => ip`fdb del ${mac} dev ${dev} dst ${remote} self`),
    ),
    routes: ip.lines(
      ...routes.set.map(
        ({ to, via, dev }) =>
          ip`route replace ${to} via ${via} dev ${dev} proto ${ROUTE_PROTOCOL}${isOverlay(dev) ? ip` onlink` : ip``}`,
      ),
      ...routes.removed.map(({ to, via, dev }) => ip`route del ${to} via ${via} dev ${dev} proto ${ROUTE_PROTOCOL}`),
      ...neighbours.removed.map(({ address, dev }) => ip`neigh del ${address} dev ${dev}`),
      ...gone.map((name) => ip`link del ${name}`),
    ),
  }
}

/** What is to be set, as it is not there or another, and what is there for keys that nobody wants. */
function difference<T>(
  wanted: readonly T[],
  present: readonly T[],
  key: (item: T) => string,
  value: (item: T) => string,
): { readonly set: T[]; readonly removed: T[] } {
  const has = new Map(present.map((item) => [key(item), value(item)]))
  const keys = new Set(wanted.map(key))
  return {
    set: wanted.filter((item) => has.get(key(item)) !== value(item)),
    removed: present.filter((item) => !keys.has(key(item))),
  }
}
