/**
 * What is known of one pod at one moment: its record and what lives only as long as the agent. The plan and the status
 * are functions of it.
 */
import { allContainers, isEphemeral, isRestartableInitContainer, isSidecar } from '../../../proto/objects/containers.ts'
import { isDeleting } from '../../../proto/objects/deletion.ts'
import { recordsFromStatus } from './lost-record.ts'
import type { Container, Pod } from '../../../proto/gen/types.ts'
import type { Image } from '../../images/contract.ts'
import type {
  ContainerRecord,
  ContainerStage,
  Instance,
  PodRecord,
  RunningStage,
  Termination,
} from '../../state/contract.ts'

/** A step that failed: shown as the container's waiting reason where it stands in the way of one. */
export interface StepFailure {
  /** As Kubernetes names it, e.g. ErrImagePull, CreateContainerConfigError, FailedMount. */
  readonly reason: string
  readonly message: string
  /** Failures in a row. */
  readonly count: number
  /** Milliseconds since 1970; Infinity: only a change of what the pod refers to helps. */
  readonly retryAt: number
}

/** What a container's next instance is made from: its id is chosen, its image found and its root filesystem mounted. */
export interface PreparedContainer {
  readonly id: string
  readonly image: Image
  readonly rootfs: string
}

export interface PodState {
  readonly record: PodRecord
  /** By container. */
  readonly preparedContainers: ReadonlyMap<string, PreparedContainer>
  /** The version of the objects that the volumes show; undefined: not prepared since the agent started. */
  readonly volumesVersion: string | undefined
  /** The version of the objects that the pod refers to; undefined: not known yet. */
  readonly configVersion: string | undefined
  /** By step key. */
  readonly failures: ReadonlyMap<string, StepFailure>
  /** Keys of steps under way. */
  readonly busy: ReadonlySet<string>
}

/** A pod that was just given to the node. `failed`: the node does not take it. */
export function newRecord(pod: Pod, now: number, failed?: PodRecord['failed']): PodRecord {
  const record = { pod, assigned: true, ...(failed !== undefined && { failed }) }
  return {
    ...record,
    acceptedAt: now,
    stage: isStopping(record) ? { stage: 'stopping', since: now } : { stage: 'active', since: now },
    containers: recordsFromStatus(pod, now),
    dead: [],
    timeline: [],
    status: {},
  }
}

/** A pod that had ended before it was given to the node: nothing of it is there, and its status is not the node's. */
export function endedRecord(pod: Pod, now: number, failed: PodRecord['failed']): PodRecord {
  return {
    ...newRecord(pod, now, failed),
    stage: { stage: 'tornDown' },
    containers: {},
    settled: true,
    status: pod.status,
  }
}

const NEVER_STARTED: ContainerRecord = { attempt: 0, failures: 0, stage: { stage: 'idle' } }

/** What is known of a container, which may never have been started. */
export function containerRecord(record: Pick<PodRecord, 'containers'>, name: string): ContainerRecord {
  return record.containers[name] ?? NEVER_STARTED
}

/** The instance that exists, or is about to. */
export function instanceIn(stage: ContainerStage): Instance | undefined {
  switch (stage.stage) {
    case 'idle':
    case 'ended':
      return undefined
    case 'creating':
    case 'created':
    case 'running':
    case 'exited':
      return stage.instance
  }
}

export function instanceOf(record: Pick<PodRecord, 'containers'>, name: string): Instance | undefined {
  return instanceIn(containerRecord(record, name).stage)
}

/** How the last instance ended, while there is no new one. */
export function endIn(stage: ContainerStage): Termination | undefined {
  return stage.stage === 'ended' ? stage.end : undefined
}

/** The present instance of a container, if it runs. */
export function runningStage(record: Pick<PodRecord, 'containers'>, name: string): RunningStage | undefined {
  const { stage } = containerRecord(record, name)
  return stage.stage === 'running' ? stage : undefined
}

/** The number of a container's next instance. */
export function nextAttempt({ stage, attempt }: ContainerRecord): number {
  return stage.stage === 'ended' ? stage.end.attempt + 1 : attempt
}

