/**
 * A Network on this node: a bridge without an address of its own, and a VXLAN device with the network's number that
 * joins it to the bridges of the other nodes with pods on it (RFC 7348). Pure: which there are to be, and the lines for
 * ip(8) and bridge(8) that make them so.
 */
import { createHash } from 'node:crypto'
import { formatAddress, readCidr, type AddressRange } from '../../../proto/base/cidr.ts'
import type { Network, PeerNode } from '../../../proto/gen/types.ts'
import { ip, type IpText } from '../../host/program-text.ts'

const BRIDGE_PREFIX = 'gs'
const VXLAN_PREFIX = 'gx'
export const PORT_PREFIX = 'gp'
/** Begin the names of all devices of segments. */
export const SEGMENT_PREFIXES = [BRIDGE_PREFIX, VXLAN_PREFIX, PORT_PREFIX] as const

/** For whom frames go that are for nobody known. */
export const DEFAULT_FDB_MAC = '00:00:00:00:00:00'

/** Where a VXLAN device sends frames for a hardware address. */
export interface SegmentFdbEntry {
  readonly mac: string
  readonly dst: string
}

/** One Network as this node has it. */
export interface Segment {
  /** "namespace/name". */
  readonly key: string
  readonly vni: number
  /** Where its frames leave from. */
  readonly local: string
  /** Nodes that have pods on it, by their addresses, sorted. */
  readonly remotes: readonly string[]
  /** What this node gives addresses from. */
  readonly blocks: readonly string[]
  readonly ranges: readonly string[]
}

export const bridgeName = (vni: number): string => `${BRIDGE_PREFIX}${vni}`
export const vxlanName = (vni: number): string => `${VXLAN_PREFIX}${vni}`

/** The node's end of a pod's interface, at most 15 characters. */
export function portName(id: string, inside: string): string {
  return PORT_PREFIX + createHash('sha256').update(`${id}/${inside}`).digest('hex').slice(0, 12)
}

/** The hardware address of a pod's interface: locally administered, and the same each time. */
export function segmentMac(id: string, inside: string): string {
  return [
    '02',
    ...portName(id, inside)
      .slice(PORT_PREFIX.length, PORT_PREFIX.length + 10)
      .match(/../g)!,
  ].join(':')
}

/** The number of a segment that a link belongs to; undefined for a link that is none of ours. */
export function vniOf(link: string): number | undefined {
  const found = /^(?:gs|gx)(\d+)$/.exec(link)?.[1]
  return found === undefined ? undefined : Number(found)
}

/** The segments that a node takes part in: Networks of which it has a part. */
export function segmentsOf(
  networks: ReadonlyMap<string, Network>,
  peers: Iterable<PeerNode>,
  node: string,
): Map<string, Segment> {
  const addresses = new Map([...peers].map(({ name, addresses: [first] }) => [name, first]))
  const local = addresses.get(node)
  const segments = new Map<string, Segment>()
  for (const [key, { status }] of networks) {
    const { vni, blocks = [], cidrs = [] } = status
    const own = blocks.filter((block) => block.node === node).map(({ cidr }) => cidr)
    if (vni === undefined || own.length === 0 || local === undefined) continue
    const remotes = new Set(blocks.flatMap((block) => (block.node === node ? [] : (addresses.get(block.node) ?? []))))
    segments.set(key, { key, vni, local, remotes: [...remotes].sort(), blocks: own, ranges: cidrs })
  }
  return segments
}

/** Makes bridge and VXLAN device, but for what is among the links that are `present`. */
export function makeSegment({ vni, local }: Segment, mtu: number, port: number, present: readonly string[]): IpText {
  return ip.lines(
    ...(present.includes(bridgeName(vni)) ? [] : [ip`link add ${bridgeName(vni)} mtu ${mtu} type bridge`]),
    ...(present.includes(vxlanName(vni))
      ? []
      : [ip`link add ${vxlanName(vni)} mtu ${mtu} type vxlan id ${vni} local ${local} dstport ${port}`]),
    // No address of the node on the segment, not even a link-local one.
    ip`link set ${vxlanName(vni)} master ${bridgeName(vni)} addrgenmode none`,
    ip`link set ${bridgeName(vni)} addrgenmode none`,
    ip`link set ${vxlanName(vni)} up`,
    ip`link set ${bridgeName(vni)} up`,
  )
}

/**
 * For bridge(8): frames to whom nobody knows go to every node that has pods on the network; where an address is, is
 * learned from its frames.
 */
export function fdbCommands({ vni }: Segment, add: readonly string[], remove: readonly SegmentFdbEntry[]): IpText {
  return ip.lines(
    ...remove.map(({ mac, dst }) => ip`fdb del ${mac} dev ${vxlanName(vni)} dst ${dst} self`),
    ...add.map((remote) => ip`fdb append ${DEFAULT_FDB_MAC} dev ${vxlanName(vni)} dst ${remote} self`),
  )
}

export interface SegmentPort {
  readonly segment: Segment
  /** The node's end, and the pod's. */
  readonly port: string
  readonly inside: string
  readonly mac: string
  readonly addresses: readonly string[]
  readonly mtu: number
  readonly nodeNetns: string
}

/** Inside the pod's namespace. There is no way beyond the segment. */
export function podInterfaceCommands({ segment, port, inside, mac, addresses, mtu, nodeNetns }: SegmentPort): IpText {
  const prefixes = segment.ranges.map((cidr) => readCidr(cidr)!)
  return ip.lines(
    ip`link add ${inside} address ${mac} mtu ${mtu} type veth peer name ${port} mtu ${mtu} netns ${nodeNetns}`,
    ...addresses.map(
      (address) =>
        ip`addr add ${address}/${cidrPrefix(prefixes, address)} dev ${inside}${address.includes(':') ? ip` nodad` : ip``}`,
    ),
    ip`link set ${inside} up`,
  )
}

export function nodePortCommands({ segment: { vni }, port }: SegmentPort): IpText {
  return ip.lines(ip`link set ${port} master ${bridgeName(vni)} addrgenmode none`, ip`link set ${port} up`)
}

function cidrPrefix(ranges: readonly AddressRange[], address: string): number {
  const range = ranges.find(({ family }) => (family === 6) === address.includes(':'))!
  return (range.family === 4 ? 32 : 128) - (range.last - range.first).toString(2).length
}

/**
 * Addresses of the node's parts that nobody has, in order; never the first or last of the whole range (RFC 919 section
 * 7: network and broadcast).
 */
export function* freeAddresses(
  { blocks, ranges }: Segment,
  family: 4 | 6,
  used: ReadonlySet<string>,
): Generator<string, undefined, undefined> {
  const whole = ranges.map((cidr) => readCidr(cidr)!).find((range) => range.family === family)
  if (whole === undefined) return undefined
  for (const block of blocks) {
    const part = readCidr(block)!
    if (part.family !== family) continue
    for (let value = part.first; value <= part.last; value++) {
      if (value === whole.first || value === whole.last) continue
      const address = formatAddress(family, value)
      if (!used.has(address)) yield address
    }
  }
  return undefined
}
