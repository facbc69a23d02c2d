/**
 * Which address a node may have. Other nodes send their pods' packets there, so a node's own word is not enough: its
 * session must come from the address, or an administrator must have listed it. Pure.
 */
import { formatAddress, rangeContains, readAddress, readCidr, type AddressRange } from '../../proto/base/cidr.ts'

/** Addresses that mean something else on every machine (RFC 6890). */
const SPECIAL = (
  [
    ['0.0.0.0/8', 'no address of a machine'],
    ['127.0.0.0/8', 'a loopback address'],
    ['169.254.0.0/16', 'a link-local address'],
    ['224.0.0.0/4', 'a multicast address'],
    ['240.0.0.0/4', 'a reserved address'],
    ['::/128', 'no address of a machine'],
    ['::1/128', 'a loopback address'],
    ['::ffff:0:0/96', 'an IPv4 address in the form of IPv6'],
    ['fe80::/10', 'a link-local address'],
    ['ff00::/8', 'a multicast address'],
  ] as const
).map(([cidr, what]) => ({ range: readCidr(cidr)!, what }))

/** What is known where a node claims an address. */
export interface AddressContext {
  /** The address that the node's session comes from; undefined if that is not known. */
  readonly peer: string | undefined
  /** Whether the node has the address already. */
  readonly had: boolean
  /** Another node that has the address. */
  readonly other: { readonly name: string; readonly lost: boolean } | undefined
  /** host:port of each controller. */
  readonly controllers: readonly string[]
  /** Ranges that pods and Services have their addresses from. */
  readonly given: readonly string[]
  /** Ranges that an administrator lists for nodes. */
  readonly listed: readonly string[]
}

/** Why a node cannot have the address: a sentence's end, undefined if it can. */
export function addressFlaw(
  text: string,
  { peer, had, other, controllers, given, listed }: AddressContext,
): string | undefined {
  const address = rangeOf(text)
  if (address === undefined) return 'is not an IP address'
  const comesFrom = peer === canonical(text)
  const special = SPECIAL.find(({ range }) => rangeContains(range, address))
  // A node on the controller's own machine, which has no network, has no other.
  if (special !== undefined && !(comesFrom && special.what === 'a loopback address')) return `is ${special.what}`
  const taken = given.find((cidr) => rangeContains(readCidr(cidr)!, address))
  if (taken !== undefined) return `is of ${taken}, from which pods or Services have their addresses`
  // Who comes from there while the other is lost has taken its place.
  if (other !== undefined && !(other.lost && comesFrom)) return `is the address of node ${other.name}`
  if (comesFrom || had) return undefined
  if (controllers.some((controller) => canonical(hostOf(controller)) === canonical(text)))
    return 'is the address of a controller'
  if (listed.some((cidr) => rangeContains(readCidr(cidr)!, address))) return undefined
  return `is not the address that its session comes from, ${peer ?? 'which is not known'}, and not of a range that the controllers' setting nodeAddresses lists`
}

/** "10.0.0.1" of "10.0.0.1:40222" or "[::ffff:10.0.0.1]:40222"; undefined for what is no address. */
export function peerAddress(peer: string): string | undefined {
  const address = readAddress(hostOf(peer))
  if (address === undefined) return undefined
  const mapped = address.family === 6 && address.value >> 32n === 0xffffn
  return mapped ? formatAddress(4, address.value & 0xffffffffn) : formatAddress(address.family, address.value)
}

/** One form of an address for all ways to write it; what is none stays as it is. */
export function canonical(text: string): string {
  const address = readAddress(text)
  return address === undefined ? text : formatAddress(address.family, address.value)
}

function hostOf(place: string): string {
  return place.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1')
}

function rangeOf(text: string): AddressRange | undefined {
  const address = readAddress(text)
  return address === undefined ? undefined : { family: address.family, first: address.value, last: address.value }
}
