/**
 * A pod's status from its state: a pure function. Phase, conditions and reasons are those of Kubernetes:
 * https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/
 */
import { allContainers, isEphemeral, isSidecar } from '../../../proto/objects/containers.ts'
import { qosClassOf } from '../../../proto/objects/qos.ts'
import { formatTime } from '../../../proto/base/time.ts'
import { findCondition, transitionTime } from '../../../proto/objects/conditions.ts'
import { isTerminal } from '../../../proto/objects/pod.ts'
import type {
  Container,
  ContainerState,
  ContainerStatus,
  Pod,
  PodCondition,
  PodStatus,
} from '../../../proto/gen/types.ts'
import type { ContainerRecord, PodRecord, Termination } from '../../state/contract.ts'
import {
  containerRecord,
  endIn,
  instanceIn,
  instanceOf,
  isBeingDeleted,
  isRunning,
  isStarted,
  isStopping,
  podProgress,
  runningStage,
  shouldRestart,
  type PodState,
} from '../plan/pod-state.ts'
import { allocatedResourcesOf, resizeConditions } from '../plan/resize.ts'
import { readinessGates } from './readiness-gates.ts'

/** What a status says of the node. */
export interface StatusContext {
  /** "crun" or "runc": the scheme of container ids. */
  readonly runtime: string
  readonly hostAddress: string
}

/**
 * Bytes of all termination messages of a pod together.
 * https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/
 */
const TERMINATION_MESSAGES = 12 * 1024

type Phase = NonNullable<PodStatus['phase']>
type Waiting = NonNullable<ContainerState['waiting']>

export function podStatus(state: PodState, origin: StatusContext, now: number): PodStatus {
  const { record } = state
  const { pod } = record
  const init = (pod.spec.initContainers ?? []).map((container) => containerStatus(state, container, origin, now))
  const main = pod.spec.containers.map((container) => containerStatus(state, container, origin, now))
  const added = (pod.spec.ephemeralContainers ?? []).map((container) => containerStatus(state, container, origin, now))
  const phase = podPhase(state, init, main)
  const attachment = record.sandbox?.attachment
  const addresses =
    attachment !== undefined
      ? attachment.apart === true
        ? []
        : attachment.addresses
      : record.sandbox !== undefined && pod.spec.hostNetwork === true
        ? [origin.hostAddress]
        : (record.status.podIPs ?? []).map(({ ip }) => ip ?? '')
  return {
    phase,
    conditions: conditions(state, phase, init, main, now),
    message: record.failed?.message,
    reason: record.failed?.reason,
    hostIP: origin.hostAddress,
    hostIPs: [{ ip: origin.hostAddress }],
    podIP: addresses[0],
    podIPs: addresses.length === 0 ? undefined : addresses.map((ip) => ({ ip })),
    startTime: formatTime(record.acceptedAt),
    initContainerStatuses: init.length === 0 ? undefined : init,
    containerStatuses: main,
    ephemeralContainerStatuses: added.length === 0 ? undefined : added,
    qosClass: qosClassOf(pod.spec),
    timeline: record.timeline.length === 0 ? undefined : [...record.timeline],
    interfaces: attachment?.further?.map(({ network, interface: name, addresses: given }) => ({
      network: network.slice(network.indexOf('/') + 1),
      name,
      addresses: [...given],
    })),
  }
}

/** True while nothing of a pod has run, ended or failed: it only has not come further yet. */
export function isStartingUp({ phase, containerStatuses, initContainerStatuses }: PodStatus): boolean {
  return (
    phase === 'Pending' &&
    [...(containerStatuses ?? []), ...(initContainerStatuses ?? [])].every(
      ({ state, lastState }) =>
        lastState === undefined &&
        state?.waiting !== undefined &&
        state.waiting.message === undefined &&
        ['ContainerCreating', 'PodInitializing'].includes(state.waiting.reason ?? ''),
    )
  )
}

