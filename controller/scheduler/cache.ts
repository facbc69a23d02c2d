/**
 * The cluster as placing sees it: nodes and the pods on them. A pod is there as *bound* once the informer shows it so, and as *assumed* from
 * the moment it is given a node until the informer confirms that or the bind is known to have failed.
 */
import type { Node, Pod } from '../../proto/gen/types.ts'
import { addAmounts, amountsOf, podRequests, type Amounts } from './amounts.ts'
import type { ClusterEvent, ClusterView, NodeView } from './framework.ts'

class CachedNode implements NodeView {
  readonly name: string
  /** Undefined for a node that is not there (yet, or any more) but has pods. */
  known: Node | undefined
  allocatable: Amounts = new Map()
  readonly requested = new Map<string, number>()
  readonly pods = new Map<string, Pod>()

  constructor(name: string) {
    this.name = name
  }

  get node(): Node {
    return this.known!
  }
}

interface Placed {
  readonly pod: Pod
  readonly node: string
  readonly state: 'assumed' | 'bound'
}

const NONE: ReadonlyMap<string, number> = new Map()

export class SchedulerCache implements ClusterView {
  readonly #nodes = new Map<string, CachedNode>()
  readonly #pods = new Map<string, Placed>()
  readonly #owners = new Map<string, Map<string, number>>()
  #list: readonly NodeView[] | undefined

  get nodes(): readonly NodeView[] {
    return (this.#list ??= [...this.#nodes.values()].filter(({ known }) => known !== undefined))
  }

  podsOfOwner(uid: string): ReadonlyMap<string, number> {
    return this.#owners.get(uid) ?? NONE
  }

  /** The node as it is now. Undefined when nothing changed that placing looks at: signs of life come often. */
  setNode(node: Node): ClusterEvent | undefined {
    const cached = this.#node(node.metadata.name)
    const before = cached.known
    cached.known = node
    if (before === undefined) {
      cached.allocatable = amountsOf(node.status.allocatable)
      this.#list = undefined
      return 'node-added'
    }
    if (JSON.stringify(relevant(before)) === JSON.stringify(relevant(node))) return undefined
    cached.allocatable = amountsOf(node.status.allocatable)
    return 'node-changed'
  }

  removeNode(name: string): ClusterEvent | undefined {
    const cached = this.#nodes.get(name)
    if (cached?.known === undefined) return undefined
    cached.known = undefined
    this.#list = undefined
    this.#dropEmpty(cached)
    return 'node-removed'
  }

  /** A pod as the informer shows it. One that is not bound, while it is assumed here, changes nothing. */
  setPod(pod: Pod): ClusterEvent | undefined {
    const { uid } = pod.metadata
    const before = this.#pods.get(uid)
    const node = pod.spec.nodeName ?? ''
    if (hasEnded(pod)) return this.removePod(uid)
    if (node === '') return undefined
    if (before !== undefined) this.#take(before)
    this.#put({ pod, node, state: 'bound' })
    if (before === undefined) return 'pod-added'
    return before.node !== node || changesPlacing(before.pod, pod) ? 'pod-changed' : undefined
  }

  removePod(uid: string): ClusterEvent | undefined {
    const placed = this.#pods.get(uid)
    if (placed === undefined) return undefined
    this.#take(placed)
    return 'pod-removed'
  }

  assume(pod: Pod, node: string): void {
    this.#put({ pod, node, state: 'assumed' })
  }

  /** Undoes an assumption; nothing if there is none, or if the informer has confirmed it. */
  forget(uid: string): ClusterEvent | undefined {
    return this.isAssumed(uid) ? this.removePod(uid) : undefined
  }

  isAssumed(uid: string): boolean {
    return this.#pods.get(uid)?.state === 'assumed'
  }

  #put(placed: Placed): void {
    const { pod, node: name } = placed
    const node = this.#node(name)
    this.#pods.set(pod.metadata.uid, placed)
    node.pods.set(pod.metadata.uid, pod)
    addAmounts(node.requested, podRequests(pod))
    const owner = ownerOf(pod)
    if (owner === undefined) return
    let counts = this.#owners.get(owner)
    if (counts === undefined) this.#owners.set(owner, (counts = new Map()))
    counts.set(name, (counts.get(name) ?? 0) + 1)
  }

  #take({ pod, node: name }: Placed): void {
    const node = this.#node(name)
    this.#pods.delete(pod.metadata.uid)
    node.pods.delete(pod.metadata.uid)
    addAmounts(node.requested, podRequests(pod), -1)
    this.#dropEmpty(node)
    const owner = ownerOf(pod)
    if (owner === undefined) return
    const counts = this.#owners.get(owner)!
    const left = counts.get(name)! - 1
    if (left > 0) counts.set(name, left)
    else counts.delete(name)
    if (counts.size === 0) this.#owners.delete(owner)
  }

  #node(name: string): CachedNode {
    let node = this.#nodes.get(name)
    if (node === undefined) this.#nodes.set(name, (node = new CachedNode(name)))
    return node
  }

  #dropEmpty(node: CachedNode): void {
    if (node.known === undefined && node.pods.size === 0) this.#nodes.delete(node.name)
  }
}

/** The uid of the object that made the pod. */
export function ownerOf(pod: Pod): string | undefined {
  return pod.metadata.ownerReferences?.find(({ controller }) => controller === true)?.uid
}

/** Its containers run no more: it takes nothing of its node. */
export function hasEnded(pod: Pod): boolean {
  return pod.status.phase === 'Succeeded' || pod.status.phase === 'Failed'
}

function relevant({ metadata, spec, status }: Node): unknown {
  const ready = status.conditions?.find(({ type }) => type === 'Ready')?.status
  return [metadata.labels, spec.unschedulable, spec.taints?.map(({ key, value, effect }) => [key, value, effect]), status.allocatable, ready]
}

function changesPlacing(before: Pod, after: Pod): boolean {
  const requests = (pod: Pod): string => JSON.stringify([...podRequests(pod)])
  return JSON.stringify(before.metadata.labels) !== JSON.stringify(after.metadata.labels) || requests(before) !== requests(after) || (before.metadata.deletionTimestamp === undefined) !== (after.metadata.deletionTimestamp === undefined)
}
