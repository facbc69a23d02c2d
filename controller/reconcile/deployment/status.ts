/**
 * What a Deployment's status says: counts, and the conditions Available, Progressing and ReplicaFailure.
 * https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#deployment-status
 */
import { formatTime, parseTime } from '../../../proto/base/time.ts'
import type { Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet } from '../../../proto/gen/types.ts'
import { findCondition, withCondition, withoutCondition } from '../../../proto/objects/conditions.ts'
import { boundsOf } from './scale.ts'

export interface Observed {
  readonly deployment: Deployment
  /** The ReplicaSet of the present template, if there is one. */
  readonly current: ReplicaSet | undefined
  readonly all: readonly ReplicaSet[]
  readonly paused: boolean
}

function counts({ deployment, current, all }: Observed): DeploymentStatus {
  const sum = (count: (replicaSet: ReplicaSet) => number | undefined): number =>
    all.reduce((total, replicaSet) => total + (count(replicaSet) ?? 0), 0)
  const available = sum(({ status }) => status.availableReplicas)
  const { collisionCount } = deployment.status
  return {
    observedGeneration: deployment.metadata.generation,
    replicas: sum(({ status }) => status.replicas),
    updatedReplicas: current?.status.replicas ?? 0,
    readyReplicas: sum(({ status }) => status.readyReplicas),
    availableReplicas: available,
    unavailableReplicas: Math.max(0, sum(({ spec }) => spec.replicas) - available),
    ...(collisionCount !== undefined && { collisionCount }),
  }
}

/** Every replica is of the present template and available, and no other is left. */
export function isComplete(deployment: Deployment, status: DeploymentStatus): boolean {
  const { replicas } = deployment.spec
  return status.updatedReplicas === replicas && status.replicas === replicas && status.availableReplicas === replicas
}

/** The status now, and the milliseconds until it changes by time alone: when the rollout will have taken too long. */
export function statusOf(observed: Observed, now: number): { status: DeploymentStatus; again: number | undefined } {
  const { deployment } = observed
  const status = counts(observed)
  let conditions: DeploymentCondition[] = [...(deployment.status.conditions ?? [])]
  const set = (
    type: string,
    value: 'True' | 'False' | 'Unknown',
    reason: string,
    message: string,
    renew = false,
  ): void => {
    conditions = withCondition(
      conditions,
      { type, status: value, reason, message, lastUpdateTime: formatTime(now), lastTransitionTime: formatTime(now) },
      { renew },
    )
  }

  if (status.availableReplicas! >= boundsOf(deployment).minAvailable)
    set('Available', 'True', 'MinimumReplicasAvailable', 'Enough replicas are available.')
  else
    set(
      'Available',
      'False',
      'MinimumReplicasUnavailable',
      `${status.availableReplicas} of at least ${boundsOf(deployment).minAvailable} replicas are available.`,
    )

  const progress = progressOf(observed, status, now)
  if (progress !== undefined) set('Progressing', progress.value, progress.reason, progress.message, progress.renewed)

  const failure = [observed.current, ...observed.all]
    .map((replicaSet) => findCondition(replicaSet?.status.conditions, 'ReplicaFailure'))
    .find((condition) => condition !== undefined)
  if (failure === undefined) conditions = withoutCondition(conditions, 'ReplicaFailure')
  else set('ReplicaFailure', failure.status, failure.reason ?? '', failure.message ?? '')

  return { status: { ...status, conditions }, again: timeLeft(observed, { ...status, conditions }, now) }
}

/** Reason of Progressing, and of the event, when the ReplicaSet of a new template cannot be made. */
export const CREATE_ERROR = 'ReplicaSetCreateError'

/** The status with that failure in it. */
export function withCreateError(status: DeploymentStatus, message: string, now: number): DeploymentStatus {
  const time = formatTime(now)
  return {
    ...status,
    conditions: withCondition(status.conditions, {
      type: 'Progressing',
      status: 'False' as const,
      reason: CREATE_ERROR,
      message,
      lastUpdateTime: time,
      lastTransitionTime: time,
    }),
  }
}

interface ProgressNow {
  readonly value: 'True' | 'False' | 'Unknown'
  readonly reason: string
  readonly message: string
  /** Something moved: the deadline counts from now. */
  readonly renewed: boolean
}

function progressOf(
  { deployment, current, paused }: Observed,
  status: DeploymentStatus,
  now: number,
): ProgressNow | undefined {
  const before = findCondition(deployment.status.conditions, 'Progressing')
  const say = (value: ProgressNow['value'], reason: string, message: string, renewed: boolean): ProgressNow => ({
    value,
    reason,
    message,
    renewed,
  })
  if (paused)
    return before?.reason === 'ProgressDeadlineExceeded'
      ? undefined
      : say('Unknown', 'DeploymentPaused', 'The rollout is paused.', false)
  const name = current === undefined ? 'the new ReplicaSet' : `ReplicaSet "${current.metadata.name}"`
  if (isComplete(deployment, status) && current !== undefined)
    return say('True', 'NewReplicaSetAvailable', `${name} has been rolled out.`, false)
  // After a finished rollout a pod that fails is no rollout: the condition stands until the template changes.
  if (
    before?.reason === 'NewReplicaSetAvailable' &&
    current !== undefined &&
    status.updatedReplicas === status.replicas
  )
    return undefined
  if (before?.reason === 'DeploymentPaused') return say('Unknown', 'DeploymentResumed', 'The rollout goes on.', true)
  const created = before?.reason === CREATE_ERROR && current !== undefined
  if (before === undefined || created || before.reason === 'NewReplicaSetAvailable' || moved(deployment.status, status))
    return say('True', 'ReplicaSetUpdated', `${name} is being rolled out.`, true)
  if (before.reason === 'ProgressDeadlineExceeded') return undefined
  const { progressDeadlineSeconds: limit } = deployment.spec
  if (now - lastUpdate(before, now) >= limit * 1000)
    return say('False', 'ProgressDeadlineExceeded', `${name} has not moved for ${limit} seconds.`, false)
  return undefined
}

/** More of the new, less of the old, or more that is ready or available. */
function moved(before: DeploymentStatus, after: DeploymentStatus): boolean {
  const old = (status: DeploymentStatus): number => (status.replicas ?? 0) - (status.updatedReplicas ?? 0)
  return (
    (after.updatedReplicas ?? 0) > (before.updatedReplicas ?? 0) ||
    old(after) < old(before) ||
    (after.readyReplicas ?? 0) > (before.readyReplicas ?? 0) ||
    (after.availableReplicas ?? 0) > (before.availableReplicas ?? 0)
  )
}

function lastUpdate(condition: DeploymentCondition, now: number): number {
  return condition.lastUpdateTime === undefined ? now : parseTime(condition.lastUpdateTime)
}

function timeLeft({ deployment, paused }: Observed, status: DeploymentStatus, now: number): number | undefined {
  const condition = findCondition(status.conditions, 'Progressing')
  if (
    paused ||
    condition === undefined ||
    condition.reason === 'NewReplicaSetAvailable' ||
    condition.reason === 'ProgressDeadlineExceeded'
  )
    return undefined
  return Math.max(1000, lastUpdate(condition, now) + deployment.spec.progressDeadlineSeconds * 1000 - now)
}
