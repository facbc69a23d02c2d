/**
 * How far an object is from being what its spec says: what `rollout status`, `apply --wait` and a rig's `until` wait
 * for.
 */
import type { AnyResource, Condition } from '../../gen/types.ts'
import { findCondition } from '../../objects/conditions.ts'
import { kindWord } from '../kind-words.ts'

/** `text` is one sentence for a person that names the object. */
export type Readiness =
  | { readonly is: 'ready'; readonly text: string }
  | { readonly is: 'waiting'; readonly text: string }
  /** It will not become ready by itself. */
  | { readonly is: 'failed'; readonly text: string }

export const ready = (text: string): Readiness => ({ is: 'ready', text })
export const waiting = (text: string): Readiness => ({ is: 'waiting', text })
export const failed = (text: string): Readiness => ({ is: 'failed', text })

/** "deployment.apps/web" */
export function wordOf({ kind, metadata }: Pick<AnyResource, 'kind' | 'metadata'>): string {
  return `${kindWord(kind)}/${metadata.name}`
}

/** Of kinds without a state of their own: they are ready once they exist. */
export function readyOnceThere(object: AnyResource): Readiness {
  return ready(wordOf(object))
}

/** Whether the status tells of an older spec than the object has now. */
export function isOutdated(
  { metadata }: Pick<AnyResource, 'metadata'>,
  observedGeneration: number | undefined,
): boolean {
  return (observedGeneration ?? 0) < (metadata.generation ?? 0)
}

/** Of kinds that say it by one condition, which must hold of the object's present generation. */
export function conditionReadiness(
  object: AnyResource,
  conditions: readonly Condition[] | undefined,
  type: string,
): Readiness {
  const word = wordOf(object)
  const condition = findCondition(conditions, type)
  if (condition === undefined || isOutdated(object, condition.observedGeneration))
    return waiting(`${word}: not seen yet`)
  return condition.status === 'True'
    ? ready(`${word} is ${type.toLowerCase()}`)
    : waiting(`${word}: ${condition.message ?? condition.reason ?? `not ${type}`}`)
}

/** Of kinds that have replicas without a rollout: all must be available. */
export function replicasReadiness(
  object: AnyResource,
  wanted: number,
  status: { readonly observedGeneration?: number | undefined; readonly availableReplicas?: number | undefined },
): Readiness {
  const word = wordOf(object)
  if (isOutdated(object, status.observedGeneration)) return waiting(`${word}: not seen yet`)
  const { availableReplicas = 0 } = status
  return availableReplicas < wanted
    ? waiting(`${word}: ${availableReplicas} of ${wanted} replicas are available`)
    : ready(`${word} is available`)
}
