/**
 * What the node's kernel has for the resolver: a link that holds its address, and rules for packets to and from it.
 * Texts for `nft -f` (nft(8)).
 */

import ipaddr from 'ipaddr.js'
import { nft, type NftText } from '../host/program-text.ts'
import type { NodeRanges } from '../network/contract.ts'

export const DNS_LINK = 'gantrydns0'
export const DNS_TABLE = 'gantry_dns'
/** Link-local: the same on each node, and never routed beyond it (RFC 3927). */
export const DNS_ADDRESS = '169.254.20.10'
export const DNS_PORT = 53

/**
 * Queries a second that one client may send: the resolver answers some times as many, so that a client that floods it
 * takes nothing from the others.
 */
const CLIENT_RATE = 30_000
const CLIENT_BURST = 10_000

/**
 * Packets of the resolver have no connection tracked: no entry is made for each query, none can be exhausted, and A and
 * AAAA sent at once from one port do not race for one. And while nobody listens, as the agent is begun anew, clients
 * are not told so: they ask again, instead of failing. `podCidrs`: those of the whole cluster; who has no address of
 * them and is not the node itself gets no answer, so that no machine on the node's link uses the resolver, or has it
 * answer others (RFC 5358).
 */
export function dnsFirewall(addresses: readonly string[], podCidrs: readonly string[]): NftText {
  const strangers = addresses.map(
    (address) =>
      nft`    ${family(address)} daddr ${address} ${notFrom(family(address), podCidrs)}fib saddr type != local drop`,
  )
  const to = addresses.flatMap((address) =>
    ['udp', 'tcp'].map(
      (protocol) => nft`    ${family(address)} daddr ${address} ${protocol} dport ${DNS_PORT} notrack`,
    ),
  )
  const from = addresses.flatMap((address) =>
    ['udp', 'tcp'].map(
      (protocol) => nft`    ${family(address)} saddr ${address} ${protocol} sport ${DNS_PORT} notrack`,
    ),
  )
  const silence = addresses.flatMap((address) => [
    address.includes(':')
      ? nft`    ip6 saddr ${address} icmpv6 type destination-unreachable icmpv6 code port-unreachable drop`
      : nft`    ip saddr ${address} icmp type destination-unreachable icmp code port-unreachable drop`,
    // What answers the first packet of a connection that nobody takes; those of connections that were there have other
    // numbers.
    nft`    ${family(address)} saddr ${address} tcp sport ${DNS_PORT} tcp flags & (rst | ack) == rst | ack tcp sequence 0 drop`,
  ])
  const limits = addresses.map(
    (address) =>
      nft`    ${family(address)} daddr ${address} udp dport ${DNS_PORT} update @${clients(address)} { ${family(address)} saddr limit rate over ${CLIENT_RATE}/second burst ${CLIENT_BURST} packets } drop`,
  )
  return nft.lines(
    nft`table inet ${DNS_TABLE}`,
    nft`delete table inet ${DNS_TABLE}`,
    nft`table inet ${DNS_TABLE} {`,
    ...[...new Set(addresses.map(clients))].map(
      (set) =>
        nft`  set ${set} { type ${set === 'clients6' ? 'ipv6_addr' : 'ipv4_addr'}; size 4096; flags dynamic,timeout; timeout 10s; }`,
    ),
    nft`  chain prerouting {`,
    nft`    type filter hook prerouting priority raw; policy accept;`,
    ...strangers,
    ...limits,
    ...to,
    ...from,
    nft`  }`,
    nft`  chain output {`,
    nft`    type filter hook output priority raw; policy accept;`,
    ...silence,
    ...to,
    ...from,
    nft`  }`,
    nft`}`,
  )
}

function notFrom(family: 'ip' | 'ip6', podCidrs: readonly string[]): NftText {
  const own = podCidrs.filter((cidr) => cidr.includes(':') === (family === 'ip6'))
  return own.length === 0 ? nft`` : nft`${family} saddr != { ${nft.list(own)} } `
}

function clients(address: string): string {
  return address.includes(':') ? 'clients6' : 'clients4'
}

function family(address: string): 'ip' | 'ip6' {
  return address.includes(':') ? 'ip6' : 'ip'
}

/**
 * Where the resolver of a node answers: at the link-local address, and for pods without IPv4 at their gateway, the
 * first address of the node's range.
 */
export function resolverAddresses({ podCidrs }: Pick<NodeRanges, 'podCidrs'>): string[] {
  const plain = podCidrs.length === 0 || podCidrs.some((cidr) => !cidr.includes(':'))
  return plain ? [DNS_ADDRESS] : [DNS_ADDRESS, ...podCidrs.map(firstAddress)]
}

function firstAddress(cidr: string): string {
  const bytes = ipaddr.IPv6.networkAddressFromCIDR(cidr).toByteArray()
  bytes[15]! |= 1
  return ipaddr.fromByteArray(bytes).toString()
}

/** Where a pod with these addresses reaches the resolver: without IPv4, at its gateway. */
export function podResolver(ranges: Pick<NodeRanges, 'podCidrs'>, addresses: readonly string[]): string {
  return addresses.every((address) => address.includes(':'))
    ? (resolverAddresses(ranges).find((address) => address.includes(':')) ?? DNS_ADDRESS)
    : DNS_ADDRESS
}
