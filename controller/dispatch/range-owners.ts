/**
 * Which node has which address ranges. Who was first in the order of the store's changes has one, so every controller
 * comes to the same answer whatever it thought was free when it chose.
 */
import type { Node } from '../../proto/gen/types.ts'
import type { Change } from '../informer/contract.ts'

/**
 * Annotation with the ranges that a node is to have, until it is certain that no other has them: spec.podCIDR cannot be
 * changed any more.
 */
export const RANGE_ANNOTATION = 'gantry.dev/pod-range'

/** The ranges that a node's spec says, the preferred family first. */
export function podCidrsOf({ spec: { podCIDR, podCIDRs = [] } }: Node): readonly string[] {
  return podCIDRs.length > 0 ? podCIDRs : podCIDR === undefined ? [] : [podCIDR]
}

/** The ranges that a node has or is to have: those it is to have include those that it has. */
export function rangesOf(node: Node): readonly string[] {
  const chosen = node.metadata.annotations?.[RANGE_ANNOTATION]
  return chosen === undefined ? podCidrsOf(node) : [...new Set([...podCidrsOf(node), ...chosen.split(',')])]
}

export class RangeOwners {
  readonly #claimsOf: (node: Node) => readonly string[]
  /** Range → node. */
  readonly #owners = new Map<string, string>()
  /** Node → the ranges that its object says. */
  readonly #claims = new Map<string, readonly string[]>()

  /**
   * `claimsOf`: what a node's object says that it has, its ranges if not given. Addresses are owned in the same way.
   */
  constructor(claimsOf: (node: Node) => readonly string[] = rangesOf) {
    this.#claimsOf = claimsOf
  }

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
    const claimed = type === 'deleted' ? [] : this.#claimsOf(cached.object)
    const before = this.#claims.get(name) ?? []
    if (claimed.length === 0) this.#claims.delete(name)
    else this.#claims.set(name, claimed)
    for (const range of before) if (!claimed.includes(range) && this.#owners.get(range) === name) this.#release(range)
    for (const range of claimed) if (!this.#owners.has(range)) this.#owners.set(range, name)
  }

  /** True if the node has or is to have ranges, and all of them are its alone. */
  has(node: Node): boolean {
    const ranges = this.#claimsOf(node)
    return ranges.length > 0 && ranges.every((range) => this.#owners.get(range) === node.metadata.name)
  }

  #release(range: string): void {
    this.#owners.delete(range)
    for (const [node, claimed] of this.#claims) {
      if (!claimed.includes(range)) continue
      this.#owners.set(range, node)
      return
    }
  }
}
