/** Conditions of the Gateway API: each says which generation of the object it is about. */
import { formatTime } from '../../../proto/base/time.ts'
import { withConditions } from '../../../proto/objects/conditions.ts'
import type { Condition } from '../../../proto/gen/types.ts'

export interface ConditionUpdate {
  readonly type: string
  readonly status: 'True' | 'False' | 'Unknown'
  readonly reason: string
  readonly message: string
}

/** Exactly these conditions beside those of other types; the time of one that keeps its status stays. */
export function applyConditions(
  conditions: readonly Condition[] | undefined,
  verdicts: readonly ConditionUpdate[],
  generation: number | undefined,
  now: number,
): Condition[] {
  return withConditions(
    conditions,
    verdicts.map((verdict) => ({
      ...verdict,
      ...(generation === undefined ? {} : { observedGeneration: generation }),
      lastTransitionTime: formatTime(now),
    })),
  )
}
