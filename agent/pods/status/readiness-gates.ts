/**
 * Conditions that others write into a pod's status and that its readiness waits for.
 * https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-readiness-gate
 */
import { findCondition } from '../../../proto/objects/conditions.ts'
import type { Pod } from '../../../proto/gen/types.ts'

export interface ReadinessGate {
  readonly status: string | undefined
  /** Why it does not hold, if it does not. */
  readonly message: string
}

/** As the control plane last told of them. */
export function readinessGates({ spec, status }: Pick<Pod, 'spec' | 'status'>): ReadinessGate[] {
  return (spec.readinessGates ?? []).map(({ conditionType }) => {
    const found = findCondition(status.conditions, conditionType)
    const message =
      found === undefined
        ? `corresponding condition of pod readiness gate "${conditionType}" does not exist.`
        : `the status of pod readiness gate "${conditionType}" is not "True", but ${found.status}`
    return { status: found?.status, message }
  })
}
