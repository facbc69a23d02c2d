/**
 * Which node has which address range. Who was first in the order of the store's changes has it, so every controller comes to the same answer
 * whatever it thought was free when it chose.
 */
import type { Node } from '../../proto/gen/types.ts'
import type { Change } from '../informer/contract.ts'

/** Annotation with the range that a node is to have, until it is certain that no other has it: spec.podCIDR cannot be changed any more. */
export const RANGE_ANNOTATION = 'gantry.dev/pod-range'

/** The range that a node has or is to have. */
export function rangeOf({ metadata, spec }: Node): string | undefined {
  return spec.podCIDR ?? metadata.annotations?.[RANGE_ANNOTATION]
}

export class RangeOwners {
  /** Range → node. */
  readonly #owners = new Map<string, string>()
  /** Node → the range that its object says. */
  readonly #claims = new Map<string, string>()

  /** Ranges that nodes have. */
  get taken(): readonly string[] {
    return [...this.#owners.keys()]
  }

  owner(range: string): string | undefined {
    return this.#owners.get(range)
  }

  /** Takes every change of a node, in order. */
  note({ type, cached }: Change<'Node'>): void {
    const { name } = cached.object.metadata
    const claimed = type === 'deleted' ? undefined : rangeOf(cached.object)
    const before = this.#claims.get(name)
    if (before === claimed) return
    if (claimed === undefined) this.#claims.delete(name)
    else this.#claims.set(name, claimed)
    if (before !== undefined && this.#owners.get(before) === name) this.#release(before)
    if (claimed !== undefined && !this.#owners.has(claimed)) this.#owners.set(claimed, name)
  }

  /** True if the range is this node's, as its object says. */
  has(node: Node): boolean {
    const range = rangeOf(node)
    return range !== undefined && this.#owners.get(range) === node.metadata.name
  }

  #release(range: string): void {
    this.#owners.delete(range)
    for (const [node, claimed] of this.#claims) {
      if (claimed !== range) continue
      this.#owners.set(range, node)
      return
    }
  }
}
