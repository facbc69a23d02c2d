/** Signals by name and number, signal(7). */
import { constants } from 'node:os'
import { GantryError } from '../../../proto/base/errors.ts'

/** First real-time signal that programs may use, signal(7). */
const SIGRTMIN = 34
const SIGNAL_MAX = 64

/** The number of "SIGTERM", "TERM", "15", "SIGRTMIN+3" or "SIGRTMAX-3". InvalidArgument for anything else. */
export function signalNumber(signal: string): number {
  const name = signal.toUpperCase().replace(/^(?!SIG)(?=[A-Z])/, 'SIG')
  const realTime = /^SIGRT(?:MIN(?:\+(\d+))?|MAX(?:-(\d+))?)$/.exec(name)
  const number =
    realTime !== null
      ? name.startsWith('SIGRTMIN')
        ? SIGRTMIN + Number(realTime[1] ?? 0)
        : SIGNAL_MAX - Number(realTime[2] ?? 0)
      : /^\d+$/.test(name)
        ? Number(name)
        : (constants.signals as Record<string, number>)[name]
  if (number === undefined || number < 1 || number > SIGNAL_MAX)
    throw new GantryError('InvalidArgument', `"${signal}" is no signal`, {
      details: [{ field: 'signal', value: signal }],
    })
  return number
}
