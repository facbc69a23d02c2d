/**
 * A node's health as its object says it: the condition Ready. Written by the controller that holds the node's session,
 * or by the leader where that one is gone; read by everything else. Pure.
 * https://kubernetes.io/docs/reference/node/node-status/#condition
 */
import { findCondition, withConditions } from '../../proto/objects/conditions.ts'
import { fieldsOfWriter } from '../../proto/schema/status-writers.ts'
import type { Node, NodeCondition, NodeStatus } from '../../proto/gen/types.ts'

/** Reasons of Ready while the node is not heard from; also of Ready of its pods. */
export const NODE_SUSPECT = 'NodeSuspect'
export const NODE_LOST = 'NodeLost'
/** Reason of Ready while it is heard from. */
const SESSION_OPEN = 'SessionOpen'
/** Reason of what a lost node last said of itself: Kubernetes' own word. */
const STATUS_UNKNOWN = 'NodeStatusUnknown'

export type Health =
  | { readonly is: 'ready' }
  /** `since`: when it was last heard from, RFC 3339. */
  | { readonly is: 'suspect'; readonly since: string }
  | { readonly is: 'lost'; readonly since: string }
  /** It has never registered, or somebody else wrote its condition. */
  | { readonly is: 'unknown' }

export function readyOf(status: NodeStatus): NodeCondition | undefined {
  return findCondition(status.conditions, 'Ready')
}

export function healthOf({ status }: Node): Health {
  const ready = readyOf(status)
  if (ready?.status === 'True') return { is: 'ready' }
  const since = ready?.lastHeartbeatTime ?? ready?.lastTransitionTime ?? ''
  if (ready?.reason === NODE_SUSPECT) return { is: 'suspect', since }
  if (ready?.reason === NODE_LOST) return { is: 'lost', since }
  return { is: 'unknown' }
}

/** It has been heard from, and is no more. */
export function isMissed(node: Node): boolean {
  const { is } = healthOf(node)
  return is === 'suspect' || is === 'lost'
}

/** The status of a node that is heard from, `now` in RFC 3339. */
export function reachableStatus(status: NodeStatus, now: string): NodeStatus {
  return {
    ...status,
    conditions: withConditions(status.conditions, [
      {
        type: 'Ready',
        status: 'True',
        reason: SESSION_OPEN,
        message: 'the node has an open session',
        lastHeartbeatTime: now,
        lastTransitionTime: now,
      },
    ]),
  }
}

/** What was seen of a silent node: `since` and `now` in RFC 3339, `by` the name of the controller that saw it. */
export interface MissedHeartbeat {
  readonly is: 'suspect' | 'lost'
  readonly since: string
  readonly by: string
  readonly now: string
}

/**
 * The status of a node that is silent; undefined if it says so already. A lost node is not made suspect again, and
 * `since` stays where it was.
 */
export function unreachableStatus(status: NodeStatus, { is, since, by, now }: MissedHeartbeat): NodeStatus | undefined {
  const ready = readyOf(status)
  if (ready?.reason === NODE_LOST || (is === 'suspect' && ready?.reason === NODE_SUSPECT)) return undefined
  const last = (ready?.reason === NODE_SUSPECT ? ready.lastHeartbeatTime : undefined) ?? since
  const unknown = (type: string, reason: string, message: string): NodeCondition => ({
    type,
    status: 'Unknown',
    reason,
    message,
    lastHeartbeatTime: last,
    lastTransitionTime: now,
  })
  const word = unknown(
    'Ready',
    is === 'lost' ? NODE_LOST : NODE_SUSPECT,
    `no sign of life since ${last} (seen by ${by})`,
  )
  const said = is === 'lost' ? (status.conditions ?? []).filter(({ type }) => REPORTED.has(type)) : []
  return {
    ...status,
    conditions: withConditions(status.conditions, [
      word,
      ...said.map(({ type, lastHeartbeatTime }) => ({
        ...unknown(type, STATUS_UNKNOWN, `not known since ${last}`),
        lastHeartbeatTime,
      })),
    ]),
  }
}

/** Conditions that an agent reports, with each registration anew. */
const REPORTED = new Set(['MemoryPressure', 'DiskPressure', 'PIDPressure'])

/** What of a status is an agent's to say as a whole. */
const NODES_FIELDS = fieldsOfWriter('NodeStatus', 'node')

/** The stored status with what the agent reports; Ready and conditions that the agent does not know stay. */
export function mergeNodeStatus(stored: NodeStatus, reported: NodeStatus): NodeStatus {
  const observed = (reported.conditions ?? []).filter(({ type }) => type !== 'Ready')
  return {
    ...stored,
    ...(Object.fromEntries(NODES_FIELDS.map((name) => [name, reported[name]])) as Partial<NodeStatus>),
    conditions: withConditions(stored.conditions, observed),
  }
}
