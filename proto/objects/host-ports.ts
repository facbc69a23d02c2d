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

/** "80/TCP", "10.0.0.1:53/UDP". */
export function formatHostPort({ protocol, port, address }: HostPortClaim): string {
  const host = address.includes(':') ? `[${address}]` : address
  return `${host === '' ? '' : `${host}:`}${port}/${protocol}`
}
