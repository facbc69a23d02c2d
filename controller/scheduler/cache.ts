/**
 * The cluster as placing sees it: nodes and the pods on them. A pod is there as *bound* once the informer shows it so,
 * and as *assumed* from the moment it is given a node until the informer confirms that or the bind is known to have
 * failed.
 */
import type { Node, Pod, Service } from '../../proto/gen/types.ts'
import { sameJson } from '../../proto/base/json.ts'
import { addAmounts, amountsOf, type ResourceAmounts } from '../../proto/objects/resource-amounts.ts'
import { isDeleting } from '../../proto/objects/deletion.ts'
import { hostPortClaims } from '../../proto/objects/host-ports.ts'
import { controllerOf } from '../../proto/objects/owners.ts'
import { isTerminal } from '../../proto/objects/pod.ts'
import { isSoftTaint } from '../../proto/objects/taints.ts'
import { ClusterHistory, type NodeState } from './cluster-history.ts'
import type { ClusterEvent, NodeInfo, PodInfo, SchedulerCluster, SchedulerSnapshot } from './framework.ts'
import { nodeDifference, zoneOf } from './node-facts.ts'
import { NodeSlots } from './node-slots.ts'
import { podAmounts } from './pod-requests.ts'

const NO_SLOT = -1

class CachedNode implements NodeInfo, NodeState {
  readonly name: string
  slot = NO_SLOT
  since = 0
  /** Undefined for a node that is not there (yet, or any more) but has pods. */
  known: Node | undefined = undefined
  zone: string | undefined = undefined
  allocatable: ResourceAmounts = new Map()
  readonly requested = new Map<string, number>()
  readonly defaulted = new Map<string, number>()
  readonly pods = new Set<CachedPod>()

  constructor(name: string) {
    this.name = name
  }

  get node(): Node {
    return this.known!
  }
}

interface CachedPod extends PodInfo {
  readonly node: CachedNode
  isAssumed: boolean
}

type Selector = Readonly<Record<string, string>>

const NONE: ReadonlyMap<string, number> = new Map()
const NO_PORTS: PodInfo['hostPorts'] = []
/** What plugins keep about a cluster: so many things, each of which may have a few bytes for every node. */
const KEPT_LIMIT = 128

export class SchedulerCache implements SchedulerCluster {
  readonly #nodes = new Map<string, CachedNode>()
  readonly #slots = new NodeSlots()
  readonly #pods = new Map<string, CachedPod>()
  readonly #owners = new Map<string, Map<string, number>>()
  /** The Services of each namespace that select pods, by name. */
  readonly #services = new Map<string, Map<string, Selector>>()
  readonly #history = new ClusterHistory()
  readonly #kept = new Map<string, unknown>()
  /** Nodes with taints that prefer pods elsewhere. */
  #softlyTainted = 0
  #list: readonly NodeInfo[] | undefined
  #zones: number | undefined