function containerStatus(state: PodState, container: Container, origin: StatusContext, now: number): ContainerStatus {
  const known = containerRecord(state.record, container.name)
  const { stage } = known
  const current = containerState(state, container, origin, now)
  const previous = current.terminated === undefined ? (endIn(stage) ?? known.last) : known.last
  const id = shownId(known)
  const stopSignal = instanceIn(stage)?.stopSignal ?? ''
  const started = isStarted(container, stage)
  // Nothing waits for a container that was added.
  const ready =
    started &&
    !isEphemeral(state.record.pod, container.name) &&
    (container.readinessProbe === undefined || (stage.stage === 'running' && stage.ready === true))
  const initDone =
    current.terminated?.exitCode === 0 && state.record.pod.spec.initContainers?.includes(container) === true
  return {
    name: container.name,
    state: current,
    lastState: previous === undefined ? undefined : { terminated: terminated(previous, origin, messageLimit(state)) },
    ready: initDone || (ready && state.record.failed === undefined),
    restartCount: known.attempt,
    image: known.image?.reference ?? container.image ?? '',
    imageID: known.image === undefined ? '' : imageId(known.image),
    containerID: id === undefined ? undefined : `${origin.runtime}://${id}`,
    started,
    ...actuatedResources(state.record, container),
    stopSignal: current.running !== undefined && stopSignal !== '' ? stopSignal : undefined,
  }
}

/** The runtime's id of the instance that the status is about. */
function shownId({ stage, last }: ContainerRecord): string | undefined {
  switch (stage.stage) {
    case 'idle':
    case 'creating':
      return last?.id
    case 'created':
    case 'running':
    case 'exited':
      return stage.instance.id
    case 'ended':
      return stage.end.id
  }
}

/** What the node has granted a container, and what it may use as it runs. */
function actuatedResources(
  record: PodRecord,
  container: Container,
): Pick<ContainerStatus, 'allocatedResources' | 'resources'> {
  const { requests } = allocatedResourcesOf(record, container)
  const { resources } = containerRecord(record, container.name)
  const said = resources !== undefined && (resources.limits !== undefined || resources.requests !== undefined)
  return {
    ...(requests !== undefined && { allocatedResources: requests }),
    ...(said && runningStage(record, container.name) !== undefined && { resources }),
  }
}

/** "registry/repository@sha256:…": what can be pulled to get the very same image. */
function imageId({ reference, digest }: { reference: string; digest: string }): string {
  const repository = reference.split('@')[0]!.replace(/:[^:/]*$/, '')
  return `${repository}@${digest}`
}

function terminated(
  ended: Termination,
  origin: StatusContext,
  most: number,
): NonNullable<ContainerState['terminated']> {
  return {
    exitCode: ended.exitCode,
    signal: ended.signal,
    reason: ended.reason,
    message: ended.message === '' ? undefined : shortened(ended.message, most),
    startedAt: ended.startedAt === 0 ? undefined : formatTime(ended.startedAt),
    finishedAt: formatTime(ended.finishedAt),
    containerID: `${origin.runtime}://${ended.id}`,
  }
}

/** Bytes of one termination message: what containers write must not make a status too large to be stored. */
function messageLimit({ record }: PodState): number {
  return Math.floor(TERMINATION_MESSAGES / allContainers(record.pod).length)
}

/** The beginning of a text, whole characters of it. */
function shortened(text: string, bytes: number): string {
  const encoded = Buffer.from(text)
  return encoded.length <= bytes
    ? text
    : encoded
        .subarray(0, bytes)
        .toString()
        .replace(/\ufffd+$/, '')
}

