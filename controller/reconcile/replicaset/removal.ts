/**
 * Which pods go first when there are too many: those whose loss costs least.
 * https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/#scaling-a-replicaset
 */
import { parseTime } from '../../../proto/base/time.ts'
import type { Pod } from '../../../proto/gen/types.ts'
import { isActive, isBound, isReady, readySince } from '../../../proto/objects/pod.ts'

/** A pod's annotation: one with a lower number goes before one with a higher (0 if it has none). */
export const DELETION_COST = 'controller.kubernetes.io/pod-deletion-cost'

const PHASES = ['Pending', 'Unknown', 'Running']

/**
 * The `count` pods to delete. `related` are all pods of the same workload: where many of them share a node, one of
 * those goes first.
 */
export function choosePods(pods: readonly Pod[], related: readonly Pod[], count: number): Pod[] {
  if (count >= pods.length) return [...pods]
  const perNode = new Map<string, number>()
  for (const pod of related)
    if (isActive(pod) && isBound(pod)) perNode.set(pod.spec.nodeName!, (perNode.get(pod.spec.nodeName!) ?? 0) + 1)
  const ranked = pods.map((pod) => ({ pod, rank: rankOf(pod, perNode) }))
  ranked.sort((a, b) => compare(a.rank, b.rank) || (a.pod.metadata.name < b.pod.metadata.name ? -1 : 1))
  return ranked.slice(0, count).map(({ pod }) => pod)
}

/** Numbers compared in turn; the lower goes first. */
function rankOf(pod: Pod, perNode: ReadonlyMap<string, number>): number[] {
  return [
    isBound(pod) ? 1 : 0,
    PHASES.indexOf(pod.status.phase ?? 'Pending'),
    isReady(pod) ? 1 : 0,
    deletionCost(pod),
    -(perNode.get(pod.spec.nodeName ?? '') ?? 0),
    -(readySince(pod) ?? 0),
    -restarts(pod),
    -(pod.metadata.creationTimestamp === undefined ? Infinity : parseTime(pod.metadata.creationTimestamp)),
  ]
}

function compare(a: readonly number[], b: readonly number[]): number {
  const at = a.findIndex((value, index) => value !== b[index])
  return at === -1 ? 0 : a[at]! < b[at]! ? -1 : 1
}

function deletionCost(pod: Pod): number {
  const text = pod.metadata.annotations?.[DELETION_COST] ?? '0'
  return /^-?\d{1,10}$/.test(text) ? Number(text) : 0
}

function restarts(pod: Pod): number {
  return Math.max(0, ...(pod.status.containerStatuses ?? []).map(({ restartCount }) => restartCount))
}
