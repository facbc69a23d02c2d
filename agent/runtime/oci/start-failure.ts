/**
 * What the runtime's own words say about a command that could not be started. crun and runc give their reasons only as
 * text, so this is the border at which text is read, once; everywhere else the exit code in the error's details counts.
 */
import { join } from 'node:path'
import { GantryError } from '../../../proto/base/errors.ts'
import { START_FAILURE_FIELD } from '../contract.ts'

/** As a shell would exit: POSIX.1-2017, 2.8.2. */
const NOT_FOUND = 127
export const NOT_EXECUTABLE = 126

const MISSING_DIRECTORY = /chdir to/i
const ABSENT = /(?:executable file|exec:).*(?:not found|no such file or directory)/i
const UNUSABLE =
  /(?:not executable|not a regular file|is a directory|exec:.*permission denied|exec container process.*(?:permission denied|format error)|exec format error)/i

export interface StartFailure {
  readonly exitCode: number
  readonly message: string
}

/** Undefined: the command is not at fault. */
export function startFailure(runtimeText: string, command: string): StartFailure | undefined {
  if (MISSING_DIRECTORY.test(runtimeText))
    return { exitCode: NOT_EXECUTABLE, message: `working directory: ${lastClause(runtimeText)}` }
  if (ABSENT.test(runtimeText)) return { exitCode: NOT_FOUND, message: `exec: ${JSON.stringify(command)}: not found` }
  if (!UNUSABLE.test(runtimeText)) return undefined
  const reason = /directory|regular file/i.test(runtimeText)
    ? 'is a directory'
    : /format/i.test(runtimeText)
      ? 'exec format error'
      : 'permission denied'
  return { exitCode: NOT_EXECUTABLE, message: `exec: ${JSON.stringify(command)}: ${reason}` }
}

/** The error of createContainer and startContainer. */
export function startError(runtimeText: string, command: string, action: string, cause?: unknown): GantryError {
  const failure = startFailure(runtimeText, command)
  if (failure === undefined) return new GantryError('Internal', `${action}: ${runtimeText}`, { cause })
  const { exitCode, message } = failure
  return new GantryError(exitCode === NOT_FOUND ? 'NotFound' : 'FailedPrecondition', message, {
    cause,
    details: [{ field: START_FAILURE_FIELD, value: String(exitCode), message }],
  })
}

/** Where the runtime's own words go, as lastLogged reads them. */
export function logTo(bundle: string): string[] {
  return ['--log', join(bundle, 'runtime.log'), '--log-format', 'json']
}

/** The message of the last error in a runtime's log of JSON lines; undefined if it has none. */
export function lastLogged(log: string): string | undefined {
  const lines = log.split('\n').filter((line) => line.startsWith('{'))
  for (const line of lines.reverse()) {
    const entry = JSON.parse(line) as { level?: string; msg?: string }
    if (entry.level === undefined || ['error', 'fatal'].includes(entry.level)) return entry.msg
  }
  return undefined
}

function lastClause(text: string): string {
  return text.replace(/^.*unable to start container process: /, '').trim()
}
