/**
 * What of the table is the same whatever Services there are: its maps, and the rules that look things up in them. Text
 * for nft(8).
 */
import { formatAddress, readCidr, type AddressFamily } from '../../../proto/base/cidr.ts'
import { nft, type NftText } from '../../host/program-text.ts'

export const TABLE = 'inet gantry_services'
export const TABLE_NAME = 'gantry_services'
/** Raised whenever a map's type or a chain's hook changes: a table of another version is replaced whole. */
const LAYOUT = nft`gantry services, layout 1`
export const LAYOUT_VERSION = LAYOUT.text
export const FAMILIES: readonly AddressFamily[] = [4, 6]

/**
 * A backend's number stands in the packet mark's lower 24 bits while the first packet of a connection goes from chain
 * to chain; the upper 8 tell that it is ours. Number 0: the connection is to be refused.
 */
export const MARK_PREFIX = 0x4700_0000
export const LARGEST_NUMBER = 0x00ff_ffff
const REJECT_MARK = mark(0)
/**
 * Clients of Services with affinity that are remembered at once; further ones get an endpoint, but not surely the same
 * again.
 */
const AFFINITY_SIZE = 262_144

/** A map or set whose elements follow the Services. */
export type ElementMap =
  | `${'fronts' | 'ports' | 'slots' | 'sticky' | 'guarded' | 'allowed' | 'hairpin'}${AddressFamily}`
  | 'ids'
  | 'picks'
  | 'inside'
export const ELEMENT_MAPS: readonly ElementMap[] = [
  ...FAMILIES.flatMap((family) =>
    ['fronts', 'ports', 'slots', 'sticky', 'guarded', 'allowed', 'hairpin'].map(
      (name) => `${name}${family}` as ElementMap,
    ),
  ),
  'ids',
  'picks',
  'inside',
]
/** Those of them without values. */
export const SETS: ReadonlySet<ElementMap> = new Set(
  FAMILIES.flatMap((family) => [`guarded${family}`, `allowed${family}`, `hairpin${family}`] as const),
)

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
  return hex(MARK_PREFIX + number)
}

