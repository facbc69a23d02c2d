/**
 * Nodes in numbered slots, in the order in which they last changed: who has looked at all of them finds what has
 * changed since without looking at the others.
 */
import type { NodeInfo } from './framework.ts'

const NONE = -1
const FIRST_SLOTS = 64

export class NodeSlots {
  readonly #nodes: (NodeInfo | undefined)[] = []
  readonly #free: number[] = []
  /** The generation of each slot's last change, and its neighbours in the order of changes. */
  #changed = new Float64Array(FIRST_SLOTS)
  #later = new Int32Array(FIRST_SLOTS).fill(NONE)
  #earlier = new Int32Array(FIRST_SLOTS).fill(NONE)
  #last = NONE
  #generation = 0

  get nodes(): readonly (NodeInfo | undefined)[] {
    return this.#nodes
  }

  get generation(): number {
    return this.#generation
  }

  /** The slot is the caller's until it is released. */
  reserve(): number {
    const free = this.#free.pop()
    if (free !== undefined) return free
    const slots = this.#nodes.push(undefined)
    if (slots > this.#changed.length) {
      this.#changed = enlarge(this.#changed, new Float64Array(2 * slots))
      this.#later = enlarge(this.#later, new Int32Array(2 * slots).fill(NONE))
      this.#earlier = enlarge(this.#earlier, new Int32Array(2 * slots).fill(NONE))
    }
    return slots - 1
  }

  /** A node is new or has changed; gives the generation of that. */
  set(slot: number, node: NodeInfo): number {
    this.#nodes[slot] = node
    return this.#touch(slot)
  }

  release(slot: number): number {
    this.#nodes[slot] = undefined
    this.#free.push(slot)
    return this.#touch(slot)
  }

  /** Something changed that is no node's. */
  advance(): number {
    return ++this.#generation
  }

  changedSince(generation: number, visit: (slot: number) => void): void {
    for (let slot = this.#last; slot !== NONE && this.#changed[slot]! > generation; slot = this.#earlier[slot]!)
      visit(slot)
  }

  countChangedSince(generation: number, limit: number): number {
    let count = 0
    for (let slot = this.#last; slot !== NONE && this.#changed[slot]! > generation; slot = this.#earlier[slot]!)
      if (++count === limit) break
    return count
  }

  #touch(slot: number): number {
    if (this.#last !== slot) {
      const [later, earlier] = [this.#later[slot]!, this.#earlier[slot]!]
      if (later !== NONE) this.#earlier[later] = earlier
      if (earlier !== NONE) this.#later[earlier] = later
      this.#earlier[slot] = this.#last
      this.#later[slot] = NONE
      if (this.#last !== NONE) this.#later[this.#last] = slot
      this.#last = slot
    }
    return (this.#changed[slot] = ++this.#generation)
  }
}

function enlarge<T extends Float64Array | Int32Array>(from: T, to: T): T {
  to.set(from)
  return to
}
