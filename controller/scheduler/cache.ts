/**
 * The cluster as placing sees it: nodes and the pods on them. A pod is there as *bound* once the informer shows it so,
 * and as *assumed* from the moment it is given a node until the informer confirms that or the bind is known to have
 * failed.
 */
import type { Node, Pod, Service } from '../../proto/gen/types.ts'
import { addAmounts, amountsOf, type ResourceAmounts } from '../../proto/objects/resource-amounts.ts'
import { isDeleting } from '../../proto/objects/deletion.ts'
import { controllerOf } from '../../proto/objects/owners.ts'
import { isTerminal } from '../../proto/objects/pod.ts'
import { readyCondition } from '../../proto/objects/node.ts'
import { defaultedRequests, requestedAmounts } from './pod-requests.ts'
import type { ClusterEvent, SchedulerSnapshot, NodeInfo } from './framework.ts'

class CachedNode implements NodeInfo {
  readonly name: string
  /** Undefined for a node that is not there (yet, or any more) but has pods. */
  known: Node | undefined
  allocatable: ResourceAmounts = new Map()
  readonly requested = new Map<string, number>()
  readonly defaulted = new Map<string, number>()
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

type Selector = Readonly<Record<string, string>>

const NONE: ReadonlyMap<string, number> = new Map()

export class SchedulerCache implements SchedulerSnapshot {
  readonly #nodes = new Map<string, CachedNode>()
  readonly #pods = new Map<string, Placed>()
  readonly #owners = new Map<string, Map<string, number>>()
  /** The Services of each namespace that select pods, by name. */
  readonly #services = new Map<string, Map<string, Selector>>()
  #list: readonly NodeInfo[] | undefined
  #zones: number | undefined

  get nodes(): readonly NodeInfo[] {
    return (this.#list ??= [...this.#nodes.values()].filter(({ known }) => known !== undefined))
  }

  get zones(): number {
    return (this.#zones ??= new Set(
      this.nodes.flatMap(({ node }) => node.metadata.labels?.['topology.kubernetes.io/zone'] ?? []),
    ).size)
  }

  podsOfOwner(uid: string): ReadonlyMap<string, number> {
    return this.#owners.get(uid) ?? NONE
  }

  node(name: string): NodeInfo | undefined {
    const node = this.#nodes.get(name)
    return node?.known === undefined ? undefined : node
  }

  serviceSelector({ metadata: { namespace, labels } }: Pod): Selector | undefined {
    let merged: Selector | undefined
    for (const selector of this.#services.get(namespace)?.values() ?? []) {
      if (Object.entries(selector).every(([key, value]) => labels?.[key] === value)) merged = { ...merged, ...selector }
    }
    return merged
  }

  setService({ metadata: { namespace, name }, spec: { selector = {} } }: Service): void {
    if (Object.keys(selector).length === 0) return this.#dropService(namespace, name)
    let services = this.#services.get(namespace)
    if (services === undefined) this.#services.set(namespace, (services = new Map()))
    services.set(name, selector)
  }

  removeService({ metadata: { namespace, name } }: Service): void {
    this.#dropService(namespace, name)
  }

  #dropService(namespace: string, name: string): void {
    const services = this.#services.get(namespace)
    services?.delete(name)
    if (services?.size === 0) this.#services.delete(namespace)
  }

  /** The node as it is now. Undefined when nothing changed that placing looks at: signs of life come often. */
  setNode(node: Node): ClusterEvent | undefined {
    const cached = this.#nodeOf(node.metadata.name)
    const before = cached.known
    cached.known = node
    if (before === undefined) {
      cached.allocatable = amountsOf(node.status.allocatable)
      this.#list = this.#zones = undefined
      return 'node-added'
    }
    if (JSON.stringify(relevant(before)) === JSON.stringify(relevant(node))) return undefined
    cached.allocatable = amountsOf(node.status.allocatable)
    this.#zones = undefined
    return 'node-changed'
  }

  removeNode(name: string): ClusterEvent | undefined {
    const cached = this.#nodes.get(name)
    if (cached?.known === undefined) return undefined
    cached.known = undefined
    this.#list = this.#zones = undefined
    this.#dropEmpty(cached)
    return 'node-removed'
  }

  /** A pod as the informer shows it. One that is not bound, while it is assumed here, changes nothing. */
  setPod(pod: Pod): ClusterEvent | undefined {
    const { uid } = pod.metadata
    const before = this.#pods.get(uid)
    const node = pod.spec.nodeName ?? ''
    if (isTerminal(pod)) return this.removePod(uid)
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
    const node = this.#nodeOf(name)
    this.#pods.set(pod.metadata.uid, placed)
    node.pods.set(pod.metadata.uid, pod)
    addAmounts(node.requested, requestedAmounts(pod))
    addAmounts(node.defaulted, defaultedRequests(pod))
    const owner = countedOwnerOf(pod)
    if (owner === undefined) return
    let counts = this.#owners.get(owner)
    if (counts === undefined) this.#owners.set(owner, (counts = new Map()))
    counts.set(name, (counts.get(name) ?? 0) + 1)
  }

  #take({ pod, node: name }: Placed): void {
    const node = this.#nodeOf(name)
    this.#pods.delete(pod.metadata.uid)
    node.pods.delete(pod.metadata.uid)
    addAmounts(node.requested, requestedAmounts(pod), -1)
    addAmounts(node.defaulted, defaultedRequests(pod), -1)
    this.#dropEmpty(node)
    const owner = countedOwnerOf(pod)
    if (owner === undefined) return
    const counts = this.#owners.get(owner)!
    const left = counts.get(name)! - 1
    if (left > 0) counts.set(name, left)
    else counts.delete(name)
    if (counts.size === 0) this.#owners.delete(owner)
  }

  #nodeOf(name: string): CachedNode {
    let node = this.#nodes.get(name)
    if (node === undefined) this.#nodes.set(name, (node = new CachedNode(name)))
    return node
  }

  #dropEmpty(node: CachedNode): void {
    if (node.known === undefined && node.pods.size === 0) this.#nodes.delete(node.name)
  }
}

/** A pod that is being deleted does not count for its owner: its replacement may take its place. */
function countedOwnerOf(pod: Pod): string | undefined {
  return isDeleting(pod) ? undefined : controllerOf(pod)?.uid
}

function relevant(node: Node): unknown {
  const { metadata, spec, status } = node
  return [
    metadata.labels,
    spec.unschedulable,
    spec.taints?.map(({ key, value, effect }) => [key, value, effect]),
    status.allocatable,
    readyCondition(node)?.status,
  ]
}

function changesPlacing(before: Pod, after: Pod): boolean {
  const requests = (pod: Pod): string => JSON.stringify([...requestedAmounts(pod)])
  return (
    JSON.stringify(before.metadata.labels) !== JSON.stringify(after.metadata.labels) ||
    requests(before) !== requests(after) ||
    isDeleting(before) !== isDeleting(after)
  )
}
