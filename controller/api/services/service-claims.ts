/** What Services hold that only one may have: addresses and node ports. Pure. */
import { HEADLESS } from '../../../proto/validation/service.ts'
import type { Service } from '../../../proto/gen/types.ts'
import { CLAIMS_PREFIX, ClaimScheme, type Claim } from '../claims/claim.ts'
import { canonical } from './service-range.ts'

export function addressKey(address: string): string {
  return `${CLAIMS_PREFIX}address/${canonical(address)}`
}

/** The same for every protocol: a node port is one Service's, whichever it speaks. */
export function nodePortKey(port: number): string {
  return `${CLAIMS_PREFIX}nodeport/${port}`
}

export const SERVICE_CLAIMS = new ClaimScheme<'Service'>({
  kind: 'Service',
  owner: 'service',
  prefixes: ['address/', 'nodeport/'],
  claimsOf: serviceClaims,
})

export function serviceClaims({
  spec: { clusterIPs = [], ports = [], healthCheckNodePort = 0 },
}: Pick<Service, 'spec'>): ReadonlyMap<string, Claim> {
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
