/**
 * How a container ended, as a pod's status tells it.
 * https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/
 */
import { open } from 'node:fs/promises'
import { GantryError } from '../../../proto/base/errors.ts'
import type { Container } from '../../../proto/gen/types.ts'
import { START_FAILURE_FIELD, type ContainerState } from '../../runtime/contract.ts'
import type { Instance, Termination } from '../../state/contract.ts'
import { tailLines } from '../../streams/logs/tail.ts'

export type Exited = Extract<ContainerState, { state: 'exited' }>

/** Bytes of a termination message at most. */
const MESSAGE_LIMIT = 4096
const FALLBACK_LINES = 80
const FALLBACK_BYTES = 2048
/** Of a container that vanished: 128 + SIGKILL. */
const LOST_EXIT_CODE = 137
/** Of a container that the runtime could not start, for no fault of its command. */
const START_ERROR_CODE = 128

export function exitTermination(instance: Instance, exited: Exited, message: string): Termination {
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
export function lostTermination(instance: Instance, now: number): Termination {
  const startedAt = instance.state.state === 'running' ? instance.state.startedAt : 0
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

/** What the container wrote to its termination message file, or, where its policy says so, the end of its log. */
export async function terminationMessage(
  container: Container,
  exited: Exited,
  messagePath: string,
  logPath: string,
): Promise<string> {
  const written = await readStart(messagePath, MESSAGE_LIMIT)
  if (written !== '' || container.terminationMessagePolicy !== 'FallbackToLogsOnError' || exited.exitCode === 0)
    return written
  const lines = await tailLines([logPath], FALLBACK_LINES, FALLBACK_BYTES)
  return Buffer.concat(lines.map((line) => line.content))
    .subarray(-FALLBACK_BYTES)
    .toString()
}

async function readStart(path: string, limit: number): Promise<string> {
  try {
    const file = await open(path, 'r')
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(limit), 0, limit, 0)
      return buffer.subarray(0, bytesRead).toString()
    } finally {
      await file.close()
    }
  } catch (thrown) {
    const error = GantryError.from(thrown)
    if (error.code === 'NotFound') return ''
    throw error
  }
}
