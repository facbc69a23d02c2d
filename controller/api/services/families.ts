/**
 * Of which families a Service's addresses are. Pure.
 * https://kubernetes.io/docs/concepts/services-networking/dual-stack/#services
 */
import { GantryError } from '../../../proto/base/errors.ts'
import { describeObject } from '../../../proto/schema/schema.ts'
import { familyOf, isHeadless } from '../../../proto/validation/service.ts'
import type { Service } from '../../../proto/gen/types.ts'
import type { Family } from './service-range.ts'

const ALL: readonly Family[] = ['IPv4', 'IPv6']

/**
 * Fills in ipFamilies and ipFamilyPolicy, in place; `served` are the cluster's families, the preferred first.
 * InvalidArgument for those that the cluster has not.
 */
export function defaultIpFamilies(service: Service, served: readonly Family[]): void {
  const { spec } = service
  // Nobody but its owner knows the addresses: they may be of any family.
  const free = isHeadless(spec) && Object.keys(spec.selector ?? {}).length === 0
  if (free) spec.ipFamilyPolicy ??= 'RequireDualStack'
  const policy = (spec.ipFamilyPolicy ??= 'SingleStack')
  const families: Family[] = [...(spec.ipFamilies ?? [])]
  spec.clusterIPs?.forEach((address, index) => {
    const family = familyOf(address)
    if (family !== undefined) families[index] ??= family
  })
  if (families.length === 0) families.push(served[0]!)
  if (policy !== 'SingleStack' && families.length === 1)
    families.push(...(free ? ALL : served).filter((family) => family !== families[0]))
  families.forEach((family, index) => {
    if (!free && !served.includes(family))
      throw refused(
        service,
        `spec.ipFamilies[${index}]`,
        family,
        'is not a family of this cluster',
        `the cluster's Services have ${served.join(' and ')}`,
      )
  })
  if (policy === 'RequireDualStack' && families.length === 1)
    throw refused(
      service,
      'spec.ipFamilyPolicy',
      policy,
      'needs two families',
      `the cluster's Services have ${served[0]} only: use PreferDualStack`,
    )
  spec.ipFamilies = families
}

export function refused(service: Service, field: string, value: string, message: string, remedy: string): GantryError {
  return new GantryError(
    'InvalidArgument',
    `${describeObject(service)} is invalid: ${field}: ${value} ${message} (${remedy})`,
    { details: [{ field, value, message, remedy }] },
  )
}
