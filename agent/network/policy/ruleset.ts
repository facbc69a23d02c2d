/**
 * The table of policies as it is to be: a pure function of what the control plane told and of the addresses that this
 * node gave.
 */
import { createHash } from 'node:crypto'
import { familyOf, type AddressFamily } from '../../../proto/base/cidr.ts'
import type { AddressSet, GuardedPod, PolicyPort, PolicyRule, PolicyRules } from '../../../proto/gen/types.ts'
import { nft, type NftText } from '../../host/program-text.ts'
import type { NetworkView } from '../contract.ts'
import { blockRanges, mergeRanges } from './address-ranges.ts'

export type Direction = 'in' | 'out'

export interface KernelSet {
  /** As in nft(8). */
  readonly type: string
  /** Each as in nft(8); the same object as long as they are the same. */
  readonly elements: ReadonlySet<string>
}

export interface PolicyTable {
  readonly sets: ReadonlyMap<string, KernelSet>
  /** Lines by chain; the name says the content. */
  readonly chains: ReadonlyMap<string, readonly NftText[]>
  /** Chains by pods' addresses, for each of `VERDICT_MAPS`. */
  readonly verdicts: ReadonlyMap<string, ReadonlyMap<string, string>>
}

/** The verdict maps: direction and family. */
export const VERDICT_MAPS = ['out4', 'out6', 'in4', 'in6'] as const

export const EMPTY_POLICY_TABLE: PolicyTable = { sets: new Map(), chains: new Map(), verdicts: new Map() }

/** Chain for what no rule allows. */
export const REJECT_CHAIN = 'refuse'

/** The elements of each set, kept while the parts that it is told in stay the same. */
export class SetElements {
  #known = new Map<string, { readonly parts: readonly AddressSet[]; readonly sets: ReadonlyMap<string, KernelSet> }>()

  /** Kernel sets by name, of every set told. */
  of(told: Iterable<AddressSet>): ReadonlyMap<string, KernelSet> {
    const parts = new Map<string, AddressSet[]>()
    for (const part of told) {
      const others = parts.get(part.name)
      if (others === undefined) parts.set(part.name, [part])
      else others.push(part)
    }
    const known = new Map<
      string,
      { readonly parts: readonly AddressSet[]; readonly sets: ReadonlyMap<string, KernelSet> }
    >()
    const all = new Map<string, KernelSet>()
    for (const [name, now] of parts) {
      const before = this.#known.get(name)
      const same =
        before !== undefined &&
        before.parts.length === now.length &&
        before.parts.every((part, index) => part === now[index])
      const entry = same ? before : { parts: now, sets: kernelSets(name, now) }
      known.set(name, entry)
      for (const [setName, set] of entry.sets) all.set(setName, set)
    }
    this.#known = known
    return all
  }
}

function kernelSets(name: string, parts: readonly AddressSet[]): Map<string, KernelSet> {
  const peers = { 4: new Set<string>(), 6: new Set<string>() }
  const holders = { 4: new Set<string>(), 6: new Set<string>() }
  for (const { addresses, endpoints } of parts) {
    for (const address of addresses) peers[familyOf(address)].add(address)
    for (const { address, protocol, port } of endpoints)
      holders[familyOf(address)].add(`${address} . ${protocol.toLowerCase()} . ${port}`)
  }
  return new Map(
    ([4, 6] as const).flatMap((family): [string, KernelSet][] => [
      ...(peers[family].size === 0
        ? []
        : [[peersName(family, name), { type: addressType(family), elements: peers[family] }] as [string, KernelSet]]),
      ...(holders[family].size === 0
        ? []
        : [
            [endpointsName(family, name), { type: endpointType(family), elements: holders[family] }] as [
              string,
              KernelSet,
            ],
          ]),
    ]),
  )
}

export function addressType(family: AddressFamily): string {
  return family === 4 ? 'ipv4_addr' : 'ipv6_addr'
}

function endpointType(family: AddressFamily): string {
  return `${addressType(family)} . inet_proto . inet_service`
}

function peersName(family: AddressFamily, set: string): string {
  return `p${family}_${digest(set)}`
}

function endpointsName(family: AddressFamily, set: string): string {
  return `e${family}_${digest(set)}`
}

/** Names of nft(8) are short. */
function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16)
}

/**
 * `given`: addresses by pod, as this node gave them. They count more than what the control plane knows of the pod,
 * which hears of them only later; nor may an address that another pod has been given since be guarded as the pod that
 * had it before.
 */