/** The container of the pod of this name. */
export function containerOf({ pod }: Pick<PodRecord, 'pod'>, name: string): Container {
  return allContainers(pod).find((container) => container.name === name)!
}

export function isInit(pod: Pod, name: string): boolean {
  return pod.spec.initContainers?.some((container) => container.name === name) === true
}

/** True once the pod is on its way out, whoever decided so. */
export function isStopping(record: Pick<PodRecord, 'pod' | 'assigned' | 'failed'>): boolean {
  return isBeingDeleted(record) || record.failed !== undefined
}

/** Whether the pod object is to go, so that nothing of it may stay. */
export function isBeingDeleted({ pod, assigned }: Pick<PodRecord, 'pod' | 'assigned'>): boolean {
  return !assigned || isDeleting(pod)
}

/** Whether sandbox, network and volumes are gone for good. */
export function isTornDown({ stage: { stage } }: Pick<PodRecord, 'stage'>): boolean {
  return stage === 'tornDown' || stage === 'released'
}

/**
 * Whether an ended container is started again. An init container that succeeded is done, whatever the policy; a sidecar
 * never is; one added later always is.
 */
export function shouldRestart(pod: Pod, name: string, ended: Termination): boolean {
  if (isEphemeral(pod, name)) return false
  if (isSidecar(pod, name)) return true
  switch (pod.spec.restartPolicy) {
    case 'Never':
      return false
    case 'OnFailure':
      return ended.exitCode !== 0 || ended.unhealthy === true
    case 'Always':
      return !isInit(pod, name) || ended.exitCode !== 0
  }
}

/** Whether a container of the pod would run again if all that exists of it were lost. */
export function hasContainersToRun({ pod, containers }: Pick<PodRecord, 'pod' | 'containers'>): boolean {
  return pod.spec.containers.some(({ name }) => {
    const { stage } = containerRecord({ containers }, name)
    switch (stage.stage) {
      case 'idle':
      case 'creating':
        return true
      case 'created':
      case 'running':
      case 'exited':
        return pod.spec.restartPolicy !== 'Never'
      case 'ended':
        return shouldRestart(pod, name, stage.end)
    }
  })
}

/** Whether an instance runs and its postStart hook has ended: what a status calls running. */
export function isRunning(container: Container, stage: ContainerStage): stage is RunningStage {
  return stage.stage === 'running' && (container.lifecycle?.postStart === undefined || stage.postStart === 'ended')
}

/** Whether an instance is running and its startup probe, if any, has succeeded. */
export function isStarted(container: Container, stage: ContainerStage): boolean {
  return isRunning(container, stage) && (container.startupProbe === undefined || stage.started === true)
}

/** Whether a container's image is no longer the one that its present or last instance was made from. */
export function imageChanged(container: Container, record: ContainerRecord): boolean {
  return record.image !== undefined && record.image.name !== container.image
}

export type PodProgress =
  /** This init container is to be run, runs, or waits to be run again; the sidecars before it run. */
  | { readonly progress: 'initializing'; readonly container: Container }
  | { readonly progress: 'running' }
  /** No container will run again. */
  | { readonly progress: 'finished' }

/** How far the containers of a pod that is not stopping have come. */
export function podProgress(record: PodRecord): PodProgress {
  const { pod } = record
  for (const container of pod.spec.initContainers ?? []) {
    const { stage, passed } = containerRecord(record, container.name)
    if (isRestartableInitContainer(container) && passed === true) continue
    if (stage.stage === 'ended' && container.restartPolicy !== 'Always') {
      if (stage.end.exitCode === 0) continue
      if (!shouldRestart(pod, container.name, stage.end)) return { progress: 'finished' }
    }
    return { progress: 'initializing', container }
  }
  const finished = pod.spec.containers.every(({ name }) => {
    const { stage } = containerRecord(record, name)
    return stage.stage === 'ended' && !shouldRestart(pod, name, stage.end)
  })
  return { progress: finished ? 'finished' : 'running' }
}
