/** What holds of a Gateway and its listeners. Pure. https://gateway-api.sigs.k8s.io/reference/spec/#gatewaystatus */
import {
  attach,
  GATEWAY_GROUP,
  isParent,
  listenerConflict,
  listenerProblem,
  portProtocols,
  routeKinds,
  type NamespaceLabels,
  type ConditionProblem,
} from '../../../proto/objects/ingress/attachment.ts'
import { NO_INGRESS_NODE_MESSAGE } from '../../../proto/objects/ingress/classes.ts'
import { certificateProblem, certificateReferences } from '../../../proto/objects/ingress/references.ts'
import { isConditionTrue } from '../../../proto/objects/conditions.ts'
import type {
  Gateway,
  GatewayStatus,
  HTTPRoute,
  Listener,
  ListenerStatus,
  ReferenceGrant,
  Secret,
} from '../../../proto/gen/types.ts'
import { applyConditions, type ConditionUpdate } from './conditions.ts'

/** Where Ingresses are served: the agents' settings may say otherwise, and then their events tell of a clash. */
const INGRESS_PORTS: ReadonlyMap<number, string> = new Map([
  [80, 'HTTP'],
  [443, 'HTTPS'],
])

export interface GatewaySnapshot {
  /** All that Gantry serves. */
  readonly gateways: readonly Gateway[]
  readonly routes: readonly HTTPRoute[]
  readonly grants: readonly ReferenceGrant[]
  readonly secretOf: (key: string) => Secret | undefined
  readonly labelsOf: NamespaceLabels
  /** Of the ready ingress nodes. */
  readonly addresses: readonly string[]
  /** Whether there is an ingress node, ready or not. */
  readonly hasIngressNodes: boolean
}

export function planGatewayStatus(gateway: Gateway, snapshot: GatewaySnapshot, now: number): GatewayStatus {
  const protocols = portProtocols(snapshot.gateways, INGRESS_PORTS)
  const listeners = gateway.spec.listeners.map((listener) =>
    listenerStatus(gateway, listener, protocols, snapshot, now),
  )
  const good = listeners.filter(({ conditions = [] }) => isConditionTrue(conditions, 'Programmed')).length
  const accepted = listeners.filter(({ conditions = [] }) => isConditionTrue(conditions, 'Accepted')).length
  const all = listeners.length
  const verdicts: ConditionUpdate[] = [
    accepted === 0
      ? {
          type: 'Accepted',
          status: 'False',
          reason: 'ListenersNotValid',
          message: 'None of its listeners can be served',
        }
      : {
          type: 'Accepted',
          status: 'True',
          reason: accepted < all ? 'ListenersNotValid' : 'Accepted',
          message:
            accepted < all ? `${all - accepted} of its ${all} listeners cannot be served` : 'The entrance serves it',
        },
    programmed(good, all, snapshot),
  ]
  return {
    ...gateway.status,
    addresses: snapshot.addresses.map((value) => ({ type: 'IPAddress', value })),
    conditions: applyConditions(gateway.status.conditions, verdicts, gateway.metadata.generation, now),
    listeners,
  }
}

function programmed(good: number, all: number, { addresses, hasIngressNodes }: GatewaySnapshot): ConditionUpdate {
  if (addresses.length === 0)
    return {
      type: 'Programmed',
      status: 'False',
      reason: 'AddressNotAssigned',
      message: hasIngressNodes ? 'No node of the entrance is ready' : NO_INGRESS_NODE_MESSAGE,
    }
  if (good === 0)
    return { type: 'Programmed', status: 'False', reason: 'Invalid', message: 'None of its listeners is served' }
  return {
    type: 'Programmed',
    status: 'True',
    reason: 'Programmed',
    message: `${good} of its ${all} listeners ${good === 1 ? 'is' : 'are'} served by ${addresses.length} addresses`,
  }
}

function listenerStatus(
  gateway: Gateway,
  listener: Listener,
  protocols: ReadonlyMap<number, string>,
  snapshot: GatewaySnapshot,
  now: number,
): ListenerStatus {
  const problem = listenerProblem(listener)
  const conflict = problem === undefined ? listenerConflict(listener, protocols) : undefined
  const references = referenceProblem(gateway, listener, snapshot)
  const kinds = routeKinds(listener)
  const before = gateway.status.listeners?.find(({ name }) => name === listener.name)
  const first = problem ?? conflict
  const unresolved = references.problem
  const unserved = first ?? (references.certificates === 0 ? unresolved : undefined)
  const verdicts: ConditionUpdate[] = [
    first === undefined
      ? { type: 'Accepted', status: 'True', reason: 'Accepted', message: 'The entrance serves it' }
      : {
          type: 'Accepted',
          status: 'False',
          reason: first.reason === 'ProtocolConflict' ? 'PortUnavailable' : first.reason,
          message: first.message,
        },
    conflict === undefined
      ? {
          type: 'Conflicted',
          status: 'False',
          reason: 'NoConflicts',
          message: 'No other listener wants its port otherwise',
        }
      : { type: 'Conflicted', status: 'True', ...conflict },
    unresolved === undefined
      ? {
          type: 'ResolvedRefs',
          status: 'True',
          reason: 'ResolvedRefs',
          message: 'Everything that it refers to is there',
        }
      : { type: 'ResolvedRefs', status: 'False', ...unresolved },
    unserved === undefined
      ? { type: 'Programmed', status: 'True', reason: 'Programmed', message: 'It is served' }
      : { type: 'Programmed', status: 'False', reason: 'Invalid', message: unserved.message },
  ]
  return {
    name: listener.name,
    supportedKinds: kinds.httpRoutes && problem === undefined ? [{ group: GATEWAY_GROUP, kind: 'HTTPRoute' }] : [],
    attachedRoutes: snapshot.routes.filter((route) => isAttached(route, gateway, listener, snapshot.labelsOf)).length,
    conditions: applyConditions(before?.conditions, verdicts, gateway.metadata.generation, now),
  }
}

/** What is wrong with kinds and certificates, and how many certificates are good (-1: none is needed). */
function referenceProblem(
  gateway: Gateway,
  listener: Listener,
  { grants, secretOf }: GatewaySnapshot,
): { readonly problem: ConditionProblem | undefined; readonly certificates: number } {
  const { unknown } = routeKinds(listener)
  const kinds: ConditionProblem | undefined =
    unknown.length === 0
      ? undefined
      : { reason: 'InvalidRouteKinds', message: `Routes of kind ${unknown.join(', ')} are not served` }
  if (listener.protocol !== 'HTTPS') return { problem: kinds, certificates: -1 }
  const problems = certificateReferences(gateway, listener, grants).map((reference) =>
    'problem' in reference ? reference.problem : certificateProblem(reference.key, secretOf(reference.key)),
  )
  return {
    problem: problems.find((problem) => problem !== undefined) ?? kinds,
    certificates: problems.filter((problem) => problem === undefined).length,
  }
}

function isAttached(route: HTTPRoute, gateway: Gateway, listener: Listener, labelsOf: NamespaceLabels): boolean {
  return (route.spec.parentRefs ?? []).some((parent) => {
    if (!isParent(parent, route, gateway)) return false
    const attachments = attach(route, parent, gateway, labelsOf)
    return !('reason' in attachments) && attachments.some((attachment) => attachment.listener.name === listener.name)
  })
}
