/** How a container's instance ended, as a pod's status tells it: pure. */
import type { GantryError } from '../../../proto/base/errors.ts'
import { START_FAILURE_FIELD } from '../../runtime/contract.ts'
import type { ContainerStage, ExitedState, Instance, Termination } from '../../state/contract.ts'

/** Of a container that vanished: 128 + SIGKILL. */
const LOST_EXIT_CODE = 137
/** Of a container that the runtime could not start, for no fault of its command. */
const START_ERROR_CODE = 128

export function exitTermination(instance: Instance, exited: ExitedState, message: string): Termination {
  const reason = exited.oomKilled ? 'OOMKilled' : exited.exitCode === 0 ? 'Completed' : 'Error'
  return {
    id: instance.id,
    attempt: instance.attempt,
    exitCode: exited.exitCode,
    signal: exited.signal,
    reason,
    message,
    startedAt: exited.startedAt,
    finishedAt: exited.finishedAt,
    startFailed: false,
  }
}

/** Of an instance that should exist and does not, e.g. after the machine was restarted. */
export function lostTermination(stage: ContainerStage, instance: Instance, now: number): Termination {
  const startedAt = stage.stage === 'running' ? stage.startedAt : 0
  return {
    id: instance.id,
    attempt: instance.attempt,
    exitCode: LOST_EXIT_CODE,
    reason: 'ContainerStatusUnknown',
    message: 'the container could not be located when the agent looked for it',
    startedAt,
    finishedAt: now,
    startFailed: false,
  }
}

/** The exit code that a shell would give for a command that cannot be run; undefined: the command is not at fault. */
export function startFailureCode(error: GantryError): number | undefined {
  const detail = error.details.find((other) => other.field === START_FAILURE_FIELD)
  return detail === undefined ? undefined : Number(detail.value)
}

export function startTermination(instance: Instance, error: GantryError, now: number): Termination {
  const code = startFailureCode(error)
  return {
    id: instance.id,
    attempt: instance.attempt,
    exitCode: code ?? START_ERROR_CODE,
    reason: code === undefined ? 'StartError' : 'ContainerCannotRun',
    message: error.message,
    startedAt: 0,
    finishedAt: now,
    startFailed: true,
  }
}
