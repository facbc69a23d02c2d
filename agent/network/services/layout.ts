/** What of the table is the same whatever Services there are: its maps, and the rules that look things up in them. Text for nft(8). */
import { formatAddress, readCidr, type AddressFamily } from '../../../proto/api/cidr.ts'

export const TABLE = 'inet gantry_services'
export const TABLE_NAME = 'gantry_services'
/** Raised whenever a map's type or a chain's hook changes: a table of another version is replaced whole. */
export const LAYOUT_VERSION = 'gantry services, layout 1'
export const FAMILIES: readonly AddressFamily[] = [4, 6]

/**
 * A backend's number stands in the packet mark's lower 24 bits while the first packet of a connection goes from chain to chain; the upper 8 tell
 * that it is ours. Number 0: the connection is to be refused.
 */
export const MARK = 0x4700_0000
export const LARGEST_NUMBER = 0x00ff_ffff
export const REFUSED = mark(0)
/** Clients of Services with affinity that are remembered at once; further ones get an endpoint, but not surely the same again. */
const AFFINITY_SIZE = 262_144

/** A map or set whose elements follow the Services. */
export type ElementMap = `${'fronts' | 'ports' | 'slots' | 'sticky' | 'guarded' | 'allowed' | 'hairpin'}${AddressFamily}` | 'ids' | 'picks' | 'inside'
export const ELEMENT_MAPS: readonly ElementMap[] = [...FAMILIES.flatMap((family) => ['fronts', 'ports', 'slots', 'sticky', 'guarded', 'allowed', 'hairpin'].map((name) => `${name}${family}` as ElementMap)), 'ids', 'picks', 'inside']
/** Those of them without values. */
export const SETS: ReadonlySet<ElementMap> = new Set(FAMILIES.flatMap((family) => [`guarded${family}`, `allowed${family}`, `hairpin${family}`] as const))

export interface Ranges {
  /** Of all pods. */
  readonly pods: readonly string[]
  /** Of this node's pods. */
  readonly own: readonly string[]
  /** Of Services. */
  readonly services: readonly string[]
}

/** As nft takes and this agent compares it. */
export function mark(number: number): string {
  return hex(MARK + number)
}

