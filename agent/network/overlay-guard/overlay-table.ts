/**
 * Who may send what through the overlay. A VXLAN packet (RFC 7348) names no sender that could be believed but its
 * outer source address; so of each peer's address it is written down which inner addresses live behind it, in each
 * segment: its pods' ranges in the one that all nodes are on, its parts of a Network's ranges in that Network's.
 * Pure: the elements, and the text for nft(8).
 */
import { familyOf, readAddress, readCidr, type AddressFamily } from '../../../proto/base/cidr.ts'
import type { Network, PeerNode } from '../../../proto/gen/types.ts'
import { nft, type NftText } from '../../host/program-text.ts'
import { PORT_PREFIX } from '../commands.ts'
import { VNI } from '../fabric/fabric-plan.ts'
import { mergeRanges, type NumberRange } from '../policy/address-ranges.ts'
import { SEGMENT_PREFIXES } from '../segments/segment-plan.ts'

export const OVERLAY_TABLE = 'gantry_overlay'

const FAMILIES = [4, 6] as const

/** "behind<family outside><family inside>", and "on<family outside>": who is on a segment at all. */
export type OverlaySet = `behind${AddressFamily}${AddressFamily}` | `on${AddressFamily}`
const OVERLAY_SETS: readonly OverlaySet[] = [
  ...FAMILIES.flatMap((outer) => FAMILIES.map((inner) => `behind${outer}${inner}` as const)),
  ...FAMILIES.map((outer) => `on${outer}` as const),
]

/** Elements of each set, as in nft(8). Those of one set are apart from one another, as the kernel wants it. */
export type OverlayElements = ReadonlyMap<OverlaySet, ReadonlySet<string>>

/**
 * Bits from the beginning of the UDP header: that has 8 bytes, VXLAN's 8 with the segment's number in the fifth to
 * seventh, and an Ethernet header 14, with the type in the last two. Behind these is what the frame carries.
 */
const SEGMENT = nft`@th,96,24`
const TYPE = nft`@th,224,16`
const FROM_IPV4 = nft`@th,336,32`
const FROM_IPV6 = nft`@th,304,128`
/** The sender's protocol address: RFC 826. */
const FROM_ARP = nft`@th,352,32`
const NEXT_HEADER = nft`@th,288,8`
/**
 * Of ICMPv6 right behind the header of IPv6; the target is that of a neighbour's advertisement: RFC 4861, section
 * 4.4.
 */
const ICMP_TYPE = nft`@th,560,8`
const TARGET = nft`@th,624,128`
/** The first 10 bits of fe80::/10. */
const LINK_LOCAL = nft`@th,304,10 0x3fa`

const SOURCES: Readonly<Record<AddressFamily, NftText>> = { 4: nft`ip saddr`, 6: nft`ip6 saddr` }

export function overlayElements(node: string, peers: Iterable<PeerNode>, networks: Iterable<Network>): OverlayElements {
  const all = [...peers]
  const own = new Set(all.filter(({ name }) => name === node).flatMap(({ addresses }) => addresses))
  const others = new Map(all.filter(({ name }) => name !== node).map((peer) => [peer.name, peer]))
  const behind = new Ranges()
  const add = (peer: PeerNode, vni: number, cidrs: readonly string[]): void => {
    for (const address of peer.addresses)
      if (!own.has(address)) for (const cidr of cidrs) behind.add(address, vni, cidr)
  }
  for (const peer of others.values()) add(peer, VNI, peer.podCidrs)
  for (const {
    status: { vni, blocks = [] },
  } of networks) {
    if (vni === undefined || vni === VNI) continue
    for (const { node: name, cidr } of blocks) {
      const peer = others.get(name)
      if (peer !== undefined) add(peer, vni, [cidr])
    }
  }
  return behind.elements()
}

/** Inner ranges by outer address and segment. */
class Ranges {
  readonly #ranges = new Map<string, Map<number, { readonly 4: NumberRange[]; readonly 6: NumberRange[] }>>()

  add(address: string, vni: number, cidr: string): void {
    const range = readCidr(cidr)
    if (range === undefined || readAddress(address) === undefined) return
    let segments = this.#ranges.get(address)
    if (segments === undefined) this.#ranges.set(address, (segments = new Map()))
    let ranges = segments.get(vni)
    if (ranges === undefined) segments.set(vni, (ranges = { 4: [], 6: [] }))
    ranges[range.family].push(range)
  }

  elements(): OverlayElements {
    const sets = new Map<OverlaySet, Set<string>>(OVERLAY_SETS.map((name) => [name, new Set()]))
    for (const [address, segments] of this.#ranges) {
      const outer = familyOf(address)
      for (const [vni, ranges] of segments) {
        if (vni !== VNI) sets.get(`on${outer}`)!.add(`${address} . ${vni}`)
        for (const inner of FAMILIES) {
          const set = sets.get(`behind${outer}${inner}`)!
          for (const range of mergeRanges(ranges[inner])) set.add(`${address} . ${vni} . ${hexRange(inner, range)}`)
        }
      }
    }
    return sets
  }
}

