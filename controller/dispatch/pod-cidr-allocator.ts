/**
 * The cluster's pod addresses, cut into one range per family for each node
 * (https://kubernetes.io/docs/concepts/cluster-administration/networking/).
 */
import {
  formatAddress,
  formatCidr,
  prefixLength,
  readCidr,
  splitCidrs,
  type AddressFamily,
  type AddressRange,
} from '../../proto/base/cidr.ts'
import { GantryError } from '../../proto/base/errors.ts'

/** Prefixes of a node's ranges, as Kubernetes has them by default (node-cidr-mask-size). */
const NODE_PREFIX: Readonly<Record<AddressFamily, number>> = { 4: 24, 6: 64 }
const BITS: Readonly<Record<AddressFamily, number>> = { 4: 32, 6: 128 }
/** Beyond it there are more ranges than a cluster has nodes. */
const MOST_RANGES = 2 ** 24

/** The ranges of one family. */
class FamilyRanges {
  readonly cidr: string
  readonly family: AddressFamily
  readonly #range: AddressRange
  readonly #count: number

  constructor(range: AddressRange) {
    this.cidr = formatCidr(range)
    this.family = range.family
    this.#range = range
    this.#count = Math.min(MOST_RANGES, 2 ** (NODE_PREFIX[range.family] - prefixLength(range)))
  }

  includes(range: string): boolean {
    const parsed = readCidr(range)
    return (
      parsed?.family === this.family &&
      prefixLength(parsed) === NODE_PREFIX[this.family] &&
      formatCidr(parsed) === range &&
      parsed.first >= this.#range.first &&
      parsed.last <= this.#range.last
    )
  }

  free(isTaken: (range: string) => boolean): string {
    for (let index = 0; index < this.#count; index++) {
      const range = this.#node(index)
      if (!isTaken(range)) return range
    }
    throw new GantryError('ResourceExhausted', `all ${this.#count} node ranges of ${this.cidr} are taken`, {
      details: [{ remedy: 'delete nodes that are gone, or give the controller a larger --pod-cidr' }],
    })
  }

  #node(index: number): string {
    const prefix = NODE_PREFIX[this.family]
    return `${formatAddress(this.family, this.#range.first + (BigInt(index) << BigInt(BITS[this.family] - prefix)))}/${prefix}`
  }
}

export class PodCidrAllocator {
  readonly #families: readonly FamilyRanges[]

  /**
   * "10.244.0.0/16", or with a range of the other family, "10.244.0.0/16,fd00:10:244::/48"; the preferred family first.
   * InvalidArgument unless each begins at its own first address and has room for a node: a /24 or larger, IPv6 a /64 or
   * larger.
   */
  constructor(cidrs: string) {
    const texts = splitCidrs(cidrs)
    this.#families = texts.map((text) => {
      const range = readCidr(text)
      if (range === undefined || formatCidr(range) !== text || prefixLength(range) > NODE_PREFIX[range.family]) {
        throw new GantryError(
          'InvalidArgument',
          `"${text}" is not a range of pod addresses, such as 10.244.0.0/16 (a /24 or larger, beginning at its first address) or fd00:10:244::/48 (a /64 or larger)`,
        )
      }
      return new FamilyRanges(range)
    })
    if (this.#families.length === 0)
      throw new GantryError('InvalidArgument', 'there is no range of pod addresses, such as 10.244.0.0/16')
    if (new Set(this.#families.map(({ family }) => family)).size < this.#families.length)
      throw new GantryError(
        'InvalidArgument',
        `"${cidrs}": there can be one range of pod addresses for each family, such as 10.244.0.0/16,fd00:10:244::/48`,
      )
  }

  /** The families that nodes get ranges of, the preferred first. */
  get families(): readonly AddressFamily[] {
    return this.#families.map(({ family }) => family)
  }

  /** True for a range of a node, as `free` gives them. */
  includes(range: string): boolean {
    return this.#families.some((family) => family.includes(range))
  }

  /** The lowest range of a family that is not taken; ResourceExhausted when every one is. */
  free(family: AddressFamily, isTaken: (range: string) => boolean): string {
    return this.#families.find((ranges) => ranges.family === family)!.free(isTaken)
  }
}
