/** Spans of time as reports show them: "40ms", "2.1s", "3m04s". */
export function formatSeconds(millis: number): string {
  if (millis < 1_000) return `${Math.round(millis)}ms`
  if (millis < 60_000) return `${(millis / 1_000).toFixed(1).replace(/\.0$/, '')}s`
  const seconds = Math.round(millis / 1_000)
  return `${Math.floor(seconds / 60)}m${String(seconds % 60).padStart(2, '0')}s`
}