function hexRange(family: AddressFamily, { first, last }: NumberRange): string {
  const hex = (value: bigint): string => `0x${value.toString(16).padStart(family === 4 ? 8 : 32, '0')}`
  return first === last ? hex(first) : `${hex(first)}-${hex(last)}`
}

/** The whole table in one transaction, whatever there was. */
export function overlayTable(vxlanPort: number, elements: OverlayElements): NftText {
  const sets = FAMILIES.flatMap((outer) => [
    nft`  set behind${outer}4 { typeof ${SOURCES[outer]} . ${SEGMENT} . ${FROM_IPV4}; flags interval; }`,
    nft`  set behind${outer}6 { typeof ${SOURCES[outer]} . ${SEGMENT} . ${FROM_IPV6}; flags interval; }`,
    nft`  set on${outer} { typeof ${SOURCES[outer]} . ${SEGMENT}; }`,
  ])
  const rules = FAMILIES.flatMap((outer) => {
    const sender = nft`${SOURCES[outer]} . ${SEGMENT}`
    return [
      nft`    ${TYPE} 0x0800 ${sender} . ${FROM_IPV4} @behind${outer}4 accept`,
      nft`    ${TYPE} 0x0806 ${sender} . ${FROM_ARP} @behind${outer}4 accept`,
      // Nobody says of an address elsewhere that it is here.
      nft`    ${TYPE} 0x86dd ${NEXT_HEADER} 58 ${ICMP_TYPE} 136 ${sender} . ${TARGET} != @behind${outer}6 goto refuse`,
      nft`    ${TYPE} 0x86dd ${sender} . ${FROM_IPV6} @behind${outer}6 accept`,
      // Where an address is, is asked for with a link-local one, which every node may use in a segment that it is on.
      nft`    ${TYPE} 0x86dd ${NEXT_HEADER} 58 ${LINK_LOCAL} ${sender} @on${outer} accept`,
    ]
  })
  return nft.lines(
    nft`table inet ${OVERLAY_TABLE}`,
    nft`delete table inet ${OVERLAY_TABLE}`,
    nft`table inet ${OVERLAY_TABLE} {`,
    nft`  counter refused { }`,
    ...sets,
    nft`  chain refuse {`,
    nft`    counter name refused drop`,
    nft`  }`,
    nft`  chain arriving {`,
    nft`    iifname "${PORT_PREFIX}*" goto refuse`,
    ...rules,
    nft`    goto refuse`,
    nft`  }`,
    nft`  chain prerouting {`,
    nft`    type filter hook prerouting priority raw; policy accept;`,
    nft`    udp dport ${vxlanPort} fib daddr type local goto arriving`,
    nft`  }`,
    // A segment ends on this node. The kernel, though, would answer at its bridge for every address of the node, and
    // route what a pod sends there with whatever source the pod likes: that of a peer, or that of another's pod.
    nft`  chain input {`,
    nft`    type filter hook input priority raw; policy accept;`,
    ...SEGMENT_PREFIXES.map((prefix) => nft`    iifname "${prefix}*" drop`),
    nft`  }`,
    nft`  chain forward {`,
    nft`    type filter hook forward priority raw; policy accept;`,
    ...SEGMENT_PREFIXES.map((prefix) => nft`    iifname "${prefix}*" goto segment`),
    nft`  }`,
    // Frames from pod to pod pass here, too, where the kernel is told to (net.bridge.bridge-nf-call-iptables).
    nft`  chain segment {`,
    ...SEGMENT_PREFIXES.map((prefix) => nft`    oifname "${prefix}*" return`),
    nft`    drop`,
    nft`  }`,
    nft`}`,
    ...changes(new Map(), elements),
  )
}

/** From what is in the kernel to what is to be. */
export function overlayChange(before: OverlayElements, after: OverlayElements): NftText {
  return nft.lines(...changes(before, after))
}

/** Elements in one command: the parser's memory grows with its length. */
const MAX_ELEMENTS_PER_COMMAND = 500

function changes(before: OverlayElements, after: OverlayElements): NftText[] {
  const commands = (verb: 'add' | 'delete', from: OverlayElements, without: OverlayElements): NftText[] =>
    OVERLAY_SETS.flatMap((set) => {
      const elements = [...(from.get(set) ?? [])].filter((element) => without.get(set)?.has(element) !== true)
      return Array.from(
        { length: Math.ceil(elements.length / MAX_ELEMENTS_PER_COMMAND) },
        (_, index) =>
          nft`${verb} element inet ${OVERLAY_TABLE} ${set} { ${nft.list(elements.slice(index * MAX_ELEMENTS_PER_COMMAND, (index + 1) * MAX_ELEMENTS_PER_COMMAND))} }`,
      )
    })
  return [...commands('delete', before, after), ...commands('add', after, before)]
}
