/**
 * The pods that are to be spread over nodes and zones by default, kept up as nodes change: nodes of one zone that have
 * as many of them are one group.
 */
import type { NodeInfo, RelativeTerm, SchedulerCluster } from '../framework.ts'
import { ZoneSlots } from './zone-slots.ts'

/** The group of slots without a node. */
const NO_GROUP = 0
/** Groups without nodes that are kept besides four for each that has some. */
const SPARE_GROUPS = 64

interface Group {
  readonly zone: string | undefined
  /** Of each of its nodes. */
  readonly pods: number
  nodes: number
}

const NOBODY: Group = { zone: undefined, pods: 0, nodes: 0 }

export interface CountedPods {
  /** How many of the pods a node has. */
  readonly on: (node: NodeInfo) => number
  /** The nodes that have any. */
  readonly nodes: () => Iterable<NodeInfo>
}

export interface DefaultSpreadOptions {
  readonly weight: number
  /** How many of the pods are on one node that is not there, at most. */
  readonly elsewhere: number
}

export class DefaultSpreadTally {
  readonly #counted: CountedPods
  #groups: Group[] = [{ ...NOBODY }]
  /** By the index of the zone and the number of pods. */
  #byZone: (number | undefined)[][] = []
  #bySlot = new Int32Array(0)
  #generation = -1
  /** Of the zones, by which groups are found. */
  #numbering: symbol | undefined

  constructor(counted: CountedPods) {
    this.#counted = counted
  }

  refresh(cluster: SchedulerCluster): void {
    const { slots } = cluster
    const zones = ZoneSlots.of(cluster)
    if (this.#numbering !== zones.numbering) this.#forget()
    this.#numbering = zones.numbering
    if (slots.length > this.#bySlot.length) {
      const before = this.#bySlot
      this.#bySlot = new Int32Array(2 * slots.length)
      this.#bySlot.set(before)
    }
    if (this.#generation < 0) this.#countAll(zones, slots.length)
    else
      cluster.changedSince(this.#generation, (slot) => {
        const node = slots[slot]
        this.#set(slot, node === undefined ? NO_GROUP : this.#group(zones, zones.bySlot[slot]!, this.#counted.on(node)))
      })
    this.#generation = cluster.generation
  }

  /** Points for nodes with few of the pods in zones with few; undefined when there are no such pods. */
  term(cluster: SchedulerCluster, { weight, elsewhere }: DefaultSpreadOptions): RelativeTerm | undefined {
    const perZone = new Map<string, number>()
    let alive = 0
    for (const { zone, pods, nodes } of this.#groups) {
      if (nodes > 0) alive++
      if (zone !== undefined && pods * nodes > 0) perZone.set(zone, (perZone.get(zone) ?? 0) + pods * nodes)
    }
    // As in spreadByDefault.
    const nodeWeight = Math.log(cluster.nodes.length + 2)
    const zoneWeight = perZone.size === 0 ? 0 : Math.log(cluster.zones + 2)
    const costOf = ({ zone, pods }: Group): number =>
      nodeWeight * pods + (zone === undefined ? 0 : zoneWeight * (perZone.get(zone) ?? 0))
    let most = nodeWeight * elsewhere
    for (const group of this.#groups) if (group.pods * group.nodes > 0) most = Math.max(most, costOf(group))
    if (most === 0) return undefined
    const bySlot = this.#bySlot
    const scores = new Float64Array(this.#groups.length)
    let highest = 0
    for (const [index, group] of this.#groups.entries()) {
      if (group.nodes <= 0) continue
      scores[index] = weight * (100 * (1 - costOf(group) / most))
      highest = Math.max(highest, scores[index]!)
    }
    if (this.#groups.length > SPARE_GROUPS + 4 * alive) this.#forget()
    return { groups: bySlot, scores, highest }
  }

  /** All is counted anew the next time. */
  #forget(): void {
    this.#groups = [{ ...NOBODY }]
    this.#byZone = []
    this.#bySlot = new Int32Array(0)
    this.#generation = -1
  }

  #countAll(zones: ZoneSlots, slots: number): void {
    const empty = new Int32Array(zones.size)
    for (let zone = 1; zone < zones.size; zone++) empty[zone] = this.#group(zones, zone, 0)
    const nodes = new Int32Array(this.#groups.length)
    for (let slot = 0; slot < slots; slot++) {
      const group = empty[zones.bySlot[slot]!]!
      this.#bySlot[slot] = group
      nodes[group]!++
    }
    for (const [index, group] of this.#groups.entries()) group.nodes = nodes[index]!
    for (const node of this.#counted.nodes())
      this.#set(node.slot, this.#group(zones, zones.bySlot[node.slot]!, this.#counted.on(node)))
  }

  #set(slot: number, group: number): void {
    this.#groups[this.#bySlot[slot]!]!.nodes--
    this.#groups[group]!.nodes++
    this.#bySlot[slot] = group
  }

  #group(zones: ZoneSlots, zone: number, pods: number): number {
    const groups = (this.#byZone[zone] ??= [])
    let group = groups[pods]
    if (group === undefined) groups[pods] = group = this.#groups.push({ zone: zones.zone(zone), pods, nodes: 0 }) - 1
    return group
  }
}
