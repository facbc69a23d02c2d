/**
 * What is known of one pod at one moment: its record and what lives only as long as the agent. The plan and the status
 * are functions of it.
 */
import { isEphemeral } from '../../../proto/objects/containers.ts'
import type { Container, Pod } from '../../../proto/gen/types.ts'
import type { Image } from '../../images/contract.ts'
import type { ContainerRecord, Instance, PodRecord, Termination } from '../../state/contract.ts'

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

/** The record of a pod that was just given to the node. */
export function newRecord(pod: Pod, now: number): PodRecord {
  return {
    pod,
    assigned: true,
    acceptedAt: now,
    containers: {},
    dead: [],
    tornDown: false,
    released: false,
    timeline: [],
    status: {},
  }
}

/** The record of a container, made on first use. */
export function containerRecord(record: PodRecord, name: string): ContainerRecord {
  return (record.containers[name] ??= { attempt: 0, failures: 0, retryAt: 0 })
}

const NEVER_STARTED: Readonly<ContainerRecord> = { attempt: 0, failures: 0, retryAt: 0 }

/** The same for readers: nothing is made. */
export function peekContainer(record: PodRecord, name: string): Readonly<ContainerRecord> {
  return record.containers[name] ?? NEVER_STARTED
}

/** The number of a container's next instance. */
export function nextAttempt({ ended, attempt }: Readonly<ContainerRecord>): number {
  return ended === undefined ? attempt : ended.attempt + 1
}

export function isInit(pod: Pod, name: string): boolean {
  return pod.spec.initContainers?.some((container) => container.name === name) === true
}

/**
 * An init container that runs beside the others. https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/
 */
export function isSidecar(pod: Pod, name: string): boolean {
  return (
    pod.spec.initContainers?.some((container) => container.name === name && container.restartPolicy === 'Always') ===
    true
  )
}

/** True once the pod is on its way out, whoever decided so. */
export function isStopping(record: PodRecord): boolean {
  return !record.assigned || record.pod.metadata.deletionTimestamp !== undefined || record.failed !== undefined
}

/** Whether the pod object is to go, so that nothing of it may stay. */
export function isBeingDeleted(record: PodRecord): boolean {
  return !record.assigned || record.pod.metadata.deletionTimestamp !== undefined
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
export function hasContainersToRun({ pod, containers }: PodRecord): boolean {
  return pod.spec.containers.some(({ name }) => {
    const { instance, ended } = containers[name] ?? NEVER_STARTED
    if (instance !== undefined) return pod.spec.restartPolicy !== 'Never' || instance.state.state === 'creating'
    return ended === undefined || shouldRestart(pod, name, ended)
  })
}

/** The present instance of a container, if it runs. */
export function runningInstance(record: PodRecord, name: string): Instance | undefined {
  const { instance } = peekContainer(record, name)
  return instance?.state.state === 'running' ? instance : undefined
}

/** Whether an instance runs and its postStart hook has ended: what a status calls running. */
export function isRunning(container: Container, instance: Instance | undefined): instance is Instance {
  return (
    instance?.state.state === 'running' &&
    (container.lifecycle?.postStart === undefined || instance.postStart === 'ended')
  )
}

/** Whether an instance is running and its startup probe, if any, has succeeded. */
export function isStarted(container: Container, instance: Instance | undefined): boolean {
  return isRunning(container, instance) && (container.startupProbe === undefined || instance.started === true)
}

/** Notes the sidecars that have been started: what comes after them may begin, and does not wait for them again. */
export function markStartedSidecars(record: PodRecord): void {
  for (const container of record.pod.spec.initContainers ?? []) {
    const known = record.containers[container.name]
    if (container.restartPolicy === 'Always' && known !== undefined && isStarted(container, known.instance))
      known.passed = true
  }
}

/** Whether a container's image is no longer the one that its present or last instance was made from. */
export function imageChanged(container: Container, record: Readonly<ContainerRecord>): boolean {
  return record.image !== undefined && record.image.name !== container.image
}

export type PodProgress =
  /** This init container is to be run, runs, or waits to be run again; the sidecars before it run. */
  | { readonly stage: 'initializing'; readonly container: Container }
  | { readonly stage: 'running' }
  /** No container will run again. */
  | { readonly stage: 'finished' }

/** How far a pod that is not stopping has come. */
export function podProgress(record: PodRecord): PodProgress {
  const { pod } = record
  for (const container of pod.spec.initContainers ?? []) {
    const { instance, ended, passed } = peekContainer(record, container.name)
    if (container.restartPolicy === 'Always' && passed === true) continue
    if (instance === undefined && ended !== undefined && container.restartPolicy !== 'Always') {
      if (ended.exitCode === 0) continue
      if (!shouldRestart(pod, container.name, ended)) return { stage: 'finished' }
    }
    return { stage: 'initializing', container }
  }
  const finished = pod.spec.containers.every((container) => {
    const known = peekContainer(record, container.name)
    return known.instance === undefined && known.ended !== undefined && !shouldRestart(pod, container.name, known.ended)
  })
  return { stage: finished ? 'finished' : 'running' }
}
