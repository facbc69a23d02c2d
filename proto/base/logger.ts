/**
 * Structured logs: one JSON object a line on standard error, by pino. Messages are constant text; what varies stands in
 * the fields.
 */
import { pino, type Logger } from 'pino'

export type { Logger }

/**
 * The log of one program; components get children of it (`log.child({ component: 'scheduler' })`). Level by
 * `GANTRY_LOG_LEVEL`, else info.
 */
export function createLogger(program: string, level = process.env.GANTRY_LOG_LEVEL ?? 'info'): Logger {
  return pino(
    {
      name: program,
      level,
      base: { pid: process.pid },
      serializers: { error: pino.stdSerializers.err, err: pino.stdSerializers.err },
      timestamp: pino.stdTimeFunctions.isoTime,
    },
    pino.destination({ dest: 2, sync: true }),
  )
}

/** A log that says nothing, for tests. */
export const silentLogger: Logger = pino({ level: 'silent' })
