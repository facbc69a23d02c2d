/**
 * How many pods each ReplicaSet of a Deployment is to have. Pure arithmetic on sizes.
 * https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#rolling-update-deployment
 */
import type { Deployment, ReplicaSet } from '../../../proto/gen/types.ts'
import { MAX_REPLICAS } from './template.ts'

/** How far a rollout may stray from the number of replicas. */
export interface RolloutBounds {
  /** Pods at most: replicas + maxSurge. */
  readonly maxPods: number
  /** Available pods at least: replicas − maxUnavailable. */
  readonly minAvailable: number
}

/**
 * Percentages are of the replicas: the surge is rounded up, the unavailable down; both 0 would never move, so one may
 * then be unavailable.
 */
export function boundsOf(deployment: Deployment): RolloutBounds {
  const { replicas, strategy } = deployment.spec
  switch (strategy.type) {
    // Between old and new pods there are none at all; the Deployment is not available then.
    case 'Recreate':
      return { maxPods: replicas, minAvailable: replicas }
    case 'RollingUpdate': {
      const { maxSurge = '25%', maxUnavailable = '25%' } = strategy.rollingUpdate ?? {}
      const surge = amount(maxSurge, replicas, Math.ceil)
      const unavailable = Math.min(replicas, amount(maxUnavailable, replicas, Math.floor))
      return {
        maxPods: replicas + surge,
        minAvailable: replicas - (surge === 0 && unavailable === 0 ? Math.min(1, replicas) : unavailable),
      }
    }
  }
}

function amount(value: number | string, of: number, round: (amount: number) => number): number {
  if (typeof value === 'number') return value
  const percent = Number(value.replace('%', ''))
  return round((percent * of) / 100)
}

/** Sizes of ReplicaSets as they are to be; those of the cache where nothing else is said. */
export class ReplicaTargets {
  readonly #sizes = new Map<string, number>()

  of(replicaSet: ReplicaSet): number {
    return this.#sizes.get(replicaSet.metadata.uid) ?? replicaSet.spec.replicas
  }

  set(replicaSet: ReplicaSet, replicas: number): void {
    this.#sizes.set(replicaSet.metadata.uid, replicas)
  }

  sum(replicaSets: readonly ReplicaSet[]): number {
    return replicaSets.reduce((sum, replicaSet) => sum + this.of(replicaSet), 0)
  }
}

/** Available pods as its status says; never more than are to stay. */
export function availableOf(replicaSet: ReplicaSet, sizes: ReplicaTargets): number {
  return Math.min(replicaSet.status.availableReplicas ?? 0, sizes.of(replicaSet))
}

/** The size of the new ReplicaSet: as many as the surge leaves room for. */
export function newSize(deployment: Deployment, current: number, others: number): number {
  const { replicas } = deployment.spec
  if (current >= replicas) return replicas
  return Math.max(current, Math.min(replicas, boundsOf(deployment).maxPods - others))
}

/** Shrinks old ReplicaSets as far as enough pods stay available: first what is not available anyway, oldest first. */
export function shrinkOld(
  deployment: Deployment,
  current: ReplicaSet,
  old: readonly ReplicaSet[],
  sizes: ReplicaTargets,
): void {
  const all = [current, ...old]
  const { minAvailable: least } = boundsOf(deployment)
  const currentUnavailable = sizes.of(current) - availableOf(current, sizes)
  let room = sizes.sum(all) - least - currentUnavailable
  for (const replicaSet of old) {
    const count = Math.min(Math.max(0, room), sizes.of(replicaSet) - availableOf(replicaSet, sizes))
    sizes.set(replicaSet, sizes.of(replicaSet) - count)
    room -= count
  }
  let surplus = all.reduce((sum, replicaSet) => sum + availableOf(replicaSet, sizes), 0) - least
  for (const replicaSet of old) {
    const count = Math.min(Math.max(0, surplus), sizes.of(replicaSet))
    sizes.set(replicaSet, sizes.of(replicaSet) - count)
    surplus -= count
  }
}

/**
 * Spreads a change of replicas in the middle of a rollout over the active ReplicaSets in proportion to their sizes, so
 * that the rollout stands where it stood; what rounding leaves goes to the largest.
 * https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#proportional-scaling
 */
export function scaleInProportion(deployment: Deployment, active: readonly ReplicaSet[], sizes: ReplicaTargets): void {
  const { maxPods: most } = boundsOf(deployment)
  const allowed = deployment.spec.replicas === 0 ? 0 : most
  const toAdd = allowed - sizes.sum(active)
  const order = [...active].sort((a, b) => sizes.of(b) - sizes.of(a) || (toAdd > 0 ? ageOrder(b, a) : ageOrder(a, b)))
  let added = 0
  for (const replicaSet of order) {
    const size = sizes.of(replicaSet)
    const before =
      Number(replicaSet.metadata.annotations?.[MAX_REPLICAS] ?? 0) || deployment.status.replicas || sizes.sum(active)
    const share = Math.round((size * allowed) / before) - size
    const rest = toAdd - added
    const change = rest > 0 ? Math.min(Math.max(0, share), rest) : Math.max(Math.min(0, share), rest)
    sizes.set(replicaSet, Math.max(0, size + change))
    added += change
  }
  const largest = order[0]
  if (largest !== undefined && added !== toAdd) sizes.set(largest, Math.max(0, sizes.of(largest) + toAdd - added))
}

/** Older first. */
export function ageOrder(a: ReplicaSet, b: ReplicaSet): number {
  const [first, second] = [a.metadata.creationTimestamp ?? '', b.metadata.creationTimestamp ?? '']
  if (first !== second) return first < second ? -1 : 1
  return a.metadata.name < b.metadata.name ? -1 : 1
}
