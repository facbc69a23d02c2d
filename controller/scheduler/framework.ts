/**
 * What a plugin is. Placing a pod is synchronous and works on the scheduler's cache alone: each plugin looks at the pod
 * once (`prepare…`) and gives back the question it asks of every node, or undefined when it has none about this pod.
 * Answers are values, never exceptions.
 *
 *   const NodeName: FilterPlugin = {
 *     name: 'NodeName', helpedBy: ['node-added'],
 *     prepareFilter: (pod) => pod.spec.nodeName === undefined ? undefined : (node) => node.name === pod.spec.nodeName ?
 * undefined : { reason: 'not the node asked for', detail: '…' },
 *   }
 */
import type { Node, Pod } from '../../proto/gen/types.ts'
import type { ResourceAmounts } from '../../proto/objects/resource-amounts.ts'

/**
 * What can happen in a cluster that may let a pod fit which did not. A pod event is about a pod on a node; a pod's end
 * is its removal.
 */
export type ClusterEvent = 'node-added' | 'node-changed' | 'node-removed' | 'pod-added' | 'pod-changed' | 'pod-removed'

/** A node with what is placed on it, binds under way included. */
export interface NodeInfo {
  readonly name: string
  readonly node: Node
  readonly allocatable: ResourceAmounts
  /** Sum of what its pods request, "pods" included. */
  readonly requested: ResourceAmounts
  /** By how much its pods count as more than they request where nodes are compared. */
  readonly defaulted: ResourceAmounts
  readonly pods: ReadonlyMap<string, Pod>
}

export interface SchedulerSnapshot {
  /** In the order in which they came. */
  readonly nodes: readonly NodeInfo[]
  /** How many values of topology.kubernetes.io/zone the nodes have. */
  readonly zones: number
  node(name: string): NodeInfo | undefined
  /**
   * How many pods of an owner that are not being deleted each node has, by the owner's uid; nodes without any are
   * absent.
   */
  podsOfOwner(uid: string): ReadonlyMap<string, number>
  /** The labels that the Services which select the pod ask for, all together; undefined when no Service selects it. */
  serviceSelector(pod: Pod): Readonly<Record<string, string>> | undefined
}

/** Why a node does not fit. */
export interface FilterRejection {
  /** Adds up over nodes: "cpu short", "cordoned". */
  readonly reason: string
  /** For this node, with its numbers: "cpu 400m short (requested 1, free 600m)". */
  readonly detail: string
  /** How much is missing, where that can be said; the smallest is told to people. */
  readonly shortage?: { readonly amount: number; readonly text: string }
}

export interface Plugin {
  readonly name: string
  /** Events that could change a refusal of this plugin. */
  readonly eventsToRegister: readonly ClusterEvent[]
}

export interface FilterPlugin extends Plugin {
  prepareFilter(pod: Pod, cluster: SchedulerSnapshot): ((node: NodeInfo) => FilterRejection | undefined) | undefined
}

/** Prefers nodes: 0 (last choice) to 100 (best), multiplied by the weight. */
export interface ScorePlugin {
  readonly name: string
  readonly weight: number
  prepareScore(pod: Pod, cluster: SchedulerSnapshot): ((node: NodeInfo) => number) | undefined
}

/** Takes something on the chosen node for the pod, before it is bound; gives it back when the bind fails. */
export interface ReservePlugin extends Plugin {
  reserve(pod: Pod, node: NodeInfo): FilterRejection | undefined
  /** Also called after a reservation that another plugin refused; must bear that nothing was reserved. */
  unreserve(pod: Pod, node: string): void
}

export interface Plugins {
  /** The first that refuses a node is the one told, so cheap and telling ones come first. */
  readonly filters: readonly FilterPlugin[]
  readonly scores: readonly ScorePlugin[]
  readonly reserves: readonly ReservePlugin[]
}
