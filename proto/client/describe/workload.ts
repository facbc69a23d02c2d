/** Kinds that make pods from a template, and templates alone: how many pods there are of how many, made from what. */
import type { Deployment, Pod, PodTemplate, ReplicaSet, ReplicationController } from '../../gen/types.ts'
import { podSelectorOf } from '../../objects/pod-selection.ts'
import { formatSelector } from '../../objects/columns/columns.ts'
import { revisionOf } from '../kinds/deployment-revisions.ts'
import { conditionEntry, controllerEntries, deletionEntries, markEntries, nameEntries } from './metadata.ts'
import { entry, type Entry } from './page.ts'
import { templateEntries } from './template.ts'

/** `replicaSets` oldest first; the newest is the one of the present template. */
export function deploymentEntries(deployment: Deployment, replicaSets: readonly ReplicaSet[]): Entry[] {
  const { metadata, spec, status } = deployment
  const { updatedReplicas = 0, replicas = 0, availableReplicas = 0, unavailableReplicas = 0 } = status
  const rolling = spec.strategy.rollingUpdate
  const newest =
    replicaSets.find((replicaSet) => revisionOf(replicaSet) === revisionOf(deployment)) ?? replicaSets.at(-1)
  const old = replicaSets.filter((replicaSet) => replicaSet !== newest && replicaSet.spec.replicas > 0)
  return [
    ...nameEntries(deployment),
    entry('CreationTimestamp', metadata.creationTimestamp ?? ''),
    ...markEntries(deployment),
    ...deletionEntries(deployment),
    entry('Selector', formatSelector(spec.selector)),
    entry(
      'Replicas',
      `${spec.replicas} desired | ${updatedReplicas} updated | ${replicas} total | ${availableReplicas} available | ${unavailableReplicas} unavailable`,
    ),
    entry('StrategyType', spec.strategy.type),
    entry('MinReadySeconds', String(spec.minReadySeconds ?? 0)),
    ...(rolling === undefined
      ? []
      : [entry('RollingUpdateStrategy', `${rolling.maxUnavailable} max unavailable, ${rolling.maxSurge} max surge`)]),
    ...(spec.paused === true ? [entry('Paused', 'True')] : []),
    entry('Pod Template', templateEntries(spec.template)),
    conditionEntry(status.conditions),
    entry('OldReplicaSets', old.length === 0 ? '<none>' : old.map(created).join(', ')),
    entry('NewReplicaSet', newest === undefined ? '<none>' : created(newest)),
  ]
}

function created({ metadata, spec, status }: ReplicaSet): string {
  return `${metadata.name} (${status.replicas ?? 0}/${spec.replicas} replicas created)`
}

export function replicatedEntries(object: ReplicaSet | ReplicationController, pods: readonly Pod[]): Entry[] {
  const { spec, status } = object
  const count = (phase: string): number => pods.filter((pod) => (pod.status.phase ?? 'Pending') === phase).length
  return [
    ...nameEntries(object),
    entry('Selector', formatSelector(podSelectorOf(object))),
    ...markEntries(object),
    ...deletionEntries(object),
    ...controllerEntries(object),
    entry('Replicas', `${status.replicas ?? 0} current / ${spec.replicas} desired`),
    entry(
      'Pods Status',
      `${count('Running')} Running / ${count('Pending')} Waiting / ${count('Succeeded')} Succeeded / ${count('Failed')} Failed`,
    ),
    entry('Pod Template', templateEntries(spec.template)),
    conditionEntry(status.conditions),
  ]
}

export function podTemplateEntries(object: PodTemplate): Entry[] {
  return [
    ...nameEntries(object),
    ...markEntries(object),
    ...deletionEntries(object),
    entry('Pod Template', templateEntries(object.template)),
  ]
}
