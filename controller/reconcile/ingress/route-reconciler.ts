/** Says in an HTTPRoute what its Gateways make of it. Keys are HTTPRoutes. */
import { isParent } from '../../../proto/objects/ingress/attachment.ts'
import { servesGateway } from '../../../proto/objects/ingress/classes.ts'
import { sameJson } from '../../../proto/base/json.ts'
import { isDeleting } from '../../../proto/objects/deletion.ts'
import type { HTTPRoute } from '../../../proto/gen/types.ts'
import type { WriteContext } from '../../api/contract.ts'
import { keyOf, splitKey } from '../../runner/key.ts'
import { watchSource, writeContext, type Reconciler, type ReconcileParts } from '../../runner/runner.ts'
import { labelsOf, partsOf } from './gateway-reconciler.ts'
import { planRouteStatus } from './route-plan.ts'

export class RouteStatusReconciler implements Reconciler {
  readonly name = 'httproute-status'
  readonly concurrency = 4
  readonly watches
  readonly #parts: ReconcileParts
  readonly #context: WriteContext

  constructor(parts: ReconcileParts) {
    this.#parts = parts
    this.#context = writeContext(parts, this.name)
    const routes = (fits: (route: HTTPRoute) => boolean = () => true): string[] =>
      parts.informer.lister('HTTPRoute').list().filter(fits).map(keyOf)
    this.watches = [
      watchSource('HTTPRoute', ({ cached }) => [keyOf(cached.object)]),
      watchSource('Gateway', ({ type, cached: { object }, previous }) =>
        type === 'modified' && sameJson(object.spec, previous?.object.spec)
          ? []
          : routes((route) => (route.spec.parentRefs ?? []).some((parent) => isParent(parent, route, object))),
      ),
      watchSource('GatewayClass', () => routes()),
      watchSource('ReferenceGrant', () => routes()),
      watchSource('Namespace', ({ type, cached, previous }) =>
        type === 'modified' && sameJson(cached.object.metadata.labels, previous?.object.metadata.labels)
          ? []
          : routes(({ metadata }) => metadata.namespace === cached.object.metadata.name),
      ),
      watchSource('Service', ({ type, cached: { object }, previous }) =>
        type === 'modified' && sameJson(object.spec.ports, previous?.object.spec.ports)
          ? []
          : routes((route) => names(route, object.metadata.namespace, object.metadata.name)),
      ),
    ]
  }

  async reconcile(key: string): Promise<undefined> {
    const { namespace, name } = splitKey(key)
    const { informer, api, clock } = this.#parts
    const route = informer.lister('HTTPRoute').get(namespace, name)
    if (route === undefined || isDeleting(route)) return undefined
    const classes = informer.lister('GatewayClass').list()
    const status = planRouteStatus(
      route,
      {
        gateways: informer
          .lister('Gateway')
          .list()
          .filter((gateway) => servesGateway(gateway, classes)),
        grants: informer.lister('ReferenceGrant').list(),
        serviceOf: (place) => informer.lister('Service').get(...partsOf(place)),
        labelsOf: (place) => labelsOf(informer.lister('Namespace').get('', place)),
      },
      clock.now(),
    )
    if (sameJson(status, { parents: [], ...route.status })) return undefined
    await api.mutate(
      'HTTPRoute',
      namespace,
      name,
      'status',
      (stored) => {
        if (stored.metadata.uid !== route.metadata.uid) return false
        stored.status = status
        return undefined
      },
      this.#context,
    )
    return undefined
  }
}

function names({ metadata, spec }: HTTPRoute, namespace: string, name: string): boolean {
  return (spec.rules ?? []).some(({ backendRefs = [] }) =>
    backendRefs.some((ref) => ref.name === name && (ref.namespace ?? metadata.namespace) === namespace),
  )
}
