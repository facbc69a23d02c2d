/**
 * A pod in one word and a few counts, as the table of `kubectl get pods` shows it: the state of the container that
 * matters most, not the phase.
 * https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/
 */
import { isSidecar, lastingContainers } from '../containers.ts'
import { isTerminal, isReady } from '../pod.ts'
import { isDeleting } from '../deletion.ts'
import { findCondition, isConditionTrue } from '../conditions.ts'
import type { ContainerState, ContainerStatus, Pod } from '../../gen/types.ts'
import { ageSince, sinceText } from './age.ts'

export interface PodSummary {
  /** "Running", "CrashLoopBackOff", "Init:0/2", "Completed", "Terminating", … */
  readonly status: string
  readonly ready: number
  readonly containers: number
  readonly restarts: number
  /** When a container last ended before its present run, RFC 3339. */
  readonly lastRestart: string | undefined
}

export function summarizePod(pod: Pod): PodSummary {
  const { status } = pod
  const statuses = status.containerStatuses ?? []
  const initStatuses = status.initContainerStatuses ?? []
  const initial = initReason(pod)
  const initialized = initial === undefined || isConditionTrue(pod.status.conditions, 'Initialized')
  const main = mainReason(pod)
  const word = initialized ? (main ?? phaseReason(pod)) : initial
  const sidecars = initStatuses.filter(({ name }) => isSidecar(pod, name))
  const lasting = [...statuses, ...sidecars]
  const counted = initialized ? lasting : initStatuses
  return {
    status: isUnknown(pod) ? 'Unknown' : (deletionReason(pod) ?? word),
    // Of a node that is not heard from nothing is known to be ready.
    ready:
      findCondition(pod.status.conditions, 'Ready')?.status === 'Unknown'
        ? 0
        : lasting.filter((container) => container.ready && container.state?.running !== undefined).length,
    containers: lastingContainers(pod).length,
    restarts: counted.reduce((sum, container) => sum + container.restartCount, 0),
    lastRestart: latest(counted.map((container) => container.lastState?.terminated?.finishedAt)),
  }
}

/** The status with since when it has not been known, if so: "Unknown since 12:03:07". */
export function podStatusSince(pod: Pod, now: number): string {
  const { status } = summarizePod(pod)
  if (!isUnknown(pod)) return status
  return `${status} ${sinceText(findCondition(pod.status.conditions, 'Ready')?.lastTransitionTime, now)}`
}

/** Its node is lost: what is stored of it was true once. */
function isUnknown(pod: Pod): boolean {
  return pod.status.reason === 'NodeLost' && !isTerminal(pod)
}

/** "3 (5m ago)", or "0". */
export function formatRestarts({ restarts, lastRestart }: PodSummary, now: number): string {
  return restarts === 0 || lastRestart === undefined
    ? String(restarts)
    : `${restarts} (${ageSince(lastRestart, now)} ago)`
}

function latest(times: readonly (string | undefined)[]): string | undefined {
  return times
    .filter((time) => time !== undefined)
    .sort()
    .at(-1)
}

/** What the pod itself says when no container says more. */
function phaseReason({ status }: Pod): string {
  if (findCondition(status.conditions, 'PodScheduled')?.reason === 'SchedulingGated') return 'SchedulingGated'
  if (status.reason !== undefined && status.reason !== '') return status.reason
  return status.phase ?? 'Pending'
}

/** The first init container that has not done its part; undefined when all have. */
function initReason(pod: Pod): string | undefined {
  const statuses = pod.status.initContainerStatuses ?? []
  const total = pod.spec.initContainers?.length ?? statuses.length
  for (const [index, { name, started, state }] of statuses.entries()) {
    if (isSidecar(pod, name) && started === true) continue
    const terminated = state?.terminated
    if (terminated?.exitCode === 0) continue
    if (terminated !== undefined) return `Init:${endReason(terminated)}`
    if (isTerminal(pod)) return undefined
    const waiting = state?.waiting?.reason
    return waiting !== undefined && waiting !== '' && waiting !== 'PodInitializing'
      ? `Init:${waiting}`
      : `Init:${index}/${total}`
  }
  return undefined
}

function endReason(terminated: NonNullable<ContainerState['terminated']>): string {
  if (terminated.reason !== undefined && terminated.reason !== '') return terminated.reason
  return terminated.signal !== undefined && terminated.signal !== 0
    ? `Signal:${terminated.signal}`
    : `ExitCode:${terminated.exitCode}`
}

function containerReason(pod: Pod, { state }: ContainerStatus): string | undefined {
  if (!isTerminal(pod) && state?.waiting?.reason !== undefined && state.waiting.reason !== '')
    return state.waiting.reason
  return state?.terminated === undefined ? undefined : endReason(state.terminated)
}

/** The first container that is not simply running decides; one that ended well counts only if none runs. */
function mainReason(pod: Pod): string | undefined {
  const statuses = pod.status.containerStatuses ?? []
  const reason = statuses.map((status) => containerReason(pod, status)).find((word) => word !== undefined)
  const running = statuses.some((container) => container.ready && container.state?.running !== undefined)
  if (reason !== 'Completed' || !running) return reason
  return isReady(pod) ? 'Running' : 'NotReady'
}

function deletionReason(pod: Pod): string | undefined {
  if (!isDeleting(pod)) return undefined
  return isTerminal(pod) ? undefined : 'Terminating'
}