function containerState(state: PodState, container: Container, origin: StatusContext, now: number): ContainerState {
  const { record } = state
  const { stage, failures } = containerRecord(record, container.name)
  const starting = record.pod.spec.initContainers === undefined ? 'ContainerCreating' : 'PodInitializing'
  const hasPostStart = container.lifecycle?.postStart !== undefined
  switch (stage.stage) {
    case 'idle':
      return { waiting: startFailure(state, container.name) ?? waitingFor(state, container, isStopping(record)) }
    case 'creating':
    case 'created':
      return { waiting: { reason: 'ContainerCreating' } }
    case 'running':
      // While its postStart hook runs, the container does not count as running.
      return isRunning(container, stage)
        ? { running: { startedAt: formatTime(stage.startedAt) } }
        : { waiting: { reason: starting } }
    case 'exited':
      // Its end is told once it is dealt with; what was told before stands until then.
      return stage.exit.startedAt > 0 && (!hasPostStart || stage.postStart === 'ended')
        ? { running: { startedAt: formatTime(stage.exit.startedAt) } }
        : { waiting: { reason: 'ContainerCreating' } }
    case 'ended': {
      const { end, retryAt } = stage
      const shown = { terminated: terminated(end, origin, messageLimit(state)) }
      if (isStopping(record) || !shouldRestart(record.pod, container.name, end)) return shown
      const failure = startFailure(state, container.name)
      if (failure !== undefined) return { waiting: failure }
      return retryAt <= now ? shown : { waiting: backingOff(end, retryAt, failures, messageLimit(state)) }
    }
  }
}

/** What stands in the way of a container's next start. */
function startFailure({ record, failures }: PodState, name: string): Waiting | undefined {
  const failure = isStopping(record) ? undefined : (failures.get(`pull/${name}`) ?? failures.get(`start/${name}`))
  return failure && { reason: failure.reason, message: failure.message }
}

/** `most`: bytes of the container's own message that are shown. */
function backingOff(end: Termination, retryAt: number, failures: number, most: number): Waiting {
  const wait = `next start at ${formatTime(retryAt)}, after ${failures} ends in a row`
  if (end.startFailed && failures <= 2)
    return { reason: 'RunContainerError', message: `${shortened(end.message, most)}; ${wait}` }
  const said = end.message === '' ? '' : `, ${shortened(end.message, most)}`
  return { reason: 'CrashLoopBackOff', message: `${wait}; the last: ${end.reason}, exit code ${end.exitCode}${said}` }
}

/** Why a container that never ran does not run yet. */
function waitingFor(state: PodState, container: Container, stopping: boolean): Waiting {
  const { record } = state
  const at = podProgress(record)
  if (isEphemeral(record.pod, container.name)) {
    const { targetContainerName: target = '' } = record.pod.spec.ephemeralContainers!.find(
      ({ name }) => name === container.name,
    )!
    return {
      reason: 'ContainerCreating',
      ...(target !== '' &&
        runningStage(record, target) === undefined && {
          message: `waits until container ${target}, whose processes it is to see, runs`,
        }),
    }
  }
  const laterInit = at.progress === 'initializing' && at.container.name !== container.name
  if (stopping || laterInit || at.progress === 'finished')
    return { reason: record.pod.spec.initContainers === undefined ? 'ContainerCreating' : 'PodInitializing' }
  const failure = state.failures.get('sandbox') ?? state.failures.get('volumes')
  if (failure !== undefined) return { reason: 'ContainerCreating', message: `${failure.reason}: ${failure.message}` }
  if (state.configVersion === undefined)
    return {
      reason: 'ContainerCreating',
      message: 'the ConfigMaps and Secrets that the pod uses are not known until the control plane is reached',
    }
  return { reason: 'ContainerCreating' }
}

