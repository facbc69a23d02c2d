/**
 * The names that this node answers for itself: those below the cluster's domain, and those of the cluster's addresses.
 * Records come by source (a Service); a name exists as long as it has a record or a name below it has one (RFC 8020),
 * which decides between "no such name" and "no such record".
 */
import ipaddr from 'ipaddr.js'
import type { Sections, ZoneRecord } from './encode.ts'
import { RCODE, TYPE } from './message.ts'
import { isAtOrBelow, labelsOf, reverseName, splitName, wireName } from './wire-name.ts'

/** Seconds, of everything in the zone, also of what is not there. */
export const ZONE_TTL = 5
const SCHEMA_VERSION = '1.1.0'
/** Aliases followed one after the other within the zone. */
const CHAIN_LIMIT = 8

export interface ZoneSettings {
  readonly domain: string
  /** Where the resolver answers: the address of the zone's name server. */
  readonly address: string
  /** CIDRs. */
  readonly podCidrs: readonly string[]
  readonly serviceCidrs: readonly string[]
}

/** `chase`: the answer goes on with a name that is somebody else's. */
export type LookupResult =
  | { readonly kind: 'found'; readonly sections: Sections }
  | { readonly kind: 'chase'; readonly records: readonly ZoneRecord[]; readonly target: string }

interface ZoneNode {
  readonly records: ZoneRecord[]
  /** Names directly below that exist. */
  children: number
}

type Range = ReturnType<typeof ipaddr.parseCIDR>

export class Zone {
  /** The store's revision that it shows. */
  revision = 0
  readonly #origin: string
  readonly #host: string
  readonly #pods: string
  readonly #podRanges: readonly Range[]
  readonly #ranges: readonly Range[]
  readonly #nodes = new Map<string, ZoneNode>()
  readonly #sources = new Map<string, readonly ZoneRecord[]>()

