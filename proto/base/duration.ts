/** Lengths of time as people type them: "30s", "1m30s", "1h", "500ms", "2d"; a bare number is seconds. */
import { GantryError } from './errors.ts'

const UNITS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/**
 * Milliseconds. Negative lengths are allowed (`--timeout=-1s` waits a week, as in kubectl); the caller decides what
 * they mean.
 */
export function parseDuration(text: string): number {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)?/g)]
  const whole = text.replace(/^-/, '')
  if (
    whole === '' ||
    parts.map((part) => part[0]).join('') !== whole ||
    (parts.length > 1 && parts.some((part) => part[2] === undefined))
  ) {
    throw new GantryError('InvalidArgument', `"${text}" is not a length of time, such as 30s, 5m or 1h30m`)
  }
  const millis = parts.reduce((sum, [, amount, unit = 's']) => sum + Number(amount) * UNITS[unit]!, 0)
  return text.startsWith('-') ? -millis : millis
}

/** As it would be typed, exact: "15s", "1m30s", "0s". */
export function formatDuration(millis: number): string {
  let rest = Math.abs(millis)
  const parts = Object.entries(UNITS)
    .sort(([, a], [, b]) => b - a)
    .map(([unit, length]) => {
      const amount = Math.floor(rest / length)
      rest -= amount * length
      return amount === 0 ? '' : `${amount}${unit}`
    })
  return `${millis < 0 ? '-' : ''}${parts.join('') || '0s'}`
}
