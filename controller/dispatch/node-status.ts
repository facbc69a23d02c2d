/** A node's status: the agent says what the machine is and lacks, the control plane whether it is heard from. Pure. */
import type { NodeCondition, NodeStatus } from '../../proto/gen/types.ts'

export type Readiness = { readonly status: 'True'; readonly reason: 'SessionOpen' } | { readonly status: 'Unknown'; readonly reason: 'SessionLost' }

const MESSAGES = { SessionOpen: 'the node has an open session', SessionLost: 'the node has no session with the control plane' }

/** The conditions with others in the place of those of the same type; a transition time moves only when the status does. */
function withConditions(stored: readonly NodeCondition[] | undefined, observed: readonly NodeCondition[]): NodeCondition[] {
  const types = new Set(observed.map(({ type }) => type))
  const steady = observed.map((condition) => {
    const before = stored?.find(({ type }) => type === condition.type)
    return before?.status === condition.status ? { ...condition, lastTransitionTime: before.lastTransitionTime } : condition
  })
  return [...(stored ?? []).filter(({ type }) => !types.has(type)), ...steady]
}

/** The conditions with Ready set, `now` in RFC 3339. */
export function withReady(conditions: readonly NodeCondition[] | undefined, ready: Readiness, now: string): NodeCondition[] {
  return withConditions(conditions, [{ type: 'Ready', ...ready, message: MESSAGES[ready.reason], lastHeartbeatTime: now, lastTransitionTime: now }])
}

/** The stored status with what the agent reports; Ready and conditions that the agent does not know stay. */
export function mergeNodeStatus(stored: NodeStatus, { capacity, allocatable, addresses, images, nodeInfo, conditions }: NodeStatus): NodeStatus {
  const observed = (conditions ?? []).filter(({ type }) => type !== 'Ready')
  return { ...stored, capacity, allocatable, addresses, images, nodeInfo, conditions: withConditions(stored.conditions, observed) }
}
