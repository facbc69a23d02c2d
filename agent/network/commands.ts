/** The texts handed to `ip -batch` (ip(8)) and `nft -f` (nft(8)). Pure, so that one process does many steps. */
import { parseAddress } from './address-pool.ts'

export const BRIDGE = 'gantry0'
export const TABLE = 'gantry'
/** Begins the name of each pod's interface on the node's side. */
const PORT_PREFIX = 'gv'

/** The node's end of a pod's pair: named by the address, so that it can be found again without a record. At most 15 characters. */
export function portName(address: string): string {
  return PORT_PREFIX + parseAddress(address).toString(16).padStart(8, '0')
}

export function isPortName(name: string): boolean {
  return new RegExp(`^${PORT_PREFIX}[0-9a-f]{8}$`).test(name)
}

/** Inside a new namespace: loopback, eth0 with its address, and the default route; the other end lands in the node's namespace. */
export function podSide(pod: { readonly address: string; readonly prefix: number; readonly gateway: string; readonly mtu: number; readonly nodeNetns: string }): string {
  return lines(
    'link set lo up',
    `link add eth0 mtu ${pod.mtu} type veth peer name ${portName(pod.address)} mtu ${pod.mtu} netns ${pod.nodeNetns}`,
    `addr add ${pod.address}/${pod.prefix} dev eth0`,
    'link set eth0 up',
    `route add default via ${pod.gateway}`,
  )
}

/**
 * For a shell in the network namespace concerned: an interface ("default": those still to be made) takes no IPv6 router advertisements. A pod could
 * send some, and have what others send pass through it (CVE-2020-10749).
 */
export function noAdvertisements(device: string): string {
  const setting = `/proc/sys/net/ipv6/conf/${device}/accept_ra`
  return `[ ! -e ${setting} ] || echo 0 > ${setting}`
}

/** On the node: each port joins the bridge. Hairpin lets a pod reach itself through an address that is translated back to it. */
export function nodeSide(addresses: readonly string[]): string {
  return lines(...addresses.map(portName).flatMap((port) => [
    `link set ${port} master ${BRIDGE}`,
    `link set ${port} type bridge_slave hairpin on`,
    `link set ${port} up`,
  ]))
}

/** The bridge's hardware address is fixed: else it would change with its ports, and pods would talk to an old one. */
export function makeBridge(gateway: string, mtu: number): string {
  const tail = gateway.split('.').map((part) => Number(part).toString(16).padStart(2, '0')).join(':')
  return lines(`link add ${BRIDGE} address 02:67:${tail} mtu ${mtu} type bridge`)
}

export function addressBridge(add: string | undefined, remove: readonly string[]): string {
  return lines(
    ...remove.map((address) => `addr del ${address} dev ${BRIDGE}`),
    ...(add === undefined ? [] : [`addr add ${add} dev ${BRIDGE}`]),
    `link set ${BRIDGE} up`,
  )
}

export function deleteLinks(names: readonly string[]): string {
  return lines(...names.map((name) => `link del ${name}`))
}

/** Replaces the table in one transaction: what pods send beyond the pod range leaves with the node's address. */
export function firewall(cidr: string): string {
  return lines(
    `table ip ${TABLE}`,
    `delete table ip ${TABLE}`,
    `table ip ${TABLE} {`,
    '  chain postrouting {',
    '    type nat hook postrouting priority srcnat; policy accept;',
    `    ip saddr ${cidr} ip daddr != ${cidr} oifname != "${BRIDGE}" masquerade`,
    '  }',
    '}',
  )
}

export function noFirewall(): string {
  return lines(`table ip ${TABLE}`, `delete table ip ${TABLE}`)
}

function lines(...text: readonly string[]): string {
  return text.map((line) => `${line}\n`).join('')
}