export function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, '0')}`
}

/** Makes what is missing of the table; its maps' elements stay. */
export function declarations(): NftText[] {
  const slot = nft`typeof meta mark . numgen random mod 65536`
  return [
    nft`add table inet ${TABLE_NAME} { comment "${LAYOUT}"; }`,
    ...FAMILIES.flatMap((family) => {
      const address = `ipv${family}_addr`
      return [
        nft`add map inet ${TABLE_NAME} fronts${family} { type ${address} . inet_proto . inet_service : mark; }`,
        nft`add map inet ${TABLE_NAME} ports${family} { type inet_proto . inet_service : mark; }`,
        nft`add map inet ${TABLE_NAME} slots${family} { ${slot} : ${family === 4 ? 'ip' : 'ip6'} daddr . ct original proto-dst; }`,
        nft`add map inet ${TABLE_NAME} sticky${family} { type mark . mark : ${address} . inet_service; }`,
        nft`add map inet ${TABLE_NAME} affinity${family} { type ${address} . mark : mark; flags dynamic,timeout; timeout 3h; size ${AFFINITY_SIZE}; }`,
        nft`add set inet ${TABLE_NAME} guarded${family} { type ${address} . inet_proto . inet_service; }`,
        nft`add set inet ${TABLE_NAME} allowed${family} { type ${address} . inet_proto . inet_service . ${address}; flags interval; }`,
        nft`add set inet ${TABLE_NAME} hairpin${family} { type ${address} . ${address}; }`,
      ]
    }),
    nft`add map inet ${TABLE_NAME} ids { ${slot} : ct mark; }`,
    nft`add map inet ${TABLE_NAME} picks { type mark : verdict; }`,
    nft`add map inet ${TABLE_NAME} inside { type mark : mark; }`,
    ...BASE_CHAINS.map(([name, hook]) => nft`add chain inet ${TABLE_NAME} ${name} { ${hook}; policy accept; }`),
    ...CHAINS.map((name) => nft`add chain inet ${TABLE_NAME} ${name}`),
  ]
}

/** After dstnat (-100) each connection's destination is settled; 10 later, what was not translated is looked at. */
const BASE_CHAINS = [
  ['prerouting', nft`type nat hook prerouting priority -100`],
  ['output', nft`type nat hook output priority -100`],
  ['postrouting', nft`type nat hook postrouting priority 100`],
  ['arrived', nft`type filter hook prerouting priority -90`],
  ['sent', nft`type filter hook output priority -90`],
] as const

const CHAINS = [
  'translate4',
  'translate6',
  'chosen',
  'inward',
  'nobody',
  'kept4',
  'kept6',
  'settle',
  'claimed',
  'refused',
  'leaving',
] as const
const FIXED_CHAINS: ReadonlySet<string> = new Set([...CHAINS, ...BASE_CHAINS.map(([name]) => name)])

/** Replaces the rules of all chains that `declarations` made. */
export function rules(ranges: Ranges): NftText[] {
  const chain = (name: string, ...lines: NftText[]): NftText[] => [
    nft`flush chain inet ${TABLE_NAME} ${name}`,
    ...lines.map((line) => nft`add rule inet ${TABLE_NAME} ${name} ${line}`),
  ]
  const of = (list: readonly string[], family: AddressFamily): readonly string[] =>
    list.filter((cidr) => readCidr(cidr)?.family === family)
  const perFamily = (call: (family: AddressFamily, ip: string) => NftText[]): NftText[] =>
    FAMILIES.flatMap((family) => call(family, family === 4 ? 'ip' : 'ip6'))
  const toFamily = nft`meta nfproto vmap { ipv4 : goto translate4, ipv6 : goto translate6 }`
  return [
    ...chain('prerouting', toFamily),
    ...chain('output', toFamily),
    ...perFamily((family, ip) =>
      chain(
        `translate${family}`,
        nft`${ip} daddr . meta l4proto . th dport @guarded${family} ${ip} daddr . meta l4proto . th dport . ${ip} saddr != @allowed${family} drop`,
        nft`meta mark set ${ip} daddr . meta l4proto . th dport map @fronts${family} goto chosen`,
        // Not at loopback addresses: answers to other machines' packets could not leave from there.
        nft`meta l4proto . th dport @ports${family} ${ip} daddr != ${family === 4 ? '127.0.0.0/8' : '::1'} fib daddr type local meta mark set meta l4proto . th dport map @ports${family} goto chosen`,
      ),
    ),
    ...chain('chosen', nft`meta mark @inside jump inward`, nft`meta mark vmap @picks`, nft`drop`),
    // Who is inside the cluster reaches all endpoints, whatever is so for clients outside.
    ...chain(
      'inward',
      ...perFamily((family, ip) =>
        of(ranges.pods, family).length === 0
          ? []
          : [nft`${ip} saddr ${set(of(ranges.pods, family))} meta mark set meta mark map @inside return`],
      ),
      nft`fib saddr type local meta mark set meta mark map @inside`,
    ),
    ...chain('nobody', nft`meta mark set ${REJECT_MARK} accept`),
    ...perFamily((family, ip) =>
      chain(`kept${family}`, nft`${TRANSPORTS} dnat ${ip} to meta mark . ct mark map @sticky${family}`, nft`drop`),
    ),
    ...chain('arrived', nft`goto settle`),
    ...chain('sent', nft`goto settle`),
    ...chain(
      'settle',
      nft`meta mark & 0xff000000 == ${hex(MARK_PREFIX)} goto claimed`,
      ...perFamily((family, ip) =>
        of(ranges.services, family).length === 0
          ? []
          : [nft`${ip} daddr ${set(of(ranges.services, family))} goto refused`],
      ),
    ),
    ...chain(
      'claimed',
      nft`meta mark ${REJECT_MARK} goto refused`,
      nft`ct mark != 0 ct mark set 0`,
      nft`meta mark set 0`,
    ),
    ...chain('refused', nft`meta l4proto tcp reject with tcp reset`, nft`reject with icmpx port-unreachable`),
    ...chain('postrouting', nft`oifname != "lo" ct status dnat goto leaving`),
    ...chain(
      'leaving',
      ...perFamily((family, ip) => postroutingRules(family, ip, of(ranges.own, family), of(ranges.pods, family))),
    ),
  ]
}

/**
 * Who sends the answers? A pod of this node answers through it, and so it is for a pod's own connections; everything
 * else would answer past the node, to a client that knows nothing of the endpoint, unless the node's address stands for
 * the client's. Towards pods that is the address that is the gateway of the node's own pods: it is reached the way that
 * their packets come.
 */
function postroutingRules(
  family: AddressFamily,
  ip: string,
  own: readonly string[],
  pods: readonly string[],
): NftText[] {
  const masquerade = nft`meta nfproto ipv${family} masquerade`
  const gateway = gatewayOf(own[0])
  return [
    nft`${ip} saddr . ${ip} daddr @hairpin${family} masquerade`,
    ...(own.length === 0
      ? []
      : [
          ...(family === 6 ? [nft`ip6 saddr ::1 ip6 daddr ${set(own)} masquerade`] : []),
          nft`${ip} saddr ${set(own)} return`,
          nft`${ip} daddr ${set(own)} return`,
        ]),
    ...(pods.length === 0 || gateway === undefined ? [] : [nft`${ip} daddr ${set(pods)} snat ${ip} to ${gateway}`]),
    masquerade,
  ]
}

/** The first address of the node's range. */
export function gatewayOf(range: string | undefined): string | undefined {
  const read = readCidr(range ?? '')
  return read === undefined ? undefined : formatAddress(read.family, read.first + 1n)
}

const TRANSPORTS = nft`meta l4proto { tcp, udp, sctp }`

/** A chain that all backends share whose family, number of targets and affinity are the same. */
export function pickChain(family: AddressFamily, targets: number, affinity: number | undefined): string {
  return affinity === undefined ? `pick${family}_${targets}` : `keep${family}_${targets}_${affinity}`
}

export function isPickChain(name: string): boolean {
  return !FIXED_CHAINS.has(name)
}

/**
 * Rules of a `pickChain`. Where a change comes between two lookups of one packet, the first slot stands in, and else
 * the client has to send again.
 */
export function pickRules(name: string): NftText[] {
  const [, kind, family, targets, affinity] = /^(pick|keep)([46])_(\d+)(?:_(\d+))?$/.exec(name)!
  const ip = family === '4' ? 'ip' : 'ip6'
  const pick = (count: string): NftText =>
    nft`${TRANSPORTS} dnat ${ip} to meta mark . numgen random mod ${count} map @slots${family!}`
  if (kind === 'pick') return [pick(targets!), ...(targets === '1' ? [] : [pick('1')]), nft`drop`]
  const client = nft`${ip} saddr . meta mark`
  return [
    nft`ct mark set ${client} map @affinity${family!} meta mark . ct mark @sticky${family!} update @affinity${family!} { ${client} timeout ${affinity!}s : ct mark } goto kept${family!}`,
    nft`ct mark set meta mark . numgen random mod ${targets!} map @ids`,
    // An update would keep the endpoint that is gone; the time alone would be new.
    nft`delete @affinity${family!} { ${client} : ct mark }`,
    nft`add @affinity${family!} { ${client} timeout ${affinity!}s : ct mark }`,
    nft`goto kept${family!}`,
  ]
}

function set(members: readonly string[]): NftText {
  return nft`{ ${nft.list(members)} }`
}
