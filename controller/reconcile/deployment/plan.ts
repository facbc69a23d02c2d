/**
 * The next step of a Deployment: which ReplicaSets to make, size, annotate and delete. Pure; a rollout is many such
 * steps, each planned from what is there. https://kubernetes.io/docs/concepts/workloads/controllers/deployment/
 */
import { compareInt64 } from '../../../proto/base/int64.ts'
import { sameJson } from '../../../proto/base/json.ts'
import type { Deployment, DeploymentStatus, Pod, ReplicaSet } from '../../../proto/gen/types.ts'
import type { Draft } from '../../api/contract.ts'
import { isTerminal } from '../../../proto/objects/pod.ts'
import { isDeleting } from '../../../proto/objects/deletion.ts'
import { ageOrder, availableOf, boundsOf, newSize, scaleInProportion, shrinkOld, ReplicaTargets } from './scale.ts'
import { isComplete, statusOf } from './status.ts'
import {
  DESIRED_REPLICAS,
  MAX_REPLICAS,
  replicaSetDraft,
  REVISION,
  REVISION_HISTORY,
  revisionOf,
  sameTemplate,
  sharedAnnotations,
  templateHash,
} from './template.ts'

export interface DeploymentSnapshot {
  readonly deployment: Deployment
  /** Its own. */
  readonly replicaSets: readonly ReplicaSet[]
  /** Of a ReplicaSet of its own. */
  readonly podsOf: (replicaSet: ReplicaSet) => readonly Pod[]
}

export type DeploymentChange =
  | { readonly kind: 'create'; readonly draft: Draft<'ReplicaSet'>; readonly replicas: number }
  | {
      readonly kind: 'update'
      readonly replicaSet: ReplicaSet
      readonly replicas: number
      readonly annotations: Readonly<Record<string, string>>
      readonly minReadySeconds: number | undefined
    }
  | { readonly kind: 'delete'; readonly replicaSet: ReplicaSet }

export interface DeploymentPlan {
  readonly changes: readonly DeploymentChange[]
  /** What the Deployment's own revision annotation is to say; undefined: as it is. */
  readonly revision: string | undefined
  readonly status: DeploymentStatus
  /** Milliseconds until the next pass though nothing changes. */
  readonly requeueAfterMs: number | undefined
}

export function planDeployment({ deployment, replicaSets, podsOf }: DeploymentSnapshot, now: number): DeploymentPlan {
  const all = [...replicaSets].sort(ageOrder)
  const current = all.find((replicaSet) => sameTemplate(replicaSet.spec.template, deployment.spec.template))
  const old = all.filter((replicaSet) => replicaSet !== current)
  const paused = deployment.spec.paused === true
  const { status, again } = statusOf({ deployment, current, all, paused }, now)
  if (isDeleting(deployment)) return { changes: [], revision: undefined, status, requeueAfterMs: undefined }

  const sizes = new ReplicaTargets()
  let create: ReturnType<typeof makeCurrent>
  if (paused || all.some((replicaSet) => wasScaled(deployment, replicaSet))) scale(deployment, current, all, sizes)
  else if (current !== undefined) rollOut(deployment, current, old, podsOf, sizes)
  else {
    create = makeCurrent(deployment, old, podsOf)
    if (create === undefined) for (const replicaSet of old) sizes.set(replicaSet, 0)
  }

  const revision = paused && current === undefined ? undefined : String(currentRevision(current, old))
  const updates = all.flatMap((replicaSet) =>
    update(deployment, replicaSet, sizes, replicaSet === current ? revision : undefined),
  )
  const surplus = isComplete(deployment, status) || paused ? history(deployment, old) : []
  return {
    changes: [
      ...(create === undefined
        ? []
        : [{ kind: 'create' as const, draft: withRevision(create.draft, revision!), replicas: create.replicas }]),
      ...updates.filter((change) => change.kind !== 'update' || !surplus.includes(change.replicaSet)),
      ...surplus.map((replicaSet) => ({ kind: 'delete' as const, replicaSet })),
    ],
    revision:
      revision === deployment.metadata.annotations?.[REVISION] || (current === undefined && create === undefined)
        ? undefined
        : revision,
    status,
    requeueAfterMs: again,
  }
}

/** spec.replicas has changed since the ReplicaSet was sized: all are scaled before the rollout goes on. */
function wasScaled(deployment: Deployment, replicaSet: ReplicaSet): boolean {
  const desired = replicaSet.metadata.annotations?.[DESIRED_REPLICAS]
  return replicaSet.spec.replicas > 0 && desired !== undefined && Number(desired) !== deployment.spec.replicas
}

function scale(
  deployment: Deployment,
  current: ReplicaSet | undefined,
  all: readonly ReplicaSet[],
  sizes: ReplicaTargets,
): void {
  const { replicas } = deployment.spec
  const active = all.filter((replicaSet) => replicaSet.spec.replicas > 0)
  if (active.length <= 1) {
    const only = active[0] ?? current ?? all.at(-1)
    if (only !== undefined) sizes.set(only, replicas)
    return
  }
  const saturated =
    current !== undefined &&
    current.spec.replicas === replicas &&
    current.metadata.annotations?.[DESIRED_REPLICAS] === String(replicas) &&
    availableOf(current, sizes) === replicas
  if (saturated) for (const replicaSet of active) sizes.set(replicaSet, replicaSet === current ? replicas : 0)
  else if (deployment.spec.strategy.type === 'RollingUpdate') scaleInProportion(deployment, active, sizes)
}

