/** Back-off between a container's end and its next start. */

/** Running as long as this makes the count of ends begin anew: milliseconds. */
const BACKOFF_RESET_MS = 600_000
const LONGEST_SECONDS = 60

/** Milliseconds to wait after the n-th end in a row (n ≥ 1): 0, 1 s, 2 s, 4 s … 60 s. */
export function restartBackoff(ends: number): number {
  return ends <= 1 ? 0 : Math.min(LONGEST_SECONDS, 2 ** Math.min(ends - 2, 6)) * 1000
}

/** Ends in a row, the one just seen included. */
export function nextFailureCount(before: number, ranMillis: number): number {
  return ranMillis >= BACKOFF_RESET_MS ? 1 : before + 1
}
