/** What a pod counts as. https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/ */
import { parseTime } from '../base/time.ts'
import type { Pod } from '../gen/types.ts'
import { findCondition, isConditionTrue } from './conditions.ts'
import { isDeleting } from './deletion.ts'

type PodState = Pick<Pod, 'status'>

/** It has neither ended nor been told to end. */
export function isActive(pod: Pick<Pod, 'metadata' | 'status'>): boolean {
  return !isTerminal(pod) && !isDeleting(pod)
}

/** All its containers have ended, for good: it takes nothing of its node any more. */
export function isTerminal({ status: { phase } }: PodState): boolean {
  return phase === 'Succeeded' || phase === 'Failed'
}

/** It has been given a node. */
export function isBound({ spec }: Pick<Pod, 'spec'>): boolean {
  return spec.nodeName !== undefined && spec.nodeName !== ''
}

export function isReady({ status }: PodState): boolean {
  return isConditionTrue(status.conditions, 'Ready')
}

/** Milliseconds since 1970; undefined while it is not ready. */
export function readySince({ status }: PodState): number | undefined {
  const condition = findCondition(status.conditions, 'Ready')
  if (condition?.status !== 'True') return undefined
  return condition.lastTransitionTime === undefined ? undefined : parseTime(condition.lastTransitionTime)
}

/**
 * Milliseconds until a ready pod has been ready for long enough to count as available: 0 if it is; undefined if it is
 * not ready.
 */
export function availableIn(pod: PodState, minReadySeconds: number, now: number): number | undefined {
  if (!isReady(pod)) return undefined
  if (minReadySeconds === 0) return 0
  return Math.max(0, (readySince(pod) ?? now) + minReadySeconds * 1000 - now)
}

/** Milliseconds since 1970 at which it was given its node, or else was made; 0 if neither is told. */
export function scheduledAt({ metadata, status }: Pick<Pod, 'metadata' | 'status'>): number {
  const time = findCondition(status.conditions, 'PodScheduled')?.lastTransitionTime ?? metadata.creationTimestamp
  return time === undefined ? 0 : parseTime(time)
}
