/**
 * What changed in the scheduler's picture of the cluster, for a while back: what was found about a pod can be told long
 * after, as it was then, without having been written down for every node.
 */
import type { Node, Pod } from '../../proto/gen/types.ts'
import { addAmounts, type ResourceAmounts } from '../../proto/objects/resource-amounts.ts'
import { isSoftTaint } from '../../proto/objects/taints.ts'
import type { NodeInfo, PodInfo, SchedulerSnapshot } from './framework.ts'
import { zoneOf } from './node-facts.ts'

/** Changes that are kept; once there are a quarter more, the oldest go together. */
const CHANGES_KEPT = 32_000

export type ClusterChange =
  /** A pod has come to a node (1), or has left it (−1). */
  | { readonly is: 'pod'; readonly node: string; readonly pod: PodInfo; readonly by: 1 | -1 }
  /** A node has changed from what is here; `before` is undefined if it was not there. */
  | { readonly is: 'node'; readonly node: string; readonly before: NodeBefore | undefined }

export interface NodeBefore {
  readonly node: Node
  readonly allocatable: ResourceAmounts
}

/** A node as the cache has it: undefined as `known` is one that is not there but has pods. */
export interface NodeState {
  readonly name: string
  readonly known: Node | undefined
  readonly allocatable: ResourceAmounts
  readonly requested: ResourceAmounts
  readonly defaulted: ResourceAmounts
  readonly pods: ReadonlySet<PodInfo>
}

export class ClusterHistory {
  /** In order of generation, which is beside each. */
  #changes: ClusterChange[] = []
  #generations: number[] = []
  /** Changes up to this generation are forgotten. */
  #forgotten = 0

  record(generation: number, change: ClusterChange): void {
    this.#changes.push(change)
    this.#generations.push(generation)
    const surplus = this.#changes.length - CHANGES_KEPT
    if (surplus < CHANGES_KEPT / 4) return
    this.#forgotten = this.#generations[surplus - 1]!
    this.#changes = this.#changes.slice(surplus)
    this.#generations = this.#generations.slice(surplus)
  }

  /** The cluster as it was at a generation, from what it is now; undefined if that is too long ago. */
  at(
    generation: number,
    now: Iterable<NodeState>,
    serviceSelector: SchedulerSnapshot['serviceSelector'],
  ): SchedulerSnapshot | undefined {
    if (generation < this.#forgotten) return undefined
    const states = new Map<string, NodeState>()
    for (const state of now) states.set(state.name, state)
    const drafts = new Map<string, Draft>()
    for (let index = this.#changes.length - 1; index >= 0 && this.#generations[index]! > generation; index--) {
      const change = this.#changes[index]!
      let draft = drafts.get(change.node)
      if (draft === undefined) {
        drafts.set(change.node, (draft = new Draft(change.node, states.get(change.node))))
        states.set(change.node, draft)
      }
      draft.undo(change)
    }
    return new PastCluster([...states.values()], serviceSelector)
  }
}

class Draft implements NodeState {
  readonly name: string
  known: Node | undefined
  allocatable: ResourceAmounts
  readonly requested: Map<string, number>
  readonly defaulted: Map<string, number>
  readonly pods: Set<PodInfo>

  constructor(name: string, from: NodeState | undefined) {
    this.name = name
    this.known = from?.known
    this.allocatable = from?.allocatable ?? new Map()
    this.requested = new Map(from?.requested)
    this.defaulted = new Map(from?.defaulted)
    this.pods = new Set(from?.pods)
  }

  undo(change: ClusterChange): void {
    switch (change.is) {
      case 'pod': {
        const { pod, by } = change
        if (by === 1) this.pods.delete(pod)
        else this.pods.add(pod)
        addAmounts(this.requested, pod.amounts.requested, by === 1 ? -1 : 1)
        addAmounts(this.defaulted, pod.amounts.defaulted, by === 1 ? -1 : 1)
        return
      }
      case 'node':
        this.known = change.before?.node
        this.allocatable = change.before?.allocatable ?? this.allocatable
    }
  }
}

class PastCluster implements SchedulerSnapshot {
  readonly nodes: readonly NodeInfo[]
  readonly serviceSelector: (pod: Pod) => Readonly<Record<string, string>> | undefined
  readonly #states: readonly NodeState[]
  readonly #byName: ReadonlyMap<string, NodeInfo>

  constructor(states: readonly NodeState[], serviceSelector: SchedulerSnapshot['serviceSelector']) {
    this.#states = states
    this.serviceSelector = serviceSelector
    this.nodes = states.flatMap(({ known, ...state }, slot) =>
      known === undefined ? [] : [{ ...state, slot, since: 0, node: known, zone: zoneOf(known) }],
    )
    this.#byName = new Map(this.nodes.map((node) => [node.name, node]))
  }

  get zones(): number {
    return new Set(this.nodes.flatMap(({ zone }) => zone ?? [])).size
  }

  get hasSoftTaints(): boolean {
    return this.nodes.some(({ node }) => node.spec.taints?.some(isSoftTaint))
  }

  node(name: string): NodeInfo | undefined {
    return this.#byName.get(name)
  }

  podsOfOwner(uid: string): ReadonlyMap<string, number> {
    const counts = new Map<string, number>()
    for (const { name, pods } of this.#states) {
      let count = 0
      for (const pod of pods) if (pod.owner === uid && !pod.isDeleting) count++
      if (count > 0) counts.set(name, count)
    }
    return counts
  }
}
