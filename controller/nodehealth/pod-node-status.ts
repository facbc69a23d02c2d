/**
 * What the status of a pod says while its node is not heard from. The agent alone observes a pod, and its phase stays
 * as it was last observed; the control plane says only that this is no longer known: in the condition Ready, and, once
 * the node is lost, in reason and message. The agent's next report replaces both. Pure.
 * https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-conditions
 */
import type { Pod, PodCondition, PodStatus } from '../../proto/gen/types.ts'
import { NODE_LOST, NODE_SUSPECT, type Health } from './health.ts'
import { findCondition, withCondition, withoutCondition } from '../../proto/objects/conditions.ts'
import { isTerminal } from '../../proto/objects/pod.ts'

/** The status to write; undefined if it is right. What has ended is known for good. */
export function podStatusForNodeHealth(pod: Pod, health: Health): PodStatus | undefined {
  if (isTerminal(pod)) return undefined
  const { status, spec } = pod
  switch (health.is) {
    case 'unknown':
      return undefined
    case 'ready':
      return isMarked(status) ? unmarked(status) : undefined
    case 'suspect':
      return isMarked(status)
        ? undefined
        : { ...status, conditions: unknownReady(status, NODE_SUSPECT, spec.nodeName, health.since) }
    case 'lost': {
      const conditions = unknownReady(status, NODE_LOST, spec.nodeName, health.since)
      if (status.reason === NODE_LOST && findCondition(status.conditions, 'Ready')?.reason === NODE_LOST)
        return undefined
      return {
        ...status,
        conditions,
        reason: NODE_LOST,
        message: `unknown since ${health.since}: node ${spec.nodeName} is lost`,
      }
    }
  }
}

function isMarked({ reason, conditions }: PodStatus): boolean {
  const said = findCondition(conditions, 'Ready')?.reason
  return reason === NODE_LOST || said === NODE_LOST || said === NODE_SUSPECT
}

/** The time of the transition is the last at which it was known. */
function unknownReady(
  { conditions }: PodStatus,
  reason: string,
  node: string | undefined,
  since: string,
): PodCondition[] {
  return withCondition(conditions, {
    type: 'Ready',
    status: 'Unknown' as const,
    reason,
    message: `node ${node} gave no sign of life since ${since}`,
    lastTransitionTime: since,
  })
}

/** Ready as the agent said it last: it is as ready as its containers, which nobody else writes. */
function unmarked(status: PodStatus): PodStatus {
  const containers = findCondition(status.conditions, 'ContainersReady')
  const conditions = withoutCondition(status.conditions, 'Ready')
  const said = {
    ...status,
    conditions: containers === undefined ? conditions : [...conditions, { ...containers, type: 'Ready' }],
  }
  if (said.reason === NODE_LOST) {
    delete said.reason
    delete said.message
  }
  return said
}
