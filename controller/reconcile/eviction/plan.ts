/**
 * Which pods may not stay on a tainted node. Pure.
 * https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/#taint-based-evictions
 */
import { parseTime } from '../../../proto/base/time.ts'
import type { Node, Pod, Taint } from '../../../proto/gen/types.ts'
import { tolerationOf } from '../../../proto/objects/taints.ts'
import { isTerminal, scheduledAt } from '../../../proto/objects/pod.ts'
import { isDeleting } from '../../../proto/objects/deletion.ts'

export type Eviction =
  | { readonly kind: 'stay' }
  /** Tolerated for as many milliseconds more. */
  | { readonly kind: 'wait'; readonly millis: number }
  | { readonly kind: 'evict'; readonly taint: Taint }

/** The node's taints that let nothing run that does not tolerate them. */
export function noExecuteTaints(node: Node | undefined): Taint[] {
  return (node?.spec.taints ?? []).filter(({ effect }) => effect === 'NoExecute')
}

/**
 * A pod is judged by the taint that it tolerates for the shortest time; one that has ended, or is told to, stays as it
 * is.
 */
export function planEviction(pod: Pod, taints: readonly Taint[], now: number): Eviction {
  if (isTerminal(pod) || isDeleting(pod)) return { kind: 'stay' }
  let plan: Eviction = { kind: 'stay' }
  for (const taint of taints) {
    const millis = toleratedFor(pod, taint, now)
    if (millis <= 0) return { kind: 'evict', taint }
    if (millis < Infinity && (plan.kind !== 'wait' || millis < plan.millis)) plan = { kind: 'wait', millis }
  }
  return plan
}

/**
 * Milliseconds more; Infinity for good. The time counts from when the taint was added, or from when the pod came if
 * that was later.
 */
function toleratedFor(pod: Pod, taint: Taint, now: number): number {
  const toleration = tolerationOf(pod, taint)
  if (toleration === undefined) return 0
  const { tolerationSeconds } = toleration
  if (tolerationSeconds === undefined) return Infinity
  const since = Math.max(taint.timeAdded === undefined ? 0 : parseTime(taint.timeAdded), scheduledAt(pod))
  return since + Math.max(0, tolerationSeconds) * 1000 - now
}
