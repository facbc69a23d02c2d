/**
 * Services: their addresses and node ports are claimed in the transaction that writes them.
 * https://kubernetes.io/docs/concepts/services-networking/service/
 */
import { patchAllocatedValues } from './patch-allocated-values.ts'
import type { Strategy } from './strategy.ts'

export const serviceStrategy: Strategy<'Service'> = {
  participants: ['service-addresses'],
  prepareForUpdate: (next, stored) => patchAllocatedValues(next.spec, stored.spec),
}
