/**
 * The texts handed to `nft -f` (nft(8)) for what concerns every pod: who it may say it is, and as whom it is seen
 * outside. Pure.
 */
import { familyOf } from '../../proto/base/cidr.ts'
import { nft, type NftText } from '../host/program-text.ts'
import { GATEWAY, OVERLAY_DEVICES, podMac, PORT_PREFIX, portName } from './commands.ts'

/** What comes out of a port. */
export const GUARD_TABLE = 'gantry_guard'
/**
 * Guards while the other is replaced: a packet that is on its way just then may find a new table still empty and the
 * old one empty already.
 */
export const GUARD_STANDBY_TABLE = 'gantry_guard_deputy'
export const MASQUERADE_TABLE = 'gantry_masquerade'

/**
 * The whole table in one transaction. A pod sends with its own addresses only, and nothing else of the node looks at a
 * packet before that is known: no connection is tracked for it, nothing translated. Its hardware address has to be its
 * own, too, although of ARP nothing is believed: all neighbours are written down. To the port of VXLAN at the node's
 * addresses a pod sends nothing. Packets between nodes in which pods' packets are (VXLAN) are not tracked: each
 * connection in them would take a second entry, of no use.
 */
export function guardTable(
  pods: readonly (readonly string[])[],
  vxlanPort: number,
  table: typeof GUARD_TABLE | typeof GUARD_STANDBY_TABLE = GUARD_TABLE,
): NftText {
  return nft.join(
    deleteTables(nft`inet ${table}`),
    nft.lines(
      nft`table inet ${table} {`,
      nft`  set pods4 { type ifname . ether_addr . ipv4_addr; }`,
      nft`  set pods6 { type ifname . ether_addr . ipv6_addr; }`,
      nft`  chain outer {`,
      nft`    udp dport ${vxlanPort} fib daddr type local notrack`,
      nft`  }`,
      nft`  chain output {`,
      nft`    type filter hook output priority raw; policy accept;`,
      nft`    udp dport ${vxlanPort} notrack`,
      nft`  }`,
      nft`  chain prerouting {`,
      nft`    type filter hook prerouting priority raw; policy accept;`,
      nft`    iifname != "${PORT_PREFIX}*" goto outer`,
      // What ports let through for host ports at 127.0.0.1 (route_localnet) is nothing for pods to call
      // (CVE-2020-8558).
      nft`    ip daddr 127.0.0.0/8 drop`,
      // The way between nodes is not for pods: what comes to it is believed to be a node's.
      nft`    udp dport ${vxlanPort} fib daddr type local drop`,
      nft`    iifname . ether saddr . ip saddr @pods4 accept`,
      nft`    iifname . ether saddr . ip6 saddr @pods6 accept`,
      nft`    drop`,
      nft`  }`,
      nft`}`,
    ),
    addPodElements(pods, table),
  )
}

/** Pods that the guard is to know. */
export function addPodElements(pods: readonly (readonly string[])[], table: string = GUARD_TABLE): NftText {
  return nft.lines(...elements(pods).map(([set, element]) => nft`add element inet ${table} ${set} { ${element} }`))
}

/** Pods that it is to forget; also those that it does not know. */
export function removePodElements(pods: readonly (readonly string[])[]): NftText {
  return nft.lines(
    ...elements(pods).flatMap(([set, element]) =>
      ['add', 'delete'].map((verb) => nft`${verb} element inet ${GUARD_TABLE} ${set} { ${element} }`),
    ),
  )
}

function elements(pods: readonly (readonly string[])[]): [string, NftText][] {
  return pods.flatMap((addresses) =>
    addresses.map((address): [string, NftText] => [
      `pods${familyOf(address)}`,
      nft`"${portName(addresses[0]!)}" . ${podMac(addresses[0]!)} . ${address}`,
    ]),
  )
}

/**
 * The whole table in one transaction. What pods send beyond the cluster's pod ranges leaves with the node's address:
 * also to other nodes, as their network knows the addresses of nodes and not those of pods, and the answer to a pod's
 * address could come back by another way than the question went. Between pods, addresses stay as they are. What the
 * node itself sends through the overlay (to a Service that leads to a pod elsewhere) has its gateway's address, so that
 * the answer comes the same way. To the port of VXLAN pods send within the pod ranges only. `own`: addresses of pods
 * here that are outside the ranges.
 */
export function masquerade(
  clusterCidrs: readonly string[],
  own: readonly string[],
  gateways: readonly string[],
  vxlanPort: number,
): NftText {
  const pods = (family: 4 | 6): NftText => {
    const members = [...new Set([...clusterCidrs, ...own])].filter((cidr) => familyOf(cidr) === family)
    return nft`  set pods${family} { type ipv${family}_addr; flags interval; auto-merge;${members.length === 0 ? nft`` : nft` elements = { ${nft.list(members)} };`} }`
  }
  const overlays = nft.list(Object.values(OVERLAY_DEVICES).map((name) => nft`"${name}"`))
  return nft.lines(
    nft`table inet ${MASQUERADE_TABLE}`,
    nft`delete table inet ${MASQUERADE_TABLE}`,
    nft`table inet ${MASQUERADE_TABLE} {`,
    pods(4),
    pods(6),
    // A packet to the port of the overlay that got the node's address here would be taken for the node's own.
    // Translated ones, too: by a Service, say.
    nft`  chain forward {`,
    nft`    type filter hook forward priority filter; policy accept;`,
    nft`    udp dport ${vxlanPort} jump overlay`,
    nft`  }`,
    nft`  chain input {`,
    nft`    type filter hook input priority filter; policy accept;`,
    nft`    udp dport ${vxlanPort} ct status dnat drop`,
    nft`    udp dport ${vxlanPort} iifname "${PORT_PREFIX}*" drop`,
    nft`  }`,
    nft`  chain overlay {`,
    nft`    ip daddr @pods4 return`,
    nft`    ip6 daddr @pods6 return`,
    nft`    iifname "${PORT_PREFIX}*" drop`,
    nft`    ct status dnat drop`,
    nft`  }`,
    nft`  chain postrouting {`,
    nft`    type nat hook postrouting priority srcnat; policy accept;`,
    nft`    oifname "${PORT_PREFIX}*" accept`,
    nft`    oifname { "${GATEWAY}", "lo" } accept`,
    ...gateways.map((gateway) => {
      const family = familyOf(gateway)
      const ip = family === 4 ? 'ip' : 'ip6'
      return nft`    oifname { ${overlays} } ${ip} saddr != @pods${family} snat ${ip} to ${gateway}`
    }),
    nft`    ip saddr @pods4 ip daddr != @pods4 ip daddr != 224.0.0.0/4 masquerade`,
    nft`    ip6 saddr @pods6 ip6 daddr != @pods6 ip6 daddr != ff00::/8 masquerade`,
    nft`  }`,
    nft`}`,
  )
}

/** Tables and all in them, whether they are there or not. */
export function deleteTables(...tables: readonly NftText[]): NftText {
  return nft.lines(...tables.flatMap((table) => [nft`table ${table}`, nft`delete table ${table}`]))
}
