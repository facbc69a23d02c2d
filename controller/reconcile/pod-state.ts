/** What a pod counts as. https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/ */
import { parseTime } from '../../proto/base/time.ts'
import type { Pod } from '../../proto/gen/types.ts'
import { findCondition } from './conditions.ts'

/** It has neither ended nor been told to end. */
export function isActive(pod: Pod): boolean {
  return !isTerminal(pod) && pod.metadata.deletionTimestamp === undefined
}

export function isTerminal(pod: Pod): boolean {
  return pod.status.phase === 'Succeeded' || pod.status.phase === 'Failed'
}

export function isBound(pod: Pod): boolean {
  return pod.spec.nodeName !== undefined && pod.spec.nodeName !== ''
}

export function isReady(pod: Pod): boolean {
  return findCondition(pod.status.conditions, 'Ready')?.status === 'True'
}

/** Milliseconds since 1970; undefined while it is not ready. */
export function readySince(pod: Pod): number | undefined {
  const condition = findCondition(pod.status.conditions, 'Ready')
  if (condition?.status !== 'True') return undefined
  return condition.lastTransitionTime === undefined ? undefined : parseTime(condition.lastTransitionTime)
}

/**
 * Milliseconds until a ready pod has been ready for long enough to count as available: 0 if it is; undefined if it is
 * not ready.
 */
export function availableIn(pod: Pod, minReadySeconds: number, now: number): number | undefined {
  if (!isReady(pod)) return undefined
  if (minReadySeconds === 0) return 0
  return Math.max(0, (readySince(pod) ?? now) + minReadySeconds * 1000 - now)
}
