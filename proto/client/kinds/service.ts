import type { Service } from '../../gen/types.ts'
import type { KindRecord } from './kind-record.ts'
import { ready, waiting, wordOf, type Readiness } from './readiness.ts'

export const service: KindRecord<'Service'> = {
  readiness: serviceReadiness,
  async describe(object, { cluster }) {
    const { serviceEntries, serviceSurroundings } = await import('../describe/service.ts')
    return serviceEntries(object, await serviceSurroundings(cluster, object))
  },
  inAll: 3,
  pods: { are: 'served', selector: ({ spec }) => ({ matchLabels: spec.selector ?? {} }) },
  ports: ({ spec }) => (spec.ports ?? []).map(({ port, protocol, name = '' }) => ({ port, protocol, name })),
}

/** A load balancer is ready once it has an address. */
function serviceReadiness(object: Service): Readiness {
  const { spec, status } = object
  const word = wordOf(object)
  if (spec.type !== 'LoadBalancer' || (status.loadBalancer?.ingress ?? []).length > 0) return ready(`${word} is ready`)
  const problem = status.conditions?.find(
    ({ type, status: said }) => type === 'LoadBalancerPortsError' && said === 'True',
  )
  return waiting(`${word}: ${problem?.message ?? 'has no address to be reached at from outside'}`)
}
