/** Times as Kubernetes writes them: RFC 3339 in UTC, seconds for Time, microseconds for MicroTime. */
import { GantryError } from './errors.ts'

const RFC3339 = /^\d{4}-\d{2}-\d{2}T(?:[01]\d|2[0-3]):\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$/

/** Milliseconds since 1970 of an RFC 3339 text; InvalidArgument otherwise. */
export function parseTime(text: string): number {
  const millis = RFC3339.test(text) && isDay(text) ? Date.parse(text) : NaN
  if (Number.isNaN(millis))
    throw new GantryError('InvalidArgument', `"${text}" is not a time in RFC 3339 form, such as 2026-01-31T12:00:00Z`)
  return millis
}

/** True if the month has that day: Date.parse takes 31 February for 3 March. */
function isDay(text: string): boolean {
  if (text.slice(8, 10) <= '28') return true
  const [year, month, day] = text.slice(0, 10).split('-').map(Number) as [number, number, number]
  return day <= new Date(Date.UTC(year, month, 0)).getUTCDate()
}

/** The second that was formatted last: much of what happens together is told to have happened in one. */
let last: { readonly second: number; readonly text: string } | undefined

/** RFC 3339 with whole seconds, the form of metadata and conditions. */
export function formatTime(millis: number): string {
  const second = Math.floor(millis / 1000)
  if (last?.second !== second) last = { second, text: `${new Date(millis).toISOString().slice(0, -5)}Z` }
  return last.text
}

/** RFC 3339 with microseconds (of which a clock of milliseconds knows three), the form of MicroTime. */
export function formatMicroTime(millis: number): string {
  return new Date(millis).toISOString().replace('Z', '000Z')
}

const UNITS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
}

/**
 * Milliseconds of a length of time as Go writes it: "1m30s", "1.5s", "0s"; undefined for another text.
 * https://pkg.go.dev/time#ParseDuration
 */
export function parseDuration(text: string): number | undefined {
  if (text === '0') return 0
  const [, sign, amounts] = /^([-+]?)((?:\d+(?:\.\d*)?(?:ns|us|µs|ms|s|m|h))+)$/.exec(text) ?? []
  if (amounts === undefined) return undefined
  const millis = [...amounts.matchAll(/([\d.]+)(\D+)/g)].reduce(
    (sum, [, amount, unit]) => sum + Number(amount) * UNITS[unit!]!,
    0,
  )
  return sign === '-' ? -millis : millis
}

/** As Go writes it: hours, minutes and seconds. */
export function formatDuration(millis: number): string {
  const size = Math.abs(millis)
  const [hours, minutes] = [Math.floor(size / 3_600_000), Math.floor(size / 60_000) % 60]
  const seconds = `${Number(((size % 60_000) / 1000).toFixed(6))}s`
  const text = hours > 0 ? `${hours}h${minutes}m${seconds}` : minutes > 0 ? `${minutes}m${seconds}` : seconds
  return millis < 0 ? `-${text}` : text
}