/** The first step of a rollout. A Recreate waits until the old pods have ended. */
function makeCurrent(
  deployment: Deployment,
  old: readonly ReplicaSet[],
  podsOf: DeploymentSnapshot['podsOf'],
): { draft: Draft<'ReplicaSet'>; replicas: number } | undefined {
  const recreate = deployment.spec.strategy.type === 'Recreate'
  if (recreate && old.some((replicaSet) => isOccupied(replicaSet, podsOf))) return undefined
  const replicas = newSize(deployment, 0, new ReplicaTargets().sum(old))
  const hash = templateHash(deployment.spec.template, deployment.status.collisionCount ?? 0)
  return {
    draft: replicaSetDraft(deployment, hash, replicas, {
      ...sharedAnnotations(deployment),
      ...sizeAnnotations(deployment),
    }),
    replicas,
  }
}

function rollOut(
  deployment: Deployment,
  current: ReplicaSet,
  old: readonly ReplicaSet[],
  podsOf: DeploymentSnapshot['podsOf'],
  sizes: ReplicaTargets,
): void {
  switch (deployment.spec.strategy.type) {
    case 'Recreate':
      for (const replicaSet of old) sizes.set(replicaSet, 0)
      if (!old.some((replicaSet) => isOccupied(replicaSet, podsOf))) sizes.set(current, deployment.spec.replicas)
      return
    case 'RollingUpdate':
      sizes.set(current, newSize(deployment, current.spec.replicas, sizes.sum(old)))
      shrinkOld(deployment, current, old, sizes)
  }
}

/** It is to have pods, or has some whose processes may still run. */
function isOccupied(replicaSet: ReplicaSet, podsOf: DeploymentSnapshot['podsOf']): boolean {
  return (
    replicaSet.spec.replicas > 0 ||
    (replicaSet.status.replicas ?? 0) > 0 ||
    podsOf(replicaSet).some((pod) => !isTerminal(pod))
  )
}

/** The present template's revision is the highest: a template taken up again gets a new one. */
function currentRevision(current: ReplicaSet | undefined, old: readonly ReplicaSet[]): bigint {
  const highest = old.map(revisionOf).reduce((most, revision) => (revision > most ? revision : most), 0n)
  return current !== undefined && revisionOf(current) > highest ? revisionOf(current) : highest + 1n
}

function sizeAnnotations(deployment: Deployment): Record<string, string> {
  return {
    [DESIRED_REPLICAS]: String(deployment.spec.replicas),
    [MAX_REPLICAS]: String(deployment.spec.replicas === 0 ? 0 : boundsOf(deployment).maxPods),
  }
}

function withRevision(draft: Draft<'ReplicaSet'>, revision: string): Draft<'ReplicaSet'> {
  return {
    ...draft,
    metadata: { ...draft.metadata, annotations: { ...draft.metadata.annotations, [REVISION]: revision } },
  }
}

/** One ReplicaSet's change, if any. `revision` for the one of the present template. */
function update(
  deployment: Deployment,
  replicaSet: ReplicaSet,
  sizes: ReplicaTargets,
  revision: string | undefined,
): DeploymentChange[] {
  const before = replicaSet.metadata.annotations ?? {}
  const replicas = sizes.of(replicaSet)
  const sized =
    replicas > 0 || replicas !== replicaSet.spec.replicas || revision !== undefined ? sizeAnnotations(deployment) : {}
  const annotations = {
    ...before,
    ...sized,
    ...(revision === undefined ? {} : { ...sharedAnnotations(deployment), ...renumbered(replicaSet, revision) }),
  }
  const minReadySeconds = revision === undefined ? replicaSet.spec.minReadySeconds : deployment.spec.minReadySeconds
  const same =
    replicas === replicaSet.spec.replicas &&
    (minReadySeconds ?? 0) === (replicaSet.spec.minReadySeconds ?? 0) &&
    sameJson(before, annotations)
  return same ? [] : [{ kind: 'update', replicaSet, replicas, annotations, minReadySeconds }]
}

/**
 * Characters of the revisions that a ReplicaSet had before, as in Kubernetes: who rolls back and forth for years must
 * not fill its annotations.
 */
export const HISTORY_LENGTH = 2000

/** The revision; one that it had before goes to its history, which forgets the oldest. */
function renumbered(replicaSet: ReplicaSet, revision: string): Record<string, string> {
  const { [REVISION]: before, [REVISION_HISTORY]: history = '' } = replicaSet.metadata.annotations ?? {}
  if (before === undefined || before === revision) return { [REVISION]: revision }
  const revisions = [...history.split(','), before].filter((one) => one !== '')
  while (revisions.length > 1 && revisions.join(',').length > HISTORY_LENGTH) revisions.shift()
  return { [REVISION]: revision, [REVISION_HISTORY]: revisions.join(',') }
}

/** Old ReplicaSets beyond revisionHistoryLimit, oldest revisions first; only those that are empty for certain. */
function history(deployment: Deployment, old: readonly ReplicaSet[]): ReplicaSet[] {
  const kept = old.filter((object) => !isDeleting(object)).sort((a, b) => compareInt64(revisionOf(a), revisionOf(b)))
  const surplus = kept.slice(0, Math.max(0, kept.length - deployment.spec.revisionHistoryLimit))
  return surplus.filter(
    ({ metadata, spec, status }) =>
      spec.replicas === 0 &&
      (status.replicas ?? 0) === 0 &&
      (status.observedGeneration ?? 0) >= (metadata.generation ?? 0),
  )
}
