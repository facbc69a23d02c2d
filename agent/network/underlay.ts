/** The link by which the node reaches others, and how large a pod's packets may be for it. */
import type { AddressFamily } from '../../proto/base/cidr.ts'
import { readJson, type NodeCommands } from './node-commands.ts'

interface Link {
  readonly ifname: string
  readonly mtu: number
  readonly flags: readonly string[]
  readonly addr_info?: readonly { readonly family: string; readonly local?: string; readonly scope: string }[]
}

interface Route {
  readonly dev?: string
}

/**
 * Bytes that VXLAN puts before an Ethernet frame's payload, its own Ethernet header among them: 14 + 8 (VXLAN) + 8
 * (UDP), and the outer header, 20 or 40 (RFC 7348, section 5).
 */
const VXLAN_OVERHEAD: Readonly<Record<AddressFamily, number>> = { 4: 50, 6: 70 }
const DEFAULT_MTU = 1500

/**
 * The MTU of pods: that of the link with the node's address, else of the default route's, less what VXLAN needs. Also
 * between nodes on one link, where nothing is put before a packet: a pod has one MTU for all it talks to, and a node
 * behind a router may join at any time.
 */
export function podMtu(links: readonly Link[], routes: readonly Route[], address: string | undefined): number {
  const holder = (device: string | undefined): Link | undefined => links.find(({ ifname }) => ifname === device)
  const own =
    address === undefined ? undefined : links.find(({ addr_info }) => addr_info?.some(({ local }) => local === address))
  const link = own ?? routes.map(({ dev }) => holder(dev)).find((found) => found !== undefined)
  const family: AddressFamily = address?.includes(':') === true ? 6 : 4
  const onlyIpv6 =
    link !== undefined &&
    link.addr_info?.some(({ family: has, scope }) => has === 'inet6' && scope === 'global') === true &&
    !link.addr_info.some(({ family: has }) => has === 'inet')
  return (link?.mtu ?? DEFAULT_MTU) - VXLAN_OVERHEAD[address === undefined && onlyIpv6 ? 6 : family]
}

export async function findPodMtu(node: NodeCommands, address: string | undefined): Promise<number> {
  const [links, ...routes] = await Promise.all([
    node('ip', ['-json', 'addr']),
    node('ip', ['-json', 'route', 'show', 'default']),
    node('ip', ['-json', '-6', 'route', 'show', 'default'], [0, 1, 2]),
  ])
  return podMtu(
    readJson<Link>(links.stdout),
    routes.flatMap(({ code, stdout }) => (code === 0 ? readJson<Route>(stdout) : [])),
    address,
  )
}
