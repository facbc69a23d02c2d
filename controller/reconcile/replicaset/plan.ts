/** What a ReplicaSet, or a ReplicationController, needs so that as many pods run as it says. Pure. */
import { formatTime } from '../../../proto/base/time.ts'
import type { Pod, ReplicaSet, ReplicaSetStatus, ReplicationController } from '../../../proto/gen/types.ts'
import { findCondition, withCondition, withoutCondition } from '../../../proto/objects/conditions.ts'
import { availableIn, isActive, isReady } from '../../../proto/objects/pod.ts'
import { choosePods } from './removal.ts'

/**
 * Pods made in one pass at most, as in Kubernetes; the pass that follows from them makes more. Somebody may write a
 * number that no memory has room for.
 */
export const BURST = 500

/** Kinds whose objects each want a number of pods after a template. */
export type ReplicaOwner = ReplicaSet | ReplicationController
export type ReplicaKind = ReplicaOwner['kind']

export interface ReplicaSnapshot {
  readonly owner: ReplicaOwner
  /** Its own. */
  readonly pods: readonly Pod[]
  /** All pods of the same workload, its own included: they should be spread over nodes. */
  readonly related: readonly Pod[]
}

export interface ReplicaPlan {
  /** Pods to create now. */
  readonly create: number
  readonly remove: readonly Pod[]
  /** As counted now. `failure` of the pass that follows is added by withFailure. */
  readonly status: ReplicaSetStatus
  /** Milliseconds until a pod counts as available by time alone. */
  readonly requeueAfterMs: number | undefined
}

/** Pods that ended count for nothing: they are replaced, and stay to be looked at. */
export function planReplicas({ owner, pods, related }: ReplicaSnapshot, now: number): ReplicaPlan {
  const { spec, metadata } = owner
  const active = pods.filter(isActive)
  const surplus = metadata.deletionTimestamp === undefined ? active.length - spec.replicas : 0
  const waits = active.map((pod) => availableIn(pod, spec.minReadySeconds ?? 0, now))
  const pending = waits.filter((wait) => wait !== undefined && wait > 0) as number[]
  return {
    create: Math.min(BURST, Math.max(0, -surplus)),
    remove: surplus > 0 ? choosePods(active, related, surplus) : [],
    status: {
      replicas: active.length,
      fullyLabeledReplicas: active.filter((pod) => carriesLabels(pod, spec.template.metadata?.labels)).length,
      readyReplicas: active.filter(isReady).length,
      availableReplicas: waits.filter((wait) => wait === 0).length,
      observedGeneration: metadata.generation,
      ...(owner.status.conditions !== undefined && { conditions: owner.status.conditions }),
    },
    requeueAfterMs: pending.length === 0 ? undefined : Math.min(...pending),
  }
}

function carriesLabels(pod: Pod, labels: Readonly<Record<string, string>> | undefined): boolean {
  return Object.entries(labels ?? {}).every(([key, value]) => pod.metadata.labels?.[key] === value)
}

/** Why pods could not be created or deleted, as the condition ReplicaFailure; without a failure the condition goes. */
export function withFailure(
  status: ReplicaSetStatus,
  failure: { reason: 'FailedCreate' | 'FailedDelete'; message: string } | undefined,
  now: number,
): ReplicaSetStatus {
  if (failure === undefined && findCondition(status.conditions, 'ReplicaFailure') === undefined) return status
  const conditions =
    failure === undefined
      ? withoutCondition(status.conditions, 'ReplicaFailure')
      : withCondition(status.conditions, {
          type: 'ReplicaFailure',
          status: 'True' as const,
          lastTransitionTime: formatTime(now),
          ...failure,
        })
  const { conditions: _conditions, ...counts } = status
  return conditions.length === 0 ? counts : { ...counts, conditions }
}
