/**
 * What the Gateways that Gantry serves make of an HTTPRoute. Pure.
 * https://gateway-api.sigs.k8s.io/reference/spec/#routeparentstatus
 */
import {
  attach,
  isParent,
  type NamespaceLabels,
  type ConditionProblem,
} from '../../../proto/objects/ingress/attachment.ts'
import { INGRESS_CONTROLLER_NAME } from '../../../proto/objects/ingress/classes.ts'
import { backendService } from '../../../proto/objects/ingress/references.ts'
import type {
  Gateway,
  HTTPRoute,
  HTTPRouteStatus,
  ReferenceGrant,
  RouteParentStatus,
  Service,
} from '../../../proto/gen/types.ts'
import { applyConditions, type ConditionUpdate } from './conditions.ts'
import { sameJson } from '../../../proto/base/json.ts'

export interface RouteSnapshot {
  /** All that Gantry serves. */
  readonly gateways: readonly Gateway[]
  readonly grants: readonly ReferenceGrant[]
  readonly serviceOf: (key: string) => Service | undefined
  readonly labelsOf: NamespaceLabels
}

/** One entry for each parentRef to such a Gateway; those of other controllers stay. */
export function planRouteStatus(
  route: HTTPRoute,
  { gateways, grants, serviceOf, labelsOf }: RouteSnapshot,
  now: number,
): HTTPRouteStatus {
  const before = route.status.parents ?? []
  const resolved = resolvedRefs(route, grants, serviceOf)
  const own = (route.spec.parentRefs ?? []).flatMap((parentRef): RouteParentStatus[] => {
    const gateway = gateways.find((candidate) => isParent(parentRef, route, candidate))
    if (gateway === undefined) return []
    const attachments = attach(route, parentRef, gateway, labelsOf)
    const accepted: ConditionUpdate =
      'reason' in attachments
        ? { type: 'Accepted', status: 'False', ...attachments }
        : {
            type: 'Accepted',
            status: 'True',
            reason: 'Accepted',
            message: `Attached to ${attachments.map(({ listener }) => listener.name).join(', ')}`,
          }
    const known = before.find(
      (status) => status.controllerName === INGRESS_CONTROLLER_NAME && sameJson(status.parentRef, parentRef),
    )
    return [
      {
        parentRef,
        controllerName: INGRESS_CONTROLLER_NAME,
        conditions: applyConditions(known?.conditions, [accepted, resolved], route.metadata.generation, now),
      },
    ]
  })
  return {
    ...route.status,
    parents: [...before.filter(({ controllerName }) => controllerName !== INGRESS_CONTROLLER_NAME), ...own],
  }
}

function resolvedRefs(
  route: HTTPRoute,
  grants: readonly ReferenceGrant[],
  serviceOf: RouteSnapshot['serviceOf'],
): ConditionUpdate {
  const refs = (route.spec.rules ?? []).flatMap(({ backendRefs = [] }) => backendRefs)
  const problems = refs.flatMap((ref): ConditionProblem[] => {
    const found = backendService(ref, route.metadata.namespace, grants, serviceOf)
    return 'problem' in found ? [found.problem] : []
  })
  const [first] = problems
  return first === undefined
    ? { type: 'ResolvedRefs', status: 'True', reason: 'ResolvedRefs', message: 'Everything that it refers to is there' }
    : {
        type: 'ResolvedRefs',
        status: 'False',
        reason: first.reason,
        message: [...new Set(problems.map(({ message }) => message))].join('; '),
      }
}
