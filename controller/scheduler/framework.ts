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
import type { HostPortClaim } from '../../proto/objects/host-ports.ts'
import type { ResourceAmounts } from '../../proto/objects/resource-amounts.ts'
import type { PodAmounts } from './pod-requests.ts'

/**
 * What can happen in a cluster that may let a pod fit which did not. A pod event is about a pod on a node; a pod's end
 * is its removal.
 */
export type ClusterEvent = 'node-added' | 'node-changed' | 'node-removed' | 'pod-added' | 'pod-changed' | 'pod-removed'

/** What placing knows of a pod that has a node: little, so that the pod itself need not be kept. */
export interface PodInfo {
  readonly uid: string
  readonly namespace: string
  readonly name: string
  readonly labels: Readonly<Record<string, string>> | undefined
  /** The uid of the owner that controls it. */
  readonly owner: string | undefined
  readonly isDeleting: boolean
  readonly amounts: PodAmounts
  readonly hostPorts: readonly HostPortClaim[]
}

/** A node with what is placed on it, binds under way included. */
export interface NodeInfo {
  readonly name: string
  /** A small number that it alone has for as long as it is there. */
  readonly slot: number
  readonly node: Node
  /** The cluster's generation when `node` last changed in what placing looks at. */
  readonly since: number
  /** Its topology.kubernetes.io/zone. */
  readonly zone: string | undefined
  readonly allocatable: ResourceAmounts
  /** Sum of what its pods request, "pods" included. */
  readonly requested: ResourceAmounts
  /** By how much its pods count as more than they request where nodes are compared. */
  readonly defaulted: ResourceAmounts
  readonly pods: ReadonlySet<PodInfo>
}

export interface SchedulerSnapshot {
  /** In the order in which they came. */
  readonly nodes: readonly NodeInfo[]
  /** How many values of topology.kubernetes.io/zone the nodes have. */
  readonly zones: number
  /** Some node has a taint that prefers pods elsewhere. */
  readonly hasSoftTaints: boolean
  node(name: string): NodeInfo | undefined
  /**
   * How many pods of an owner that are not being deleted each node has, by the owner's uid; nodes without any are
   * absent.
   */
  podsOfOwner(uid: string): ReadonlyMap<string, number>
  /** The labels that the Services which select the pod ask for, all together; undefined when no Service selects it. */
  serviceSelector(pod: Pod): Readonly<Record<string, string>> | undefined
}

/** The cluster as it is, of which what has changed is known: what is found out once about nodes can be kept up. */
export interface SchedulerCluster extends SchedulerSnapshot {
  /** Nodes by their slots; undefined where none is. */
  readonly slots: readonly (NodeInfo | undefined)[]
  /** Rises with every change of a node or of the pods on it. */
  readonly generation: number
  /** Calls with the slot of each node that has changed since a generation, once, the last to change first. */
  changedSince(generation: number, visit: (slot: number) => void): void
  /** How many nodes have changed since a generation, counted up to `limit`. */
  countChangedSince(generation: number, limit: number): number
  /** Pods are on nodes that are not there. */
  readonly hasUnknownNodes: boolean
  /** What plugins keep about this cluster, the least recently used until it makes way. */
  kept<T>(key: string, make: () => T): T
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

/**
 * What allows a plugin's answers to be kept. They depend on a signature of the pod and on the node alone, until the
 * node or what is on it changes; or (relative) on all nodes together. Pods are looked at one by one, over all nodes,
 * when some plugin says neither.
 */
export interface Shareable {
  /** All of a pod, and of the cluster as a whole, on which the plugin's answers about a node depend. */
  sign?(pod: Pod, cluster: SchedulerSnapshot): string
  /** Whether it lets a node be depends on the Node object alone, not on the pods there. */
  readonly filtersByNodeObject?: boolean
  /**
   * The same answers about a pod as `prepareFilter` and `prepareScore` lead to; undefined when there are none. Scores
   * count by the weight given.
   */
  prepareRelative?(pod: Pod, cluster: SchedulerCluster, weight: number): RelativeAnswers | undefined
}

/** What a plugin says of nodes in view of all of them. */
export interface RelativeAnswers {
  /** Pods with the same one get the same answers, for as long as nothing changes. */
  readonly signature: string
  /** A node is refused by any of them, and its score is their sum. */
  readonly filters: readonly RelativeTerm[]
  readonly scores: readonly RelativeTerm[]
}

/** One part of such answers; holds until the plugin is asked about the next pod. */
export interface RelativeTerm {
  /** The group of each slot's node: what is said holds for all nodes of a group. */
  readonly groups: Int32Array
  /** By group: the score, −Infinity for a refusal; 0 is what a filter says of nodes that fit. */
  readonly scores: Float64Array
  /** No group with nodes has a higher score. */
  readonly highest: number
}

export interface FilterPlugin extends Plugin, Shareable {
  prepareFilter(pod: Pod, cluster: SchedulerSnapshot): ((node: NodeInfo) => FilterRejection | undefined) | undefined
  /** Where a refusal is dear to word: whether there is one. */
  prepareFits?(pod: Pod): (node: NodeInfo) => boolean
}

/** Prefers nodes: 0 (last choice) to 100 (best), multiplied by the weight. */
export interface ScorePlugin extends Shareable {
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
