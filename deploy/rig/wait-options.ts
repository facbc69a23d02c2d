/** Options of the TypeScript API's calls, which JavaScript may call with anything. */
import { parseDuration } from '../../proto/base/duration.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { nearest } from '../../proto/base/nearest.ts'

/** How long a call waits, as `within` does in a scenario. */
export interface WaitOptions {
  /** Milliseconds, or text with a unit, such as "30s"; 60 s unless said. */
  readonly within?: number | string | undefined
  /** The same in milliseconds. */
  readonly timeout?: number | undefined
}

/** Milliseconds that calls wait unless said; what a scenario's step may take is the same. */
export const DEFAULT_TIMEOUT_MS = 60_000

const WAITING = ['within', 'timeout'] as const

/**
 * InvalidArgument for an option that the call does not have, with the nearest that it has: one that is mistyped would
 * change nothing in silence.
 */
export function checkOptionsOf(call: string, given: unknown, names: readonly string[]): void {
  if (given === undefined) return
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw wrong(call, `options are an object, not ${JSON.stringify(given)}`, names)
  for (const name of Object.keys(given)) {
    if (names.includes(name)) continue
    const meant = nearest(name, names)
    throw wrong(call, `there is no option "${name}"${meant === undefined ? '' : `; did you mean ${meant}?`}`, names)
  }
}

/** Milliseconds. The options of the call are checked, too: those named, beside `within` and `timeout`. */
export function patienceOf(call: string, given: WaitOptions | undefined, names: readonly string[] = []): number {
  checkOptionsOf(call, given, [...WAITING, ...names])
  const { within, timeout } = given ?? {}
  if (within !== undefined && timeout !== undefined)
    throw new GantryError('InvalidArgument', `${call}: within and timeout are the same: give one of the two`, {
      details: [{ field: 'timeout', value: String(timeout) }],
    })
  const wanted = within ?? timeout ?? DEFAULT_TIMEOUT_MS
  const millis = typeof wanted === 'string' ? durationOf(call, wanted) : wanted
  if (typeof millis === 'number' && millis >= 0) return millis
  throw new GantryError(
    'InvalidArgument',
    `${call}: ${within === undefined ? 'timeout' : 'within'} is a number of milliseconds, or text with a unit such as "30s", not ${JSON.stringify(wanted)}`,
    { details: [{ field: 'within', value: String(wanted) }] },
  )
}

function durationOf(call: string, text: string): number | undefined {
  // A bare number would be seconds to a person, and milliseconds to this API.
  if (/^[\d.]*$/.test(text)) return undefined
  try {
    return parseDuration(text)
  } catch (thrown) {
    throw new GantryError('InvalidArgument', `${call}: within: ${(thrown as Error).message}`, {
      details: [{ field: 'within', value: text }],
      cause: thrown,
    })
  }
}

function wrong(call: string, message: string, names: readonly string[]): GantryError {
  return new GantryError('InvalidArgument', `${call}: ${message}`, {
    details: [{ field: 'options', remedy: names.length === 0 ? 'it has none' : `it has ${names.join(', ')}` }],
  })
}
