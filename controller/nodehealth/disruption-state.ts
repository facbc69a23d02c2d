/**
 * Whether so many nodes have vanished together that the fault is more likely on this side of the network: then work
 * stays where it is, and somebody is told. Pure: all that it knows stands in the nodes' objects, so a new leader comes
 * to the same answer.
 */
import { parseTime } from '../../proto/base/time.ts'
import { findCondition } from '../../proto/objects/conditions.ts'
import type { Node, NodeCondition, Taint } from '../../proto/gen/types.ts'
import { healthOf, readyOf } from './health.ts'

/** https://kubernetes.io/docs/reference/labels-annotations-taints/#node-kubernetes-io-unreachable */
export const UNREACHABLE = 'node.kubernetes.io/unreachable'

/**
 * A person's word that a lost machine will not come back: its pods go whatever the brake says, and it no longer counts.
 * Taken off when it does come back.
 */
export const LOST_ANNOTATION = 'gantry.dev/lost'
export const LOST_CONFIRMED = 'confirmed'

/** Nodes that were heard from last within so many milliseconds vanished together. */
export const DISRUPTION_WINDOW_MS = 60_000

/**
 * Once nodes that vanished together come back, the others are expected for so many milliseconds after the last that
 * did.
 */
export const RECOVERY_GRACE_MS = 5_000

/** What times of conditions are told in: metav1.Time. */
const CONDITION_TIME_MS = 1_000

/** Condition of a lost node whose pods are left where they are; absent otherwise. */
export const EVICTION_HELD = 'EvictionHeld'

export type DisruptionState =
  | { readonly is: 'off' }
  /** `vanished` of the `living` nodes that there were. */
  | {
      readonly is: 'held'
      readonly reason: 'TooManyNodesLost' | 'NoNodeReady'
      readonly vanished: number
      readonly living: number
    }
  /** It would be off, if others were not expected back, for so many milliseconds more. */
  | {
      readonly is: 'held'
      readonly reason: 'NodesReturning'
      readonly vanished: number
      readonly living: number
      readonly millis: number
    }

/**
 * Held when more than a third of the nodes, and at least two, are silent together; or when none is left that could take
 * the work. Suspects count: those that fail at one moment are found lost within a second of each other, and the first
 * must not be judged alone. A node held back once counts until it is back, so the brake is off when enough are, and
 * have been for a moment: nodes that were hidden by one fault come back one after the other, and the last must not lose
 * its work for being the last.
 */
export function disruptionStateOf(nodes: readonly Node[], now: number): DisruptionState {
  let alive = 0
  let vanished = 0
  for (const node of nodes) {
    if (healthOf(node).is === 'ready') alive++
    else if (hasVanished(node, now)) vanished++
  }
  const living = alive + vanished
  if (vanished === 0) return { is: 'off' }
  if (alive === 0) return { is: 'held', reason: 'NoNodeReady', vanished, living }
  if (vanished >= 2 && vanished * 3 > living) return { is: 'held', reason: 'TooManyNodesLost', vanished, living }
  const millis = nodes.some((node) => hasVanished(node, now) && heldOf(node) !== undefined) ? returning(nodes, now) : 0
  return millis > 0 ? { is: 'held', reason: 'NodesReturning', vanished, living, millis } : { is: 'off' }
}

/**
 * Milliseconds until no node has come back for long enough: a condition tells whole seconds, so a node may have come
 * back up to a second later than it says. Another machine's clock that is far off counts for nothing.
 */
function returning(nodes: readonly Node[], now: number): number {
  const sinceBack = nodes
    .map(({ status }) => readyOf(status))
    .flatMap((ready) =>
      ready?.status === 'True' && ready.lastTransitionTime !== undefined
        ? [now - (parseTime(ready.lastTransitionTime) + CONDITION_TIME_MS)]
        : [],
    )
  return Math.max(
    0,
    ...sinceBack.map((age) => (Math.abs(age) < RECOVERY_GRACE_MS ? RECOVERY_GRACE_MS - Math.max(0, age) : 0)),
  )
}

export function heldOf({ status }: Node): NodeCondition | undefined {
  return findCondition(status.conditions, EVICTION_HELD)
}

/** It is one that the brake is about: silent, and not settled by time or by a person's word. */
export function hasVanished(node: Node, now: number): boolean {
  const health = healthOf(node)
  return health.is === 'suspect' || (health.is === 'lost' && !isConfirmed(node) && !isSettled(node, health.since, now))
}

export function isConfirmed({ metadata }: Node): boolean {
  return metadata.annotations?.[LOST_ANNOTATION] === LOST_CONFIRMED
}

export function isUnreachable({ key, effect }: Taint, wanted: Taint['effect']): boolean {
  return key === UNREACHABLE && effect === wanted
}

/** Its work was taken away, and it was heard from too long ago to have anything to do with what vanishes now. */
function isSettled({ spec }: Node, since: string, now: number): boolean {
  return (
    spec.taints?.some((taint) => isUnreachable(taint, 'NoExecute')) === true &&
    since !== '' &&
    now - parseTime(since) >= DISRUPTION_WINDOW_MS
  )
}
