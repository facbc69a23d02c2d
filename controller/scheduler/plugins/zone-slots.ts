/** The zone of each slot's node, kept up as nodes change. */
import type { SchedulerCluster } from '../framework.ts'

export class ZoneSlots {
  readonly #indexes = new Map<string | undefined, number>()
  readonly #zones: (string | undefined)[] = [undefined]
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

  /** One more than the largest number. */
  get size(): number {
    return this.#zones.length
  }

  zone(index: number): string | undefined {
    return this.#zones[index]
  }

  #refresh(cluster: SchedulerCluster): void {
    const { slots } = cluster
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

  #index(zone: string | undefined): number {
    let index = this.#indexes.get(zone)
    if (index === undefined) this.#indexes.set(zone, (index = this.#zones.push(zone) - 1))
    return index
  }
}
