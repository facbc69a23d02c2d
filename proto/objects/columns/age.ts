/** Lengths of time for people, in the steps of kubectl's AGE column: exact while young, coarse when old. */
import { parseTime } from '../../base/time.ts'

/** "45s", "3m20s", "59m", "5h12m", "47h", "3d4h", "40d", "2y10d". */
export function formatAge(millis: number): string {
  const seconds = Math.trunc(millis / 1000)
  if (seconds < -1) return '<invalid>'
  if (seconds < 0) return '0s'
  if (seconds < 120) return `${seconds}s`
  const minutes = Math.trunc(seconds / 60)
  if (minutes < 10) return two(minutes, 'm', seconds % 60, 's')
  if (minutes < 180) return `${minutes}m`
  const hours = Math.trunc(minutes / 60)
  if (hours < 8) return two(hours, 'h', minutes % 60, 'm')
  if (hours < 48) return `${hours}h`
  const days = Math.trunc(hours / 24)
  if (hours < 192) return two(days, 'd', hours % 24, 'h')
  if (days < 730) return `${days}d`
  const years = Math.trunc(days / 365)
  if (days < 2920) return two(years, 'y', days % 365, 'd')
  return `${years}y`
}

function two(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large}${largeUnit}` : `${large}${largeUnit}${small}${smallUnit}`
}

/** The age of something made at an RFC 3339 time; "<unknown>" without one. */
export function ageSince(time: string | undefined, now: number): string {
  return time === undefined || time === '' ? '<unknown>' : formatAge(now - parseTime(time))
}

const DAY = 24 * 3_600_000

/** "since 12:03:07", with the date when that is a day ago or more; UTC. Of an RFC 3339 time; '' without one. */
export function sinceText(time: string | undefined, now: number): string {
  if (time === undefined || time === '') return ''
  const [date, clock] = [time.slice(0, 10), time.slice(11, 19)]
  return now - parseTime(time) < DAY ? `since ${clock}` : `since ${date} ${clock}`
}
