/** How far an object is from being what its spec says: what `rollout status`, `apply --wait` and `run` wait for. */
import { isReady } from '../objects/pod.ts'
import { findCondition, isConditionTrue } from '../objects/conditions.ts'
import type {
  AnyResource,
  Condition,
  CustomResourceDefinition,
  Deployment,
  HTTPRoute,
  Pod,
  ReplicaSet,
  Service,
} from '../gen/types.ts'
import { kindWord } from './kind-words.ts'
import { summarizePod } from '../objects/columns/pod-status.ts'

export type Readiness =
  | { readonly is: 'ready'; readonly text: string }
  | { readonly is: 'waiting'; readonly text: string }
  /** It will not become ready by itself. */
  | { readonly is: 'failed'; readonly text: string }

const waiting = (text: string): Readiness => ({ is: 'waiting', text })
const ready = (text: string): Readiness => ({ is: 'ready', text })

/** A deployment's rollout, in the sentences of `kubectl rollout status`. */
export function rolloutReadiness({ metadata, spec, status }: Deployment): Readiness {
  const { name, generation = 0 } = metadata
  const { observedGeneration = 0, updatedReplicas = 0, replicas = 0, availableReplicas = 0, conditions = [] } = status
  if (observedGeneration < generation) return waiting('Waiting for deployment spec update to be observed...')
  const progressing = findCondition(conditions, 'Progressing')
  if (progressing?.reason === 'ProgressDeadlineExceeded')
    return { is: 'failed', text: `deployment "${name}" exceeded its progress deadline` }
  const begin = `Waiting for deployment "${name}" rollout to finish: `
  if (updatedReplicas < spec.replicas)
    return waiting(`${begin}${updatedReplicas} out of ${spec.replicas} new replicas have been updated...`)
  if (replicas > updatedReplicas)
    return waiting(`${begin}${replicas - updatedReplicas} old replicas are pending termination...`)
  if (availableReplicas < updatedReplicas)
    return waiting(`${begin}${availableReplicas} of ${updatedReplicas} updated replicas are available...`)
  return ready(`deployment "${name}" successfully rolled out`)
}

function replicaSetReadiness({ metadata, spec, status }: ReplicaSet): Readiness {
  const word = `replicaset.apps/${metadata.name}`
  if ((status.observedGeneration ?? 0) < (metadata.generation ?? 0)) return waiting(`${word}: not seen yet`)
  const { availableReplicas = 0 } = status
  return availableReplicas < spec.replicas
    ? waiting(`${word}: ${availableReplicas} of ${spec.replicas} replicas are available`)
    : ready(`${word} is available`)
}

function podReadiness(pod: Pod): Readiness {
  const word = `pod/${pod.metadata.name}`
  if (pod.status.phase === 'Failed')
    return { is: 'failed', text: `${word} failed: ${pod.status.message ?? summarizePod(pod).status}` }
  const done = pod.status.phase === 'Succeeded' || isReady(pod)
  return done ? ready(`${word} is ready`) : waiting(`${word}: ${summarizePod(pod).status}`)
}

/** A load balancer is ready once it has an address. */
function serviceReadiness({ metadata, spec, status }: Service): Readiness {
  const word = `service/${metadata.name}`
  if (spec.type !== 'LoadBalancer' || (status.loadBalancer?.ingress ?? []).length > 0) return ready(`${word} is ready`)
  const problem = status.conditions?.find(
    ({ type, status: said }) => type === 'LoadBalancerPortsError' && said === 'True',
  )
  return waiting(`${word}: ${problem?.message ?? 'has no address to be reached at from outside'}`)
}

/** A condition that must hold of the object's present generation. */
function conditionReadiness(
  { kind, metadata }: AnyResource,
  conditions: readonly Condition[] | undefined,
  type: string,
): Readiness {
  const word = `${kindWord(kind)}/${metadata.name}`
  const condition = findCondition(conditions, type)
  if (condition === undefined || (condition.observedGeneration ?? 0) < (metadata.generation ?? 0))
    return waiting(`${word}: not seen yet`)
  return condition.status === 'True'
    ? ready(`${word} is ${type.toLowerCase()}`)
    : waiting(`${word}: ${condition.message ?? condition.reason ?? `not ${type}`}`)
}

function routeReadiness(route: HTTPRoute): Readiness {
  const parents = route.status.parents ?? []
  const states = parents.map(({ conditions }) => conditionReadiness(route, conditions, 'Accepted'))
  if (parents.length < (route.spec.parentRefs ?? []).length)
    return waiting(`${kindWord('HTTPRoute')}/${route.metadata.name}: not seen yet`)
  return states.find(({ is }) => is !== 'ready') ?? ready(`${kindWord('HTTPRoute')}/${route.metadata.name} is accepted`)
}

/** Kinds without a state of their own are ready once they exist. */
export function readinessOf(object: AnyResource): Readiness {
  switch (object.kind) {
    case 'Deployment':
      return rolloutReadiness(object)
    case 'ReplicaSet':
      return replicaSetReadiness(object)
    case 'Pod':
      return podReadiness(object)
    case 'Service':
      return serviceReadiness(object)
    case 'Ingress':
      return (object.status.loadBalancer?.ingress ?? []).length > 0
        ? ready(`${kindWord('Ingress')}/${object.metadata.name} is served`)
        : waiting(`${kindWord('Ingress')}/${object.metadata.name}: no node serves it`)
    case 'Network':
      return conditionReadiness(object, object.status.conditions, 'Ready')
    case 'Gateway':
      return conditionReadiness(object, object.status.conditions, 'Programmed')
    case 'HTTPRoute':
      return routeReadiness(object)
    case 'CustomResourceDefinition':
      return definitionReadiness(object)
    case 'Namespace':
    case 'Node':
    case 'ConfigMap':
    case 'Secret':
    case 'Event':
    case 'Lease':
    case 'NetworkPolicy':
    case 'EndpointSlice':
    case 'Endpoints':
    case 'ServiceAccount':
    case 'IngressClass':
    case 'GatewayClass':
    case 'ReferenceGrant':
      return ready(`${kindWord(object.kind)}/${object.metadata.name}`)
    default:
      return customReadiness(object)
  }
}

/** A definition is ready once its kind is served. */
function definitionReadiness({ kind, metadata, status: { conditions = [] } }: CustomResourceDefinition): Readiness {
  const word = `${kindWord(kind)}/${metadata.name}`
  const refused = conditions.find(({ type, status }) => type === 'NamesAccepted' && status === 'False')
  if (refused !== undefined) return { is: 'failed', text: `${word}: ${refused.message ?? 'its names are taken'}` }
  return isConditionTrue(conditions, 'Established')
    ? ready(`${word} is established`)
    : waiting(`${word}: not established yet`)
}

/** What a CustomResourceDefinition defines is as ready as it says itself, if it says it as other kinds do. */
function customReadiness(object: AnyResource): Readiness {
  const { conditions } = ((object as { status?: unknown }).status ?? {}) as { conditions?: unknown }
  const said = Array.isArray(conditions)
    ? (conditions as Condition[]).find((condition) => condition.type === 'Ready')
    : undefined
  const word = `${kindWord(object.kind)}/${object.metadata.name}`
  return said === undefined || said.status === 'True'
    ? ready(word)
    : waiting(`${word}: ${said.message ?? said.reason ?? 'not Ready'}`)
}
