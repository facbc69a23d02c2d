/** Times as Kubernetes writes them: RFC 3339 in UTC, seconds for Time, microseconds for MicroTime. */
import { GantryError } from './errors.ts'

const RFC3339 = /^\d{4}-\d{2}-\d{2}T(?:[01]\d|2[0-3]):\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$/

const DAY_MS = 86_400_000

/** Milliseconds since 1970 of an RFC 3339 text; InvalidArgument otherwise. */
export function parseTime(text: string): number {
  const seconds = text.length === 20 ? secondsOf(text) : undefined
  if (seconds !== undefined) return seconds * 1000
  const millis = RFC3339.test(text) && isDay(text) ? Date.parse(text) : NaN
  if (Number.isNaN(millis))
    throw new GantryError('InvalidArgument', `"${text}" is not a time in RFC 3339 form, such as 2026-01-31T12:00:00Z`)
  return millis
}

/** True if the month has that day: Date.parse takes 31 February for 3 March. */
function isDay(text: string): boolean {
  const [year, month, day] = text.slice(0, 10).split('-').map(Number) as [number, number, number]
  return day <= lastDay(year, month)
}

/** Seconds since 1970 of a text in the form that `formatTime` gives it, which is that of nearly all; else undefined. */
function secondsOf(text: string): number | undefined {
  if (
    text.charCodeAt(4) !== DASH ||
    text.charCodeAt(7) !== DASH ||
    text.charCodeAt(10) !== LETTER_T ||
    text.charCodeAt(13) !== COLON ||
    text.charCodeAt(16) !== COLON ||
    text.charCodeAt(19) !== LETTER_Z
  )
    return undefined
  const year = pairAt(text, 0) * 100 + pairAt(text, 2)
  const month = pairAt(text, 5)
  const day = pairAt(text, 8)
  const hour = pairAt(text, 11)
  const minute = pairAt(text, 14)
  const second = pairAt(text, 17)
  // NaN, of what are no digits, is in none of these bounds.
  if (!(year >= 0 && month >= 1 && month <= 12 && day >= 1 && day <= lastDay(year, month))) return undefined
  if (!(hour <= 23 && minute <= 59 && second <= 59)) return undefined
  return daysOf(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second
}

function lastDay(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31
}

const [DASH, COLON, LETTER_T, LETTER_Z] = [0x2d, 0x3a, 0x54, 0x5a]

/** A number of two digits; NaN for what is none. */
function pairAt(text: string, index: number): number {
  const tens = text.charCodeAt(index) - 48
  const ones = text.charCodeAt(index + 1) - 48
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : NaN
}

/**
 * Days since 1970 in the calendar of today, of a year from 0 on. Years are counted from March, so that the day that
 * comes every four years is the last.
 */
function daysOf(year: number, month: number, day: number): number {
  const shifted = month > 2 ? year : year - 1
  const era = Math.floor(shifted / 400)
  const ofEra = shifted - era * 400
  const dayOfYear = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + day - 1
  return era * 146_097 + ofEra * 365 + Math.floor(ofEra / 4) - Math.floor(ofEra / 100) + dayOfYear - 719_468
}

/** Seconds that were written lately as texts: many objects have the same times. Each has one place, its last digits. */
const PLACES = 1024
const writtenSeconds = new Float64Array(PLACES).fill(NaN)
const writtenTexts: string[] = Array.from({ length: PLACES }, () => '')
/** The day that was written last, "2026-01-31T": most times are of few days. */
let writtenDay = NaN
let dayText = ''

/** RFC 3339 with whole seconds, the form of metadata and conditions. */
export function formatTime(millis: number): string {
  const seconds = Math.floor(millis / 1000)
  // Years of four digits; all else is left to Date, which also refuses what is no time.
  if (!(seconds >= 0 && seconds < 253_402_300_800)) return `${new Date(millis).toISOString().slice(0, -5)}Z`
  const place = seconds % PLACES
  if (writtenSeconds[place] === seconds) return writtenTexts[place]!
  const day = Math.floor(seconds / 86_400)
  if (day !== writtenDay) {
    dayText = new Date(day * DAY_MS).toISOString().slice(0, 11)
    writtenDay = day
  }
  const rest = seconds - day * 86_400
  const text = `${dayText}${twoDigits(rest / 3600)}:${twoDigits((rest / 60) % 60)}:${twoDigits(rest % 60)}Z`
  writtenSeconds[place] = seconds
  writtenTexts[place] = text
  return text
}

function twoDigits(value: number): string {
  const whole = Math.floor(value)
  return whole < 10 ? `0${whole}` : String(whole)
}

/** RFC 3339 with microseconds (of which a clock of milliseconds knows three), the form of MicroTime. */
export function formatMicroTime(millis: number): string {
  const whole = Math.trunc(millis)
  const rest = whole - Math.floor(whole / 1000) * 1000
  return `${formatTime(whole).slice(0, -1)}.${String(rest).padStart(3, '0')}000Z`
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