  get nodes(): readonly NodeInfo[] {
    return (this.#list ??= [...this.#nodes.values()].filter(({ known }) => known !== undefined))
  }

  get zones(): number {
    return (this.#zones ??= new Set(this.nodes.flatMap(({ zone }) => zone ?? [])).size)
  }

  get hasUnknownNodes(): boolean {
    return this.#nodes.size > this.nodes.length
  }

  get hasSoftTaints(): boolean {
    return this.#softlyTainted > 0
  }

  get slots(): readonly (NodeInfo | undefined)[] {
    return this.#slots.nodes
  }

  get generation(): number {
    return this.#slots.generation
  }

  changedSince(generation: number, visit: (slot: number) => void): void {
    this.#slots.changedSince(generation, visit)
  }

  countChangedSince(generation: number, limit: number): number {
    return this.#slots.countChangedSince(generation, limit)
  }

  podsOfOwner(uid: string): ReadonlyMap<string, number> {
    return this.#owners.get(uid) ?? NONE
  }

  node(name: string): NodeInfo | undefined {
    const node = this.#nodes.get(name)
    return node?.known === undefined ? undefined : node
  }

  kept<T>(key: string, make: () => T): T {
    const found = (this.#kept.get(key) as T | undefined) ?? make()
    this.#kept.delete(key)
    this.#kept.set(key, found)
    if (this.#kept.size > KEPT_LIMIT) this.#kept.delete(this.#kept.keys().next().value!)
    return found
  }

  /**
   * The cluster as it was at a generation, but for Services, which are given; undefined if that is too long ago to be
   * known.
   */
  at(generation: number, serviceSelector: SchedulerSnapshot['serviceSelector']): SchedulerSnapshot | undefined {
    return this.#history.at(generation, this.#nodes.values(), serviceSelector)
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
    const difference = before === undefined ? 'placing' : nodeDifference(before, node)
    if (difference === 'none') {
      cached.known = node
      return undefined
    }
    this.#replace(cached, node)
    if (difference === 'wording') return undefined
    return before === undefined ? 'node-added' : 'node-changed'
  }

  removeNode(name: string): ClusterEvent | undefined {
    const cached = this.#nodes.get(name)
    if (cached?.known === undefined) return undefined
    this.#replace(cached, undefined)
    this.#dropEmpty(cached)
    return 'node-removed'
  }

  #replace(cached: CachedNode, node: Node | undefined): void {
    const { known: before, allocatable, name } = cached
    const zone = node === undefined ? undefined : zoneOf(node)
    if (before === undefined || node === undefined) this.#list = this.#zones = undefined
    else if (zone !== cached.zone) this.#zones = undefined
    this.#softlyTainted += softTaints(node) - softTaints(before)
    cached.known = node
    cached.zone = zone
    if (node === undefined) {
      this.#slots.release(cached.slot)
      cached.slot = NO_SLOT
    } else {
      if (before === undefined || !sameJson(before.status.allocatable, node.status.allocatable))
        cached.allocatable = amountsOf(node.status.allocatable)
      if (before === undefined) cached.slot = this.#slots.reserve()
      this.#slots.set(cached.slot, cached)
    }
    cached.since = this.generation
    this.#history.record(this.generation, {
      is: 'node',
      node: name,
      before: before === undefined ? undefined : { node: before, allocatable },
    })
  }

  /** A pod as the informer shows it. One that is not bound, while it is assumed here, changes nothing. */
  setPod(pod: Pod): ClusterEvent | undefined {
    const { uid } = pod.metadata
    const before = this.#pods.get(uid)
    const node = pod.spec.nodeName ?? ''
    if (isTerminal(pod)) return this.removePod(uid)
    if (node === '') return undefined
    const after = this.#cachedPod(pod, this.#nodeOf(node), false)
    if (before === undefined) {
      this.#put(after)
      return 'pod-added'
    }
    if (before.node === after.node && sameForPlacing(before, after)) {
      before.isAssumed = false
      return undefined
    }
    this.#take(before)
    // The node may have been forgotten with its last pod.
    this.#put({ ...after, node: this.#nodeOf(node) })
    return 'pod-changed'
  }

  removePod(uid: string): ClusterEvent | undefined {
    const placed = this.#pods.get(uid)
    if (placed === undefined) return undefined
    this.#take(placed)
    return 'pod-removed'
  }

  assume(pod: Pod, node: string): void {
    this.#put(this.#cachedPod(pod, this.#nodeOf(node), true))
  }

  /** Undoes an assumption; nothing if there is none, or if the informer has confirmed it. */
  forget(uid: string): ClusterEvent | undefined {
    return this.isAssumed(uid) ? this.removePod(uid) : undefined
  }

  isAssumed(uid: string): boolean {
    return this.#pods.get(uid)?.isAssumed === true
  }

  #cachedPod(pod: Pod, node: CachedNode, isAssumed: boolean): CachedPod {
    const { uid, namespace, name, labels } = pod.metadata
    const ports = hostPortClaims(pod)
    return {
      uid,
      namespace,
      name,
      labels,
      owner: controllerOf(pod)?.uid,
      isDeleting: isDeleting(pod),
      amounts: podAmounts(pod),
      hostPorts: ports.length === 0 ? NO_PORTS : ports,
      node,
      isAssumed,
    }
  }

  #put(pod: CachedPod): void {
    const { node, amounts } = pod
    this.#pods.set(pod.uid, pod)
    node.pods.add(pod)
    addAmounts(node.requested, amounts.requested)
    addAmounts(node.defaulted, amounts.defaulted)
    this.#countForOwner(pod, 1)
    this.#recordPod(pod, 1)
  }

  #take(pod: CachedPod): void {
    const { node, amounts } = pod
    this.#pods.delete(pod.uid)
    node.pods.delete(pod)
    addAmounts(node.requested, amounts.requested, -1)
    addAmounts(node.defaulted, amounts.defaulted, -1)
    this.#countForOwner(pod, -1)
    this.#recordPod(pod, -1)
    this.#dropEmpty(node)
  }

  #recordPod(pod: CachedPod, by: 1 | -1): void {
    const { node } = pod
    const generation = node.slot === NO_SLOT ? this.#slots.advance() : this.#slots.set(node.slot, node)
    this.#history.record(generation, { is: 'pod', node: node.name, pod, by })
  }

  /** A pod that is being deleted does not count for its owner: its replacement may take its place. */
  #countForOwner({ owner, isDeleting, node }: CachedPod, by: 1 | -1): void {
    if (owner === undefined || isDeleting) return
    let counts = this.#owners.get(owner)
    if (counts === undefined) this.#owners.set(owner, (counts = new Map()))
    const count = (counts.get(node.name) ?? 0) + by
    if (count > 0) counts.set(node.name, count)
    else counts.delete(node.name)
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

/** 1 for a node that has some. */
function softTaints(node: Node | undefined): number {
  return node?.spec.taints?.some(isSoftTaint) === true ? 1 : 0
}

function sameForPlacing(before: PodInfo, after: PodInfo): boolean {
  return (
    before.isDeleting === after.isDeleting &&
    before.owner === after.owner &&
    sameJson(before.labels, after.labels) &&
    (before.amounts === after.amounts ||
      (sameAmounts(before.amounts.requested, after.amounts.requested) &&
        sameAmounts(before.amounts.defaulted, after.amounts.defaulted))) &&
    sameJson(before.hostPorts, after.hostPorts)
  )
}

function sameAmounts(one: ResourceAmounts, other: ResourceAmounts): boolean {
  if (one.size !== other.size) return false
  for (const [name, amount] of one) if (other.get(name) !== amount) return false
  return true
}
