/** What outcomes in a row come to: pure. https://kubernetes.io/docs/concepts/workloads/pods/probes/ */
import type { Probe } from '../../../proto/gen/types.ts'

export type ProbeKind = 'startup' | 'readiness' | 'liveness'

export type Thresholds = Pick<Probe, 'successThreshold' | 'failureThreshold'>

/** Equal outcomes in a row; none before the first. */
export interface ProbeCount {
  readonly last: boolean | undefined
  readonly run: number
}

export const INITIAL_PROBE_COUNT: ProbeCount = { last: undefined, run: 0 }

/** One more outcome. `verdict`: what the probe says from now on; undefined: what it said before. */
export function countOutcome(
  { last, run }: ProbeCount,
  success: boolean,
  { successThreshold, failureThreshold }: Thresholds,
): { readonly count: ProbeCount; readonly verdict: boolean | undefined } {
  const count = { last: success, run: last === success ? run + 1 : 1 }
  return { count, verdict: count.run >= (success ? successThreshold : failureThreshold) ? success : undefined }
}

/**
 * Milliseconds after the first try at which a probe that has not succeeded yet is tried in between, doubled each time.
 */
const EAGER_RETRY_MS = 100

/**
 * Milliseconds from one try to the next. A probe that says when a container is ready or started is tried more often
 * than its period at first, as Kubernetes allows, so that nobody waits a whole period for what is there after a moment;
 * such tries in between count only if they succeed.
 */
export function nextProbe(
  kind: ProbeKind,
  periodSeconds: number,
  sinceFirst: number,
  sinceRegular: number,
  succeeded: boolean,
): { readonly after: number; readonly regular: boolean } {
  const regular = Math.max(0, periodSeconds * 1000 - sinceRegular)
  const eager = Math.max(EAGER_RETRY_MS, sinceFirst)
  return kind === 'liveness' || succeeded || eager >= regular
    ? { after: regular, regular: true }
    : { after: eager, regular: false }
}
