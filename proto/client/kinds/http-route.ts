import type { HTTPRoute } from '../../gen/types.ts'
import type { KindRecord } from './kind-record.ts'
import { conditionReadiness, ready, waiting, wordOf, type Readiness } from './readiness.ts'

export const httpRoute: KindRecord<'HTTPRoute'> = {
  readiness: routeReadiness,
  describe: async (object) => (await import('../describe/ingress.ts')).httpRouteEntries(object),
}

/** Every Gateway that the route names must accept it. */
function routeReadiness(route: HTTPRoute): Readiness {
  const parents = route.status.parents ?? []
  if (parents.length < (route.spec.parentRefs ?? []).length) return waiting(`${wordOf(route)}: not seen yet`)
  const states = parents.map(({ conditions }) => conditionReadiness(route, conditions, 'Accepted'))
  return states.find(({ is }) => is !== 'ready') ?? ready(`${wordOf(route)} is accepted`)
}
