/** What is told to ip(8), to a shell and to the kernel. Pure, so that one process does many steps. */
import { createHash } from 'node:crypto'
import { familyOf, readAddress, type AddressFamily } from '../../proto/base/cidr.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { ip, sh, type IpText, type ShellText } from '../host/program-text.ts'
import type { SystemCall } from '../host/system-calls.ts'

/**
 * Holds the node's addresses in its pod ranges, whether there are pods or not: a bridge without ports, as not every
 * kernel has dummy links.
 */
export const GATEWAY = 'gantry0'
/**
 * Of every port on every node: pods hold it for their gateway's, whatever range the node has or comes to have, and it
 * is seen by nobody but them.
 */
const GATEWAY_MAC = '02:67:74:72:79:00'
/** Marks the routes of addresses that no pod has (iproute2's rt_protos). */
const UNUSED_PROTOCOL = 72
/** VXLAN devices by the family of the addresses that they send to (agent/network/fabric). */
export const OVERLAY_DEVICES: Readonly<Record<AddressFamily, string>> = { 4: 'gantryvx', 6: 'gantryvx6' }
/** Begins the name of each pod's interface on the node's side. */
export const PORT_PREFIX = 'gv'

/**
 * 4 bytes that follow from an address: an IPv4 address itself, an IPv6 address's last ones mixed with a digest of the
 * rest.
 */
function shortForm(address: string): string {
  const read = readAddress(address)
  if (read === undefined)
    throw new GantryError('InvalidArgument', `${JSON.stringify(address.slice(0, 120))} is no address`)
  const { family, value } = read
  if (family === 4) return value.toString(16).padStart(8, '0')
  return createHash('sha256').update(value.toString(16)).digest('hex').slice(0, 8)
}

/**
 * The node's end of a pod's pair: named by the pod's first address, so that it can be found again without a record. At
 * most 15 characters.
 */
export function portName(address: string): string {
  return `${PORT_PREFIX}${familyOf(address) === 6 ? '6' : ''}${shortForm(address)}`
}

export function isPortName(name: string): boolean {
  return new RegExp(`^${PORT_PREFIX}6?[0-9a-f]{8}$`).test(name)
}

/** The hardware address of a pod's eth0, which follows from its first address: nobody has to ask for it. */
export function podMac(address: string): string {
  return `02:67:${shortForm(address).match(/../g)!.join(':')}`
}

export interface PodLink {
  /** One per family with the gateway in it, the preferred first. */
  readonly addresses: readonly { readonly address: string; readonly gateway: string }[]
  readonly mtu: number
  /** Path of the node's network namespace. */
  readonly nodeNetns: string
}

/**
 * Inside a new namespace: loopback, eth0 with its addresses and a way to the gateway alone, through which everything
 * else is reached; the other end lands in the node's namespace. The gateway's hardware address is known, so nobody asks
 * for it, and nobody can answer falsely.
 */
export function podLinkCommands({ addresses, mtu, nodeNetns }: PodLink): IpText {
  const first = addresses[0]!.address
  return ip.lines(
    ip`link set lo up`,
    ip`link add eth0 address ${podMac(first)} mtu ${mtu} type veth peer name ${portName(first)} mtu ${mtu} netns ${nodeNetns}`,
    ip`link set eth0 up`,
    ...addresses.flatMap(({ address, gateway }) => [
      ip`addr add ${host(address)} dev eth0${nodad(address)}`,
      ip`neigh replace ${gateway} lladdr ${GATEWAY_MAC} dev eth0 nud permanent`,
      ip`route add ${host(gateway)} dev eth0`,
      ip`route add default via ${gateway} dev eth0`,
    ]),
  )
}

/**
 * On the node: each port is a link of its own with one pod behind it, and has the gateways' addresses as well, so that
 * whatever the node sends there (a translated packet too) says who answers. `gateways`: one per family. Also for ports
 * that are all this already, or are in the bridge of an agent that had one.
 */
export function joinPorts(pods: readonly (readonly string[])[], gateways: readonly string[]): IpText {
  return ip.lines(
    ...pods.flatMap((addresses) => {
      const port = portName(addresses[0]!)
      return [
        ip`link set ${port} nomaster`,
        ip`link set ${port} address ${GATEWAY_MAC}`,
        // Nobody speaks to the port by an address of its own; without IPv6 the kernel refuses the question.
        ...(gateways.some((gateway) => familyOf(gateway) === 6) ? [ip`link set ${port} addrgenmode none`] : []),
        ip`link set ${port} up`,
        ...gateways.map((gateway) => ip`addr replace ${host(gateway)} dev ${port}${nodad(gateway)}`),
        ...addresses.flatMap((address) => [
          ip`neigh replace ${address} lladdr ${podMac(addresses[0]!)} dev ${port} nud permanent`,
          ip`route replace ${host(address)} dev ${port}`,
        ]),
      ]
    }),
  )
}

