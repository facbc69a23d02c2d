/**
 * Ports of a node that pods take: https://kubernetes.io/docs/concepts/configuration/overview/#services (hostPort).
 * Pure.
 */
import type { Pod } from '../gen/types.ts'
import { readAddress } from '../base/cidr.ts'

export interface HostPortClaim {
  readonly protocol: string
  readonly port: number
  /** The node's address meant; '' for all of them. */
  readonly address: string
}

/** What a pod takes of its node: its hostPorts, and in the node's network every port that it declares. */
export function hostPortClaims({ spec }: Pick<Pod, 'spec'>): HostPortClaim[] {
  return [...spec.containers, ...(spec.initContainers ?? [])].flatMap(({ ports = [] }) =>
    ports.flatMap(({ hostPort = 0, containerPort, protocol, hostIP = '' }): HostPortClaim[] => {
      const port = hostPort !== 0 ? hostPort : spec.hostNetwork === true ? containerPort : 0
      return port === 0 ? [] : [{ protocol, port, address: hostIP }]
    }),
  )
}

/** True if two pods cannot have both on one node. */
export function portsClash(a: HostPortClaim, b: HostPortClaim): boolean {
  return a.protocol === b.protocol && a.port === b.port && addressesMeet(a.address, b.address)
}

function addressesMeet(a: string, b: string): boolean {
  if (a === '' || b === '') return true
  const [one, other] = [readAddress(a), readAddress(b)]
  if (one === undefined || other === undefined) return a === b
  // 0.0.0.0 and :: are all of a family.
  return one.family === other.family && (one.value === 0n || other.value === 0n || one.value === other.value)
}

/** What is claimed of one port. */
interface PortAddresses {
  /** Some claim is of all addresses. */
  everywhere: boolean
  /** Each in one form; those that are none as they are. */
  readonly addresses: Set<string>
  /** Families of which some address is claimed, and of which all are. */
  readonly families: Set<number>
  readonly wholeFamilies: Set<number>
}

/** Claims of which it is known in short time whether another clashes with one of them, however many they are. */
export class HostPortSet {
  readonly #ports = new Map<string, PortAddresses>()

  add({ protocol, port, address }: HostPortClaim): void {
    const key = `${port}/${protocol}`
    let claimed = this.#ports.get(key)
    if (claimed === undefined)
      this.#ports.set(
        key,
        (claimed = { everywhere: false, addresses: new Set(), families: new Set(), wholeFamilies: new Set() }),
      )
    const { family, value, text } = addressOf(address)
    if (address === '') claimed.everywhere = true
    else claimed.addresses.add(text)
    if (family === undefined) return
    claimed.families.add(family)
    if (value === 0n) claimed.wholeFamilies.add(family)
  }

  clashesWith({ protocol, port, address }: HostPortClaim): boolean {
    const claimed = this.#ports.get(`${port}/${protocol}`)
    if (claimed === undefined) return false
    if (claimed.everywhere || address === '') return true
    const { family, value, text } = addressOf(address)
    if (claimed.addresses.has(text)) return true
    return family !== undefined && (claimed.wholeFamilies.has(family) || (value === 0n && claimed.families.has(family)))
  }
}

function addressOf(text: string): { readonly family?: number; readonly value?: bigint; readonly text: string } {
  const address = readAddress(text)
  return address === undefined ? { text } : { ...address, text: `${address.family} ${address.value}` }
}

/** "80/TCP", "10.0.0.1:53/UDP". */
export function formatHostPort({ protocol, port, address }: HostPortClaim): string {
  const host = address.includes(':') ? `[${address}]` : address
  return `${host === '' ? '' : `${host}:`}${port}/${protocol}`
}
