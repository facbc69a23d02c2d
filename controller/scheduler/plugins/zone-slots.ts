/** The zone of each slot's node, kept up as nodes change. */
import type { SchedulerCluster } from '../framework.ts'

/** Zones that are remembered besides two for each slot: nodes name their own, and old ones would add up. */
const SPARE_ZONES = 64

export class ZoneSlots {
  readonly #indexes = new Map<string | undefined, number>()
  readonly #zones: (string | undefined)[] = [undefined]
  #numbering = Symbol('numbering')
  #bySlot = new Int32Array(0)
  #generation = -1

  /** Those of this cluster, as they are now. */
  static of(cluster: SchedulerCluster): ZoneSlots {
    const zones = cluster.kept('zones', () => new ZoneSlots())
    zones.#refresh(cluster)
    return zones
  }

  /** A number for each slot's zone; 0 for a slot without a node. Nodes without a zone have one together. */
  get bySlot(): Int32Array {
    return this.#bySlot
  }

  /** Another one when zones have been given other numbers. */
  get numbering(): symbol {
    return this.#numbering
  }

  /** One more than the largest number. */
  get size(): number {
    return this.#zones.length
  }

  zone(index: number): string | undefined {
    return this.#zones[index]
  }

  #refresh(cluster: SchedulerCluster): void {
    const { slots } = cluster
    if (this.#zones.length > 2 * slots.length + SPARE_ZONES) this.#reset()
    if (slots.length > this.#bySlot.length) {
      const before = this.#bySlot
      this.#bySlot = new Int32Array(2 * slots.length)
      this.#bySlot.set(before)
    }
    cluster.changedSince(this.#generation, (slot) => {
      const node = slots[slot]
      this.#bySlot[slot] = node === undefined ? 0 : this.#index(node.zone)
    })
    this.#generation = cluster.generation
  }

  #reset(): void {
    this.#indexes.clear()
    this.#zones.length = 1
    this.#generation = -1
    this.#numbering = Symbol('numbering')
  }

  #index(zone: string | undefined): number {
    let index = this.#indexes.get(zone)
    if (index === undefined) this.#indexes.set(zone, (index = this.#zones.push(zone) - 1))
    return index
  }
}