/** What a port has of gateways that are no longer the node's. `addresses`: with their prefixes. */
export function leaveGateways(port: string, addresses: readonly string[]): IpText {
  return ip.lines(...addresses.map((address) => ip`addr del ${address} dev ${port}`))
}

/**
 * A port tells its pod of no shorter way (out where it came in: a pod that calls itself), leads packets from 127.0.0.1
 * to host ports (what pods send to there, the guard drops), and listens to no router.
 */
export function portSettings(pods: readonly (readonly string[])[]): SystemCall[] {
  return pods.flatMap(([first]): SystemCall[] => {
    const port = portName(first!)
    return [
      { call: 'write', path: `/proc/sys/net/ipv4/conf/${port}/send_redirects`, text: '0' },
      { call: 'write', path: `/proc/sys/net/ipv4/conf/${port}/route_localnet`, text: '1' },
      ...ignoreRouters(port),
    ]
  })
}

export function makeGateway(mtu: number): IpText {
  return ip.lines(ip`link add ${GATEWAY} address ${GATEWAY_MAC} mtu ${mtu} type bridge`)
}

/** `add` and `remove`: with their prefixes. */
export function addressGateway(mtu: number, add: readonly string[], remove: readonly string[]): IpText {
  return ip.lines(
    ip`link set ${GATEWAY} mtu ${mtu} up`,
    ...remove.map((address) => ip`addr del ${address} dev ${GATEWAY}`),
    ...add.map((address) => ip`addr add ${address} dev ${GATEWAY}${nodad(address)}`),
  )
}

/**
 * For a shell on the node: what is sent to an address of its ranges that no pod has comes back at once. Without ranges:
 * no longer.
 */
export function unreachableRoutes(ranges: readonly string[]): ShellText {
  return sh.lines(
    sh`ip -4 route flush proto ${UNUSED_PROTOCOL}`,
    sh`[ ! -e /proc/sys/net/ipv6 ] || ip -6 route flush proto ${UNUSED_PROTOCOL}`,
    ...ranges.map((range) => sh`ip route replace unreachable ${range} proto ${UNUSED_PROTOCOL}`),
  )
}

export function deleteLinks(names: readonly string[]): IpText {
  return ip.lines(...names.map((name) => ip`link del ${name}`))
}

/**
 * An interface ("default": those still to be made) takes no IPv6 router advertisements and no redirects. A pod could
 * send some, and have what others send pass through it (CVE-2020-10749).
 */
export function ignoreRouters(device: string): SystemCall[] {
  return ROUTER_SETTINGS.map((name) => ({ call: 'write', path: routerSetting(device, name), text: '0' }))
}

/** The same, for a shell in the network namespace concerned. */
export function disableRouterAdvertisements(device: string): ShellText {
  const [ra, redirects] = ROUTER_SETTINGS.map((name) => {
    const setting = routerSetting(device, name)
    return sh`[ ! -e ${setting} ] || echo 0 > ${setting}`
  })
  return sh`${ra!}; ${redirects!}`
}

const ROUTER_SETTINGS = ['accept_ra', 'accept_redirects'] as const

function routerSetting(device: string, name: (typeof ROUTER_SETTINGS)[number]): string {
  return `/proc/sys/net/ipv6/conf/${device}/${name}`
}

/**
 * For a shell on the node: it passes packets on, also between pods of its own, whom it does not tell of shorter ways.
 * Where IPv6 is passed on, an interface follows router advertisements only when told to: those that did go on doing so.
 */
export function enableForwarding(families: ReadonlySet<AddressFamily>): ShellText {
  const v4 = [sh`echo 1 > /proc/sys/net/ipv4/ip_forward`, sh`echo 0 > /proc/sys/net/ipv4/conf/all/send_redirects`]
  const v6 = [
    sh`for setting in /proc/sys/net/ipv6/conf/*/accept_ra; do case $setting in */${GATEWAY}/*) ;; *) if [ "$(cat $setting)" = 1 ]; then echo 2 > $setting; fi ;; esac; done`,
    sh`echo 1 > /proc/sys/net/ipv6/conf/all/forwarding`,
  ]
  return sh.lines(sh`set -e`, ...v4, ...(families.has(6) ? v6 : []))
}

function nodad(address: string): IpText {
  return familyOf(address) === 6 ? ip` nodad` : ip``
}

function host(address: string): string {
  return `${address}/${familyOf(address) === 4 ? 32 : 128}`
}
