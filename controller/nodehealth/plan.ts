/**
 * What follows from the health of nodes: taints that keep pods away and send them elsewhere, unless the brake holds.
 * Pure.
 * https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/#taint-based-evictions
 */
import type { Node, NodeCondition, Taint } from '../../proto/gen/types.ts'
import { healthOf, type Health } from './health.ts'
import {
  disruptionStateOf,
  LOST_CONFIRMED,
  EVICTION_HELD,
  hasVanished,
  heldOf,
  isConfirmed,
  isUnreachable,
  LOST_ANNOTATION,
  UNREACHABLE,
  type DisruptionState,
} from './disruption-state.ts'

/** What a node's object is to say. */
export interface NodeTaintPlan {
  readonly node: Node
  /** What was judged: nothing is to be written if the object says otherwise by now. */
  readonly health: Health['is']
  readonly taints: { readonly noSchedule: boolean; readonly noExecute: boolean }
  /** Why its pods stay, if they do. */
  readonly held: (DisruptionState & { is: 'held' }) | undefined
}

export interface NodeHealthPlan {
  readonly brake: DisruptionState
  /** Of the nodes whose objects say something else. */
  readonly verdicts: readonly NodeTaintPlan[]
}

export function planNodeHealth(nodes: readonly Node[], now: number): NodeHealthPlan {
  const brake = disruptionStateOf(nodes, now)
  const verdicts = nodes
    .map((node) => planNode(node, brake, now))
    .filter((verdict) => verdict !== undefined && !isFulfilled(verdict)) as NodeTaintPlan[]
  return { brake, verdicts }
}

/** Undefined for a node that has never been heard from. */
function planNode(node: Node, brake: DisruptionState, now: number): NodeTaintPlan | undefined {
  const { is } = healthOf(node)
  switch (is) {
    case 'unknown':
      return undefined
    case 'ready':
      return { node, health: is, taints: { noSchedule: false, noExecute: false }, held: undefined }
    case 'suspect':
      return { node, health: is, taints: { noSchedule: true, noExecute: false }, held: undefined }
    case 'lost': {
      const held = brake.is === 'held' && hasVanished(node, now) ? brake : undefined
      return { node, health: is, taints: { noSchedule: true, noExecute: held === undefined }, held }
    }
  }
}

function isFulfilled({ node, health, taints, held }: NodeTaintPlan): boolean {
  const condition = heldOf(node)
  return (
    withTaints(node.spec.taints, taints) === node.spec.taints &&
    !(health === 'ready' && isConfirmed(node)) &&
    (held === undefined ? condition === undefined : condition?.reason === held.reason)
  )
}

/** The same list if it says so already; taints of others stay as they are. */
export function withTaints(
  taints: Taint[] | undefined,
  { noSchedule, noExecute }: NodeTaintPlan['taints'],
): Taint[] | undefined {
  let list = taints
  for (const [effect, wanted] of [
    ['NoSchedule', noSchedule],
    ['NoExecute', noExecute],
  ] as const) {
    const there = list?.some((taint) => isUnreachable(taint, effect)) === true
    if (there && !wanted) list = list!.filter((taint) => !isUnreachable(taint, effect))
    else if (!there && wanted) list = [...(list ?? []), { key: UNREACHABLE, effect }]
  }
  return list
}

const WHY: Readonly<Record<(DisruptionState & { is: 'held' })['reason'], string>> = {
  NoNodeReady: 'no node is ready that could take its pods: its pods stay until enough nodes are back',
  TooManyNodesLost: 'more than a third of the nodes vanished together: its pods stay until enough nodes are back',
  NodesReturning: 'nodes that vanished together are coming back: its pods stay while more of them do',
}

/**
 * The condition of a node that is held, `now` in RFC 3339. No counts: they change with every node, and events tell
 * them.
 */
export function heldCondition(
  { name }: Node['metadata'],
  { reason }: DisruptionState & { is: 'held' },
  now: string,
): NodeCondition {
  const message = `${WHY[reason]}; if its machine will not come back: gantry delete node ${name}, or gantry annotate node ${name} ${LOST_ANNOTATION}=${LOST_CONFIRMED}`
  return { type: EVICTION_HELD, status: 'True', reason, message, lastHeartbeatTime: now, lastTransitionTime: now }
}
