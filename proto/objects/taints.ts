/**
 * Taints keep pods away that do not tolerate them.
 * https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/
 */
import type { Node, PodSpec, Taint, Toleration } from '../gen/types.ts'

interface Tolerating {
  readonly spec: Pick<PodSpec, 'tolerations'>
}

/**
 * What a cordon counts as for tolerations.
 * https://kubernetes.io/docs/reference/labels-annotations-taints/#node-kubernetes-io-unschedulable
 */
export const UNSCHEDULABLE_TAINT: Taint = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' }

/**
 * Whether one toleration covers a taint: same effect (or any), same key (or any, with Exists), same value (or Exists).
 */
function toleratesTaint(
  { key = '', operator = 'Equal', value = '', effect }: Toleration,
  taint: Pick<Taint, 'key' | 'value' | 'effect'>,
): boolean {
  if (effect !== undefined && effect !== taint.effect) return false
  if (key === '') return operator === 'Exists'
  return key === taint.key && (operator === 'Exists' || value === (taint.value ?? ''))
}

/** The pod's first toleration of the taint. */
export function tolerationOf({ spec }: Tolerating, taint: Taint): Toleration | undefined {
  return spec.tolerations?.find((toleration) => toleratesTaint(toleration, taint))
}

export function tolerates(pod: Tolerating, taint: Taint): boolean {
  return tolerationOf(pod, taint) !== undefined
}

/** It makes its node less liked, and keeps no pod off it. */
export function isSoftTaint({ effect }: Pick<Taint, 'effect'>): boolean {
  return effect === 'PreferNoSchedule'
}

/** The first taint of the node that keeps the pod off it; PreferNoSchedule only makes the node less liked. */
export function repellingTaint(pod: Tolerating, { spec }: Pick<Node, 'spec'>): Taint | undefined {
  return spec.taints?.find((taint) => !isSoftTaint(taint) && !tolerates(pod, taint))
}

/** "key=value:effect", as `gantry taint` reads it. */
export function formatTaint({ key, value, effect }: Pick<Taint, 'key' | 'value' | 'effect'>): string {
  return `${key}${value === undefined || value === '' ? '' : `=${value}`}:${effect}`
}
