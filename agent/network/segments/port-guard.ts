/**
 * What pods may say on Networks: a frame that comes out of a pod's port carries the hardware address and an address of
 * its pod, also where it says where an address is. Texts for nft(8). Pure.
 */
import { familyOf } from '../../../proto/base/cidr.ts'
import { nft, type NftText } from '../../host/program-text.ts'
import type { SecondaryInterface } from '../contract.ts'
import { PORT_PREFIX, portName } from './segment-plan.ts'

export const SEGMENTS_TABLE = 'gantry_segments'

type Pods = Iterable<readonly [id: string, interfaces: readonly SecondaryInterface[]]>

/** The whole table in one transaction, whatever there was. */
export function portGuard(pods: Pods): NftText {
  return nft.lines(
    nft`table bridge ${SEGMENTS_TABLE}`,
    nft`delete table bridge ${SEGMENTS_TABLE}`,
    nft`table bridge ${SEGMENTS_TABLE} {`,
    nft`  set pods4 { type ifname . ether_addr . ipv4_addr; }`,
    nft`  set pods6 { type ifname . ether_addr . ipv6_addr; }`,
    // Pods of an agent that did not choose their hardware addresses.
    nft`  set older { type ifname; }`,
    nft`  chain prerouting {`,
    nft`    type filter hook prerouting priority -300; policy accept;`,
    nft`    iifname != "${PORT_PREFIX}*" accept`,
    nft`    iifname . ether saddr . ip saddr @pods4 accept`,
    nft`    iifname . ether saddr . arp saddr ip @pods4 iifname . arp saddr ether . arp saddr ip @pods4 accept`,
    nft`    icmpv6 type { nd-router-advert, nd-redirect } drop`,
    nft`    icmpv6 type nd-neighbor-advert ip6 saddr != fe80::/10 iifname . ether saddr . icmpv6 taddr != @pods6 drop`,
    nft`    icmpv6 type nd-neighbor-advert ip6 saddr fe80::/10 icmpv6 taddr != fe80::/10 iifname . ether saddr . icmpv6 taddr != @pods6 drop`,
    nft`    iifname . ether saddr . ip6 saddr @pods6 accept`,
    // Where an address is, is also asked for with a link-local one.
    nft`    ip6 saddr fe80::/10 icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept`,
    nft`    iifname @older accept`,
    nft`    drop`,
    nft`  }`,
    nft`}`,
    ...elements(pods).map(([set, element]) => nft`add element bridge ${SEGMENTS_TABLE} ${set} { ${element} }`),
  )
}

export function addPortElements(pods: Pods): NftText {
  return nft.lines(
    ...elements(pods).map(([set, element]) => nft`add element bridge ${SEGMENTS_TABLE} ${set} { ${element} }`),
  )
}

/** Also those that it does not know. */
export function removePortElements(pods: Pods): NftText {
  return nft.lines(
    ...elements(pods).flatMap(([set, element]) =>
      ['add', 'delete'].map((verb) => nft`${verb} element bridge ${SEGMENTS_TABLE} ${set} { ${element} }`),
    ),
  )
}

function elements(pods: Pods): [string, NftText][] {
  return [...pods].flatMap(([id, interfaces]) =>
    interfaces.flatMap(({ interface: inside, mac, addresses }): [string, NftText][] => {
      const port = portName(id, inside)
      if (mac === undefined) return [['older', nft`"${port}"`]]
      return addresses.map((address) => [`pods${familyOf(address)}`, nft`"${port}" . ${mac} . ${address}`])
    }),
  )
}
