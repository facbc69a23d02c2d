/**
 * A pod that the node has run before and has no record of any more, as after a power loss: what the control plane was
 * told of its containers stands in for the record, so that what is observed does not move backwards.
 */
import { parseTime } from '../../../proto/base/time.ts'
import type { ContainerStateTerminated, ContainerStatus, Pod } from '../../../proto/gen/types.ts'
import type { ContainerRecord, PodRecord, Termination } from '../../state/contract.ts'

/** Of a container that vanished: 128 + SIGKILL. */
const LOST_EXIT_CODE = 137

/** True if the control plane has been told of a container of the pod that ran. */
export function hasStarted({ status }: Pod): boolean {
  return [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])].some(
    ({ state, lastState }) => (state?.running ?? state?.terminated ?? lastState?.terminated) !== undefined,
  )
}

/**
 * The containers' records, by name: each that had run has ended, one that was told to run at a time that nobody knows.
 * The new sandbox begins with the init containers again.
 */
export function recordsFromStatus({ status }: Pod, now: number): Record<string, ContainerRecord> {
  const records: Record<string, ContainerRecord> = {}
  for (const told of status.containerStatuses ?? []) {
    const end = lastEnd(told, now)
    if (end === undefined) continue
    const last = told.state?.waiting === undefined ? told.lastState?.terminated : undefined
    records[told.name] = {
      attempt: end.attempt,
      stage: { stage: 'ended', end, retryAt: now },
      ...(last !== undefined && { last: termination(last, Math.max(0, end.attempt - 1)) }),
      failures: 0,
    }
  }
  for (const told of status.initContainerStatuses ?? []) {
    const last = lastEnd(told, now)
    if (last !== undefined)
      records[told.name] = { attempt: last.attempt + 1, stage: { stage: 'idle' }, last, failures: 0 }
  }
  return records
}

/**
 * The containers of a record, with what the control plane was told of those that it knows less of: a power loss has
 * brought an earlier state of it back. A container that is there already, or about to be (`starting`), stays as it is.
 * The same object if nothing is to be caught up with.
 */
export function caughtUpContainers(
  { containers }: Pick<PodRecord, 'containers'>,
  pod: Pod,
  now: number,
  starting: (container: string) => boolean,
): PodRecord['containers'] {
  const newer = Object.entries(recordsFromStatus(pod, now)).filter(
    ([name, told]) => !starting(name) && isBehind(containers[name], told),
  )
  return newer.length === 0 ? containers : { ...containers, ...Object.fromEntries(newer) }
}

/** Whether the record of a container that has no instance is of an earlier attempt than what was told. */
function isBehind(known: ContainerRecord | undefined, told: ContainerRecord): boolean {
  switch (known?.stage.stage) {
    case undefined:
      return true
    case 'ended':
      return known!.attempt < told.attempt
    case 'idle':
      return known!.last === undefined ? known!.attempt <= told.attempt : known!.last.attempt < told.attempt
    case 'creating':
    case 'created':
    case 'running':
    case 'exited':
      return false
  }
}

/** Undefined for a container that never ran. */
function lastEnd(
  { state, lastState, restartCount = 0, containerID }: ContainerStatus,
  now: number,
): Termination | undefined {
  const told = state?.terminated ?? (state?.running === undefined ? lastState?.terminated : undefined)
  if (told !== undefined) return termination(told, restartCount)
  if (state?.running === undefined) return undefined
  return {
    id: idOf(containerID),
    attempt: restartCount,
    exitCode: LOST_EXIT_CODE,
    reason: 'ContainerStatusUnknown',
    message: 'the node has lost its record of the container',
    startedAt: state.running.startedAt === undefined ? 0 : parseTime(state.running.startedAt),
    finishedAt: now,
    startFailed: false,
  }
}

function termination(told: ContainerStateTerminated, attempt: number): Termination {
  const [startedAt, finishedAt] = [told.startedAt, told.finishedAt].map((time) =>
    time === undefined ? 0 : parseTime(time),
  ) as [number, number]
  return {
    id: idOf(told.containerID),
    attempt,
    exitCode: told.exitCode ?? LOST_EXIT_CODE,
    signal: told.signal,
    reason: told.reason ?? 'ContainerStatusUnknown',
    message: told.message ?? '',
    startedAt,
    finishedAt,
    startFailed: startedAt === 0,
  }
}

/** "runtime://id" without the runtime. */
function idOf(containerId = ''): string {
  return containerId.replace(/^\w+:\/\//, '')
}
