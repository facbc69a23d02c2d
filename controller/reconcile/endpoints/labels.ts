/**
 * Labels and annotations of Endpoints that mean something.
 * https://kubernetes.io/docs/reference/labels-annotations-taints/
 */
import { isHeadless } from '../../../proto/validation/service.ts'
import type { Endpoints, Service } from '../../../proto/gen/types.ts'
import { API_SERVICE } from '../../api/services/service-allocator.ts'
import { HEADLESS_LABEL } from '../endpointslice/desired-endpoints.ts'

const MANAGED_BY = 'endpoints.kubernetes.io/managed-by'
const MANAGER = 'endpoint-controller'
export const OVER_CAPACITY = 'endpoints.kubernetes.io/over-capacity'
/** On Endpoints that are not to be copied to EndpointSlices. */
const SKIP_MIRROR = 'endpointslice.kubernetes.io/skip-mirror'
/** On Endpoints that are no endpoints of anything, but a lock that old clients elect their leader with. */
const LEADER = 'control-plane.alpha.kubernetes.io/leader'

/** What the Endpoints of a Service are labelled with. */
export function endpointsLabels(service: Service): Record<string, string> {
  const {
    metadata: { labels },
    spec,
  } = service
  return {
    ...labels,
    [MANAGED_BY]: MANAGER,
    ...(isHeadless(spec) && { [HEADLESS_LABEL]: '' }),
    ...(isApiService(service) && { [SKIP_MIRROR]: 'true' }),
  }
}

export function isApiService({ metadata: { namespace, name } }: Service | Endpoints): boolean {
  return namespace === API_SERVICE.namespace && name === API_SERVICE.name
}

export function isLeaderLock({ metadata: { annotations } }: Endpoints): boolean {
  return annotations?.[LEADER] !== undefined
}

/**
 * Whether somebody's Endpoints are to be copied to EndpointSlices, if there is a Service of that name that has no
 * selector.
 */
export function asksForMirror(endpoints: Endpoints): boolean {
  const { labels } = endpoints.metadata
  return labels?.[SKIP_MIRROR] !== 'true' && !isLeaderLock(endpoints) && !isApiService(endpoints)
}
