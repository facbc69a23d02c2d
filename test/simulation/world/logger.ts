/** A log that tells only what is wrong with the program itself: an error that no fault outside explains. */
import { GantryError } from '../../../proto/base/errors.ts'
import type { Logger } from '../../../proto/base/logger.ts'
import type { Process } from './process.ts'

export interface Complaint {
  readonly process: string
  readonly message: string
  readonly error: unknown
}

type Fields = Readonly<Record<string, unknown>>

export function listeningLogger(process: Process, complain: (complaint: Complaint) => void): Logger {
  const told = (level: string) => (first: Fields | string, text?: string) => {
    const message = typeof first === 'string' ? first : (text ?? '')
    const error = typeof first === 'string' ? undefined : (first.err ?? first.error)
    if (!process.alive) return
    process.world.trace.note(
      process.world.time,
      `${process.name} ${level} ${message}${error instanceof Error ? `: ${error.message}` : ''}`,
    )
    if (isBug(error)) complain({ process: process.name, message, error })
  }
  const logger: Record<string, unknown> = { level: 'info' }
  for (const level of ['trace', 'debug', 'info', 'warn', 'error', 'fatal']) logger[level] = told(level)
  logger.child = () => logger
  return logger as unknown as Logger
}

/** What no part throws on purpose: a TypeError, a failed assertion. */
export function isBug(error: unknown): boolean {
  const cause = error instanceof GantryError ? error.cause : error
  return cause instanceof TypeError || cause instanceof RangeError || cause instanceof ReferenceError
}
