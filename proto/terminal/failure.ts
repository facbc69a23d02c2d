/** What a person is told when a command fails, and the exit code that says the same to a script. */
import { GantryError } from '../base/errors.ts'
import type { ErrorDetail } from '../gen/types.ts'
import { Failures, LocatedFailure, UsageError } from '../client/failures.ts'

/**
 * https://www.gnu.org/software/libc/manual/html_node/Exit-Status.html leaves their meaning to the program; these are
 * Gantry's.
 */
export const EXIT = {
  ok: 0,
  /** Refused, failed, or (diff) different. */
  refused: 1,
  usage: 2,
  notFound: 3,
  /** No controller answered, or not in time. */
  unavailable: 4,
  /** 128 + SIGINT. */
  interrupted: 130,
} as const

export function exitCodeOf(error: GantryError): number {
  if (error instanceof UsageError) return EXIT.usage
  switch (error.code) {
    case 'NotFound':
      return EXIT.notFound
    case 'Unavailable':
    case 'DeadlineExceeded':
      return EXIT.unavailable
    case 'Cancelled':
      return EXIT.interrupted
    case 'InvalidArgument':
    case 'AlreadyExists':
    case 'Forbidden':
    case 'ResourceExhausted':
    case 'FailedPrecondition':
    case 'Conflict':
    case 'Expired':
    case 'Unsupported':
    case 'Internal':
    case 'Unauthenticated':
      return EXIT.refused
  }
}

/** Where the call went, for failures of the connection. */
export interface Origin {
  readonly server: string
  readonly context: string
}

/** Lines for standard error, each ending in a newline. */
export function formatFailure(error: GantryError, origin: Origin | undefined): string {
  if (error instanceof Failures) return error.all.map((one) => formatFailure(one, origin)).join('')
  if (error instanceof LocatedFailure) return `${error.message}\n`
  const remedies = [
    ...new Set(
      error.details.map((detail) => detail.remedy).filter((remedy) => remedy !== '' && !error.message.includes(remedy)),
    ),
  ]
  // Which name is taken, the headline says.
  const details =
    error.code === 'AlreadyExists' ? [] : error.details.flatMap((detail) => detailLine(detail, error.message))
  const head = headline(error, origin)
  const remedy =
    remedies.length === 1 && details.length === 0
      ? head.endsWith('?')
        ? ` ${remedies[0]![0]!.toUpperCase()}${remedies[0]!.slice(1)}`
        : `; ${remedies[0]}`
      : remedies.map((text) => `\n  ${text}`).join('')
  return `error: ${head}${details.map((line) => `\n  ${line}`).join('')}${remedy}\n`
}

function headline(error: GantryError, origin: Origin | undefined): string {
  const where = origin === undefined ? '' : ` at ${origin.server} (context "${origin.context}")`
  switch (error.code) {
    // What a controller has answered with a remedy is about something behind it.
    case 'Unavailable':
      return origin === undefined || error.details.length > 0
        ? error.message
        : `the controller${where} is unavailable: ${error.message}; check that it runs, or choose another with --context or --server`
    case 'DeadlineExceeded':
      return error.cause === undefined || origin === undefined
        ? error.message
        : `no answer in time from the controller${where}: ${error.message}; --request-timeout allows more`
    case 'Unauthenticated':
      return `the controller${where} does not accept this certificate: ${error.message}; \`gantry config view\` shows the one in use`
    case 'Internal':
      return `${error.message} (a defect of Gantry${where === '' ? '' : `'s controller${where}`})`
    case 'InvalidArgument':
    case 'NotFound':
    case 'AlreadyExists':
    case 'Forbidden':
    case 'ResourceExhausted':
    case 'FailedPrecondition':
    case 'Conflict':
    case 'Expired':
    case 'Unsupported':
    case 'Cancelled':
      return error.message
  }
}

/** A detail that the message does not already tell. */
function detailLine(detail: ErrorDetail, message: string): string[] {
  const { field, value, message: text } = detail
  if (text === '' || message.includes(text)) return []
  const place = field === '' ? '' : `${field}: `
  return [`${place}${text}${value === '' || text.includes(value) ? '' : ` (it is "${value}")`}`]
}