export function policyTable(
  view: Pick<NetworkView, 'entries'>,
  given: ReadonlyMap<string, readonly string[]>,
  elements: SetElements,
): PolicyTable {
  const rules = view.entries('rules')
  const allSets = elements.of(view.entries('addresses').values())
  const byName = new Map([...rules.values()].map((each) => [each.name, each]))
  const owners = new Map([...given].flatMap(([uid, addresses]) => addresses.map((address) => [address, uid])))
  const sets = new Map<string, KernelSet>()
  const chains = new Map<string, readonly NftText[]>()
  const verdicts = new Map<string, Map<string, string>>(VERDICT_MAPS.map((name) => [name, new Map()]))
  const self = { 4: new Set<string>(), 6: new Set<string>() }
  const made = new Map<string, string>()

  const chainOf = (direction: Direction, family: AddressFamily, names: readonly string[]): string => {
    const key = `${direction}${family} ${names.join()}`
    const known = made.get(key)
    if (known !== undefined) return known
    const lines = chainLines(
      direction,
      family,
      names.flatMap((name) => byName.get(name) ?? []),
      (name, type) => sets.set(name, allSets.get(name) ?? { type, elements: new Set() }),
    )
    const chain = `${direction}${family}_${digest(lines.map(({ text }) => text).join('\n'))}`
    chains.set(chain, lines)
    made.set(key, chain)
    return chain
  }
  for (const pod of view.entries('guarded').values()) {
    for (const address of addressesOf(pod, given, owners)) {
      const family = familyOf(address)
      if (pod.egress) verdicts.get(`out${family}`)!.set(address, chainOf('out', family, pod.rules))
      if (pod.ingress) verdicts.get(`in${family}`)!.set(address, chainOf('in', family, pod.rules))
      self[family].add(`${address} . ${address}`)
    }
  }
  if (chains.size === 0) return EMPTY_POLICY_TABLE
  for (const family of [4, 6] as const)
    sets.set(`self${family}`, { type: `${addressType(family)} . ${addressType(family)}`, elements: self[family] })
  return { sets, chains, verdicts }
}

function addressesOf(
  pod: GuardedPod,
  given: ReadonlyMap<string, readonly string[]>,
  owners: ReadonlyMap<string, string>,
): readonly string[] {
  return given.get(pod.uid) ?? pod.addresses.filter((address) => !owners.has(address))
}

/** `uses` is told the sets that the lines name. */
function chainLines(
  direction: Direction,
  family: AddressFamily,
  policies: readonly PolicyRules[],
  uses: (name: string, type: string) => void,
): NftText[] {
  const rules = policies.flatMap((policy) => (direction === 'in' ? policy.ingress : policy.egress))
  const words = family === 4 ? 'ip' : 'ip6'
  const lines = new Map(
    rules
      .flatMap((rule) => {
        const peers = peerMatches(rule, direction, family, uses)
        const ports = portMatches(rule, family, uses)
        return peers.flatMap((peer) => ports.map((port) => nft`${peer}${port}return`))
      })
      .map((line) => [line.text, line]),
  )
  const all = lines.get('return')
  return [
    ...(all === undefined ? lines.values() : [all]),
    nft`${words} saddr . ${words} daddr @self${family} return`,
    nft`goto ${REJECT_CHAIN}`,
  ]
}

/** Matches of the other side, one of which must fit, each with a space behind it; the empty one fits everything. */
function peerMatches(
  { anyPeer, sets, blocks }: PolicyRule,
  direction: Direction,
  family: AddressFamily,
  uses: (name: string, type: string) => void,
): NftText[] {
  if (anyPeer) return [nft``]
  const other = nft`${family === 4 ? 'ip' : 'ip6'} ${direction === 'in' ? 'saddr' : 'daddr'}`
  const ranges = blockRanges(family, blocks)
  return [
    ...sets.map((set) => {
      const name = peersName(family, set)
      uses(name, addressType(family))
      return nft`${other} @${name} `
    }),
    ...(ranges.length === 0 ? [] : [nft`${other} { ${nft.list(ranges)} } `]),
  ]
}

/**
 * Matches of protocol and port, one of which must fit, each with a space behind it; the empty one fits everything. What
 * has no ports fits only where no port is asked for.
 */
function portMatches(
  { anyPort, ports, endpoints }: PolicyRule,
  family: AddressFamily,
  uses: (name: string, type: string) => void,
): NftText[] {
  if (anyPort) return [nft``]
  const protocols = [...new Set(ports.map(({ protocol }) => protocol))]
  return [
    ...protocols.map((protocol) =>
      protocolMatch(
        protocol.toLowerCase(),
        ports.filter((port) => port.protocol === protocol),
      ),
    ),
    ...endpoints.map((set) => {
      const name = endpointsName(family, set)
      uses(name, endpointType(family))
      return nft`${family === 4 ? 'ip' : 'ip6'} daddr . meta l4proto . th dport @${name} `
    }),
  ]
}

function protocolMatch(protocol: string, ports: readonly PolicyPort[]): NftText {
  if (ports.some(({ port }) => port === 0)) return nft`meta l4proto ${protocol} `
  const ranges = mergeRanges(
    ports.map(({ port, endPort }) => ({ first: BigInt(port), last: BigInt(endPort === 0 ? port : endPort) })),
  )
  return nft`${protocol} dport { ${nft.list(ranges.map(({ first, last }) => (first === last ? first : `${first}-${last}`)))} } `
}