export function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, '0')}`
}

/** Makes what is missing of the table; its maps' elements stay. */
export function declarations(): string[] {
  const slot = 'typeof meta mark . numgen random mod 65536'
  return [
    `add table ${TABLE} { comment "${LAYOUT_VERSION}"; }`,
    ...FAMILIES.flatMap((family) => {
      const address = `ipv${family}_addr`
      return [
        `add map ${TABLE} fronts${family} { type ${address} . inet_proto . inet_service : mark; }`,
        `add map ${TABLE} ports${family} { type inet_proto . inet_service : mark; }`,
        `add map ${TABLE} slots${family} { ${slot} : ${family === 4 ? 'ip' : 'ip6'} daddr . ct original proto-dst; }`,
        `add map ${TABLE} sticky${family} { type mark . mark : ${address} . inet_service; }`,
        `add map ${TABLE} affinity${family} { type ${address} . mark : mark; flags dynamic,timeout; timeout 3h; size ${AFFINITY_SIZE}; }`,
        `add set ${TABLE} guarded${family} { type ${address} . inet_proto . inet_service; }`,
        `add set ${TABLE} allowed${family} { type ${address} . inet_proto . inet_service . ${address}; flags interval; }`,
        `add set ${TABLE} hairpin${family} { type ${address} . ${address}; }`,
      ]
    }),
    `add map ${TABLE} ids { ${slot} : ct mark; }`,
    `add map ${TABLE} picks { type mark : verdict; }`,
    `add map ${TABLE} inside { type mark : mark; }`,
    ...BASE_CHAINS.map(([name, hook]) => `add chain ${TABLE} ${name} { ${hook}; policy accept; }`),
    ...CHAINS.map((name) => `add chain ${TABLE} ${name}`),
  ]
}

/** After dstnat (-100) each connection's destination is settled; 10 later, what was not translated is looked at. */
const BASE_CHAINS = [
  ['prerouting', 'type nat hook prerouting priority -100'],
  ['output', 'type nat hook output priority -100'],
  ['postrouting', 'type nat hook postrouting priority 100'],
  ['arrived', 'type filter hook prerouting priority -90'],
  ['sent', 'type filter hook output priority -90'],
] as const

const CHAINS = ['translate4', 'translate6', 'chosen', 'inward', 'nobody', 'kept4', 'kept6', 'settle', 'claimed', 'refused', 'leaving'] as const
const FIXED_CHAINS: ReadonlySet<string> = new Set([...CHAINS, ...BASE_CHAINS.map(([name]) => name)])

/** Replaces the rules of all chains that `declarations` made. */
export function rules(ranges: Ranges): string[] {
  const chain = (name: string, ...lines: string[]): string[] => [`flush chain ${TABLE} ${name}`, ...lines.map((line) => `add rule ${TABLE} ${name} ${line}`)]
  const of = (list: readonly string[], family: AddressFamily): readonly string[] => list.filter((cidr) => readCidr(cidr)?.family === family)
  const perFamily = (call: (family: AddressFamily, ip: string) => string[]): string[] => FAMILIES.flatMap((family) => call(family, family === 4 ? 'ip' : 'ip6'))
  const toFamily = 'meta nfproto vmap { ipv4 : goto translate4, ipv6 : goto translate6 }'
  return [
    ...chain('prerouting', toFamily),
    ...chain('output', toFamily),
    ...perFamily((family, ip) => chain(`translate${family}`,
      `${ip} daddr . meta l4proto . th dport @guarded${family} ${ip} daddr . meta l4proto . th dport . ${ip} saddr != @allowed${family} drop`,
      `meta mark set ${ip} daddr . meta l4proto . th dport map @fronts${family} goto chosen`,
      // Not at loopback addresses: answers to other machines' packets could not leave from there.
      `meta l4proto . th dport @ports${family} ${ip} daddr != ${family === 4 ? '127.0.0.0/8' : '::1'} fib daddr type local meta mark set meta l4proto . th dport map @ports${family} goto chosen`)),
    ...chain('chosen', 'meta mark @inside jump inward', 'meta mark vmap @picks', 'drop'),
    // Who is inside the cluster reaches all endpoints, whatever is so for clients outside.
    ...chain('inward', ...perFamily((family, ip) => (of(ranges.pods, family).length === 0 ? [] : [`${ip} saddr ${set(of(ranges.pods, family))} meta mark set meta mark map @inside return`])),
      'fib saddr type local meta mark set meta mark map @inside'),
    ...chain('nobody', `meta mark set ${REFUSED} accept`),
    ...perFamily((family, ip) => chain(`kept${family}`, `${TRANSPORTS} dnat ${ip} to meta mark . ct mark map @sticky${family}`, 'drop')),
    ...chain('arrived', 'goto settle'),
    ...chain('sent', 'goto settle'),
    ...chain('settle', `meta mark & 0xff000000 == ${hex(MARK)} goto claimed`, ...perFamily((family, ip) => (of(ranges.services, family).length === 0 ? [] : [`${ip} daddr ${set(of(ranges.services, family))} goto refused`]))),
    ...chain('claimed', `meta mark ${REFUSED} goto refused`, 'ct mark != 0 ct mark set 0', 'meta mark set 0'),
    ...chain('refused', 'meta l4proto tcp reject with tcp reset', 'reject with icmpx port-unreachable'),
    ...chain('postrouting', 'oifname != "lo" ct status dnat goto leaving'),
    ...chain('leaving', ...perFamily((family, ip) => leaving(family, ip, of(ranges.own, family), of(ranges.pods, family)))),
  ]
}

/**
 * Who sends the answers? A pod of this node answers through it, and so it is for a pod's own connections; everything else would answer past the
 * node, to a client that knows nothing of the endpoint, unless the node's address stands for the client's. Towards pods that is the address that
 * is the gateway of the node's own pods: it is reached the way that their packets come.
 */
function leaving(family: AddressFamily, ip: string, own: readonly string[], pods: readonly string[]): string[] {
  const masquerade = `meta nfproto ipv${family} masquerade`
  const gateway = gatewayOf(own[0])
  return [
    `${ip} saddr . ${ip} daddr @hairpin${family} masquerade`,
    ...(own.length === 0 ? [] : [
      ...(family === 6 ? [`ip6 saddr ::1 ip6 daddr ${set(own)} masquerade`] : []),
      `${ip} saddr ${set(own)} return`,
      `${ip} daddr ${set(own)} return`,
    ]),
    ...(pods.length === 0 || gateway === undefined ? [] : [`${ip} daddr ${set(pods)} snat ${ip} to ${gateway}`]),
    masquerade,
  ]
}

/** The first address of the node's range. */
export function gatewayOf(range: string | undefined): string | undefined {
  const read = readCidr(range ?? '')
  return read === undefined ? undefined : formatAddress(read.family, read.first + 1n)
}

const TRANSPORTS = 'meta l4proto { tcp, udp, sctp }'

/** A chain that all backends share whose family, number of targets and affinity are the same. */
export function pickChain(family: AddressFamily, targets: number, affinity: number | undefined): string {
  return affinity === undefined ? `pick${family}_${targets}` : `keep${family}_${targets}_${affinity}`
}

export function isPickChain(name: string): boolean {
  return !FIXED_CHAINS.has(name)
}

/** Rules of a `pickChain`. Where a change comes between two lookups of one packet, the first slot stands in, and else the client has to send again. */
export function pickRules(name: string): string[] {
  const [, kind, family, targets, affinity] = /^(pick|keep)([46])_(\d+)(?:_(\d+))?$/.exec(name)!
  const ip = family === '4' ? 'ip' : 'ip6'
  const pick = (count: string): string => `${TRANSPORTS} dnat ${ip} to meta mark . numgen random mod ${count} map @slots${family}`
  if (kind === 'pick') return [pick(targets!), ...(targets === '1' ? [] : [pick('1')]), 'drop']
  const client = `${ip} saddr . meta mark`
  return [
    `ct mark set ${client} map @affinity${family} meta mark . ct mark @sticky${family} update @affinity${family} { ${client} timeout ${affinity}s : ct mark } goto kept${family}`,
    `ct mark set meta mark . numgen random mod ${targets} map @ids`,
    // An update would keep the endpoint that is gone; the time alone would be new.
    `delete @affinity${family} { ${client} : ct mark }`,
    `add @affinity${family} { ${client} timeout ${affinity}s : ct mark }`,
    `goto kept${family}`,
  ]
}

function set(members: readonly string[]): string {
  return `{ ${members.join(', ')} }`
}