  constructor({ domain, address, podCidrs, serviceCidrs }: ZoneSettings) {
    this.#origin = wireName(domain)
    this.#host = wireName(`ns.dns.${domain}`)
    this.#pods = wireName(`pod.${domain}`)
    this.#podRanges = podCidrs.map((cidr) => ipaddr.parseCIDR(cidr))
    this.#ranges = [...this.#podRanges, ...serviceCidrs.map((cidr) => ipaddr.parseCIDR(cidr))]
    const reverse = wireName(reverseName(ipaddr.parse(address).toByteArray()))
    this.set('', [
      { name: this.#origin, type: 'NS', data: this.#host },
      { name: this.#origin, type: 'SOA', data: this.#soa(this.#origin).data },
      { name: this.#host, type: address.includes(':') ? 'AAAA' : 'A', data: address },
      { name: reverse, type: 'PTR', data: this.#host },
      { name: wireName(`dns-version.${domain}`), type: 'TXT', data: SCHEMA_VERSION },
    ])
    for (const name of [this.#pods, wireName(`svc.${domain}`)]) this.#grow(name).children++
  }

  /** These in place of what the source had before. */
  set(source: string, records: readonly ZoneRecord[]): void {
    for (const record of this.#sources.get(source) ?? []) this.#remove(record)
    if (records.length === 0) this.#sources.delete(source)
    else this.#sources.set(source, records)
    for (const record of records) this.#grow(record.name).records.push(record)
  }

  /** undefined: not a name of this zone. */
  find(name: string, type: number): LookupResult | undefined {
    if (!this.#owns(name)) return undefined
    const chain: ZoneRecord[] = []
    for (let at = name; ;) {
      if (at !== name && !this.#owns(at)) return { kind: 'chase', records: chain, target: at }
      const node = this.#nodes.get(at)
      const alias = type === TYPE.CNAME ? undefined : node?.records.find((record) => record.type === 'CNAME')
      if (alias === undefined) return { kind: 'found', sections: this.#sections(at, type, node, chain) }
      if (chain.length === CHAIN_LIMIT)
        return { kind: 'found', sections: { rcode: RCODE.SERVFAIL, answer: [], authority: [], additional: [] } }
      chain.push(alias)
      at = alias.data as string
    }
  }

  #sections(name: string, type: number, node: ZoneNode | undefined, chain: readonly ZoneRecord[]): Sections {
    const present = node?.records.filter((record) => TYPE[record.type] === type) ?? []
    const records =
      type === TYPE.ANY && node !== undefined
        ? [minimal(name)]
        : present.length > 0
          ? present
          : this.#podRecords(name, type)
    if (records === undefined)
      return { rcode: RCODE.NXDOMAIN, answer: chain, authority: [this.#soa(this.#apex(name))], additional: [] }
    if (records.length === 0)
      return { rcode: RCODE.NOERROR, answer: chain, authority: [this.#soa(this.#apex(name))], additional: [] }
    const seen = new Set<string>()
    const distinct = records
      .map((record) => (record.type === 'SOA' ? this.#soa(name) : record))
      .filter(
        ({ name: owner, data }) => !seen.has(JSON.stringify([owner, data])) && seen.add(JSON.stringify([owner, data])),
      )
    return { rcode: RCODE.NOERROR, answer: [...chain, ...distinct], authority: [], additional: this.#targets(distinct) }
  }

  /** Addresses of what SRV and NS records name. */
  #targets(records: readonly ZoneRecord[]): ZoneRecord[] {
    const names = new Set(
      records.flatMap((record) =>
        record.type === 'SRV' ? [record.data.target] : record.type === 'NS' ? [record.data] : [],
      ),
    )
    return [...names].flatMap(
      (name) => this.#nodes.get(name)?.records.filter(({ type }) => type === 'A' || type === 'AAAA') ?? [],
    )
  }

  /**
   * What a name has that is not written down: that of a pod, a-b-c-d.namespace.pod.domain, has the address that it
   * says, if it is one that pods have (specification, 2.6). undefined: the name does not exist.
   */
  #podRecords(name: string, type: number): readonly ZoneRecord[] | undefined {
    if (this.#nodes.has(name)) return []
    if (!isAtOrBelow(name, this.#pods)) return undefined
    const labels = labelsOf(name.slice(0, name.length - this.#pods.length))
    if (labels.some((label) => !/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/.test(label))) return undefined
    if (labels.length === 1) return []
    if (labels.length !== 2) return undefined
    const address = podAddress(labels[0]!)
    if (address === undefined || !contains(this.#podRanges, address)) return undefined
    const record: ZoneRecord = { name, type: address.kind() === 'ipv4' ? 'A' : 'AAAA', data: address.toString() }
    if (type === TYPE.ANY) return [minimal(name)]
    return TYPE[record.type] === type ? [record] : []
  }

  #owns(name: string): boolean {
    if (isAtOrBelow(name, this.#origin) || this.#nodes.get(name)?.records.some(({ type }) => type === 'PTR') === true)
      return true
    const address = reversed(name)
    return address !== undefined && contains(this.#ranges, address)
  }

  /** Where the zone begins that a name is in: of an address, its neighbours'. */
  #apex(name: string): string {
    return isAtOrBelow(name, this.#origin) ? this.#origin : (splitName(name)?.parent ?? '')
  }

  #soa(name: string): Extract<ZoneRecord, { type: 'SOA' }> {
    return {
      name,
      type: 'SOA',
      data: {
        host: this.#host,
        mailbox: wireName('hostmaster') + this.#origin,
        serial: this.revision % 2 ** 32,
        ttl: ZONE_TTL,
      },
    }
  }

  #grow(name: string): ZoneNode {
    const known = this.#nodes.get(name)
    if (known !== undefined) return known
    const node: ZoneNode = { records: [], children: 0 }
    this.#nodes.set(name, node)
    const parent = splitName(name)?.parent
    if (parent !== undefined) this.#grow(parent).children++
    return node
  }

  #remove(record: ZoneRecord): void {
    const { records } = this.#nodes.get(record.name)!
    records.splice(records.indexOf(record), 1)
    this.#prune(record.name)
  }

  /** A name that has nothing, and nothing below it, is no more. */
  #prune(name: string): void {
    const node = this.#nodes.get(name)
    if (node === undefined || node.records.length > 0 || node.children > 0) return
    this.#nodes.delete(name)
    const parent = splitName(name)?.parent
    if (parent === undefined) return
    this.#nodes.get(parent)!.children--
    this.#prune(parent)
  }
}

/** RFC 8482: who asks for everything gets something. */
function minimal(name: string): ZoneRecord {
  return { name, type: 'HINFO', data: 'RFC8482' }
}

function podAddress(label: string): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
  const dotted = label.replaceAll('-', '.')
  if (ipaddr.IPv4.isValidFourPartDecimal(dotted)) return ipaddr.IPv4.parse(dotted)
  const colons = label.replaceAll('-', ':').replace(/^0::/, '::').replace(/::0$/, '::')
  return ipaddr.IPv6.isValid(colons) ? ipaddr.IPv6.parse(colons) : undefined
}

/** The address that a name of in-addr.arpa or ip6.arpa is for; undefined if it is not a whole one. */
function reversed(name: string): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
  const labels = labelsOf(name).reverse()
  if (labels[0] !== 'arpa') return undefined
  const parts = labels.slice(2)
  if (labels[1] === 'in-addr' && parts.length === 4) {
    const text = parts.join('.')
    return ipaddr.IPv4.isValidFourPartDecimal(text) ? ipaddr.IPv4.parse(text) : undefined
  }
  if (labels[1] !== 'ip6' || parts.length !== 32 || parts.some((part) => !/^[0-9a-f]$/.test(part))) return undefined
  return ipaddr.fromByteArray(Array.from({ length: 16 }, (_, at) => parseInt(parts[2 * at]! + parts[2 * at + 1]!, 16)))
}

function contains(ranges: readonly Range[], address: ipaddr.IPv4 | ipaddr.IPv6): boolean {
  return ranges.some(
    ([base, prefix]) => base.kind() === address.kind() && address.match(base as ipaddr.IPv4 & ipaddr.IPv6, prefix),
  )
}