/** https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-phase */
function podPhase(state: PodState, init: readonly ContainerStatus[], main: readonly ContainerStatus[]): Phase {
  const { record } = state
  const { pod } = record
  if (record.failed !== undefined) return 'Failed'
  const initialized = init.every((status) =>
    isSidecar(pod, status.name)
      ? containerRecord(record, status.name).passed === true
      : status.state?.terminated?.exitCode === 0,
  )
  const alive = allContainers(pod).some(({ name }) => instanceOf(record, name) !== undefined)
  const ends = main.map(
    (status) =>
      status.state?.terminated ?? (status.state?.waiting !== undefined ? status.lastState?.terminated : undefined),
  )
  const allSucceeded = ends.every((end) => end?.exitCode === 0)
  if (isBeingDeleted(record) && !alive && !startUnderWay(state))
    return initialized && allSucceeded ? 'Succeeded' : 'Failed'
  if (!initialized) return podProgress(record).progress === 'finished' ? 'Failed' : 'Pending'
  const running = main.filter((status) => status.state?.running !== undefined).length
  if (main.some((status, index) => status.state?.running === undefined && ends[index] === undefined)) return 'Pending'
  // What is left of a pod that has done its work are sidecars, which are being ended.
  if (running > 0 || alive || pod.spec.restartPolicy === 'Always') return 'Running'
  if (allSucceeded) return 'Succeeded'
  return pod.spec.restartPolicy === 'Never' ? 'Failed' : 'Running'
}

function startUnderWay(state: PodState): boolean {
  return [...state.busy].some((key) => key.startsWith('start/'))
}

/** https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-conditions */
function conditions(
  state: PodState,
  phase: Phase,
  init: readonly ContainerStatus[],
  main: readonly ContainerStatus[],
  now: number,
): PodCondition[] {
  const { record } = state
  const previous = new Map(record.status.conditions?.map((condition) => [condition.type, condition]))
  const condition = (type: string, holds: boolean, reason?: string, message?: string): PodCondition => {
    const status = holds ? 'True' : 'False'
    const lastTransitionTime = transitionTime(previous.get(type), status, formatTime(now))
    return { type, status, lastTransitionTime, ...(holds || reason === undefined ? {} : { reason, message }) }
  }
  const pod = record.pod
  const done = isTerminal({ status: { phase } })
  const pendingInit = (pod.spec.initContainers ?? []).filter(({ name }) => {
    const { stage, passed } = containerRecord(record, name)
    return isSidecar(pod, name) ? passed !== true : endIn(stage)?.exitCode !== 0
  })
  const unready = [...init.filter(({ name }) => isSidecar(pod, name)), ...main].filter((status) => !status.ready)
  const names = (list: readonly { readonly name: string }[]): string => `[${list.map((item) => item.name).join(' ')}]`
  const [reason, message] = done
    ? [phase === 'Succeeded' ? 'PodCompleted' : 'PodFailed', undefined]
    : ['ContainersNotReady', `containers with unready status: ${names(unready)}`]
  const ready = unready.length === 0 && !done
  const gates = readinessGates(pod).filter(({ status }) => status !== 'True')
  const [gateReason, gateMessage] = ready
    ? ['ReadinessGatesNotReady', gates.map(({ message }) => message).join(', ')]
    : [reason, message]
  return [
    condition('PodReadyToStartContainers', record.sandbox !== undefined),
    condition(
      'Initialized',
      pendingInit.length === 0,
      'ContainersNotInitialized',
      `containers with incomplete status: ${names(pendingInit)}`,
    ),
    condition('Ready', ready && gates.length === 0, gateReason, gateMessage),
    condition('ContainersReady', ready, reason, message),
    scheduled(pod, previous, record.acceptedAt),
    ...resizeConditions(record, state.failures.get('resize')?.message).map((told) => ({
      ...told,
      lastTransitionTime: previous.get(told.type)?.lastTransitionTime ?? formatTime(now),
    })),
  ]
}

/** A pod that a node has is scheduled: kept as the control plane wrote it. */
function scheduled(pod: Pod, previous: ReadonlyMap<string, PodCondition>, acceptedAt: number): PodCondition {
  return (
    findCondition(pod.status.conditions, 'PodScheduled') ??
    previous.get('PodScheduled') ?? { type: 'PodScheduled', status: 'True', lastTransitionTime: formatTime(acceptedAt) }
  )
}
