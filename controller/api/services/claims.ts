/** Claims: what Services hold that only one may have, as keys of the store. */
import { HEADLESS } from '../../../proto/validation/service.ts'
import type { Service, ServiceSpec } from '../../../proto/gen/types.ts'
import type { Entry } from '../../store/contract.ts'
import { canonical } from './service-range.ts'

const PREFIX = '/gantry-allocations/'

/** What is claimed, and where the Service says so. */
export interface Claim {
  readonly key: string
  readonly field: string
  readonly value: string
}

export function addressKey(address: string): string {
  return `${PREFIX}address/${canonical(address)}`
}

/** The same for every protocol: a node port is one Service's, whichever it speaks. */
export function nodePortKey(port: number): string {
  return `${PREFIX}nodeport/${port}`
}

/** By key: all that a Service holds, as its spec says. */
export function claimsOf({
  clusterIPs = [],
  ports = [],
  healthCheckNodePort = 0,
}: ServiceSpec): ReadonlyMap<string, Claim> {
  const claims = new Map<string, Claim>()
  const add = (key: string, field: string, value: string | number): void =>
    void (claims.has(key) || claims.set(key, { key, field, value: String(value) }))
  clusterIPs.forEach((address, index) => {
    if (address !== HEADLESS)
      add(addressKey(address), index === 0 ? 'spec.clusterIP' : `spec.clusterIPs[${index}]`, address)
  })
  ports.forEach(({ nodePort = 0 }, index) => {
    if (nodePort !== 0) add(nodePortKey(nodePort), `spec.ports[${index}].nodePort`, nodePort)
  })
  if (healthCheckNodePort !== 0) add(nodePortKey(healthCheckNodePort), 'spec.healthCheckNodePort', healthCheckNodePort)
  return claims
}

/** "shop/web" */
export function holderName({ metadata: { namespace, name } }: Pick<Service, 'metadata'>): string {
  return `${namespace}/${name}`
}

export function claimValue(service: Service): Uint8Array {
  return Buffer.from(JSON.stringify({ service: holderName(service) }))
}

/** Who holds the claim of an entry. */
export function holderOf({ value }: Entry): string {
  return (JSON.parse(Buffer.from(value).toString()) as { service: string }).service
}
