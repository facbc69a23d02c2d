/** The cluster's pod addresses, cut into one /24 a node (https://kubernetes.io/docs/concepts/cluster-administration/networking/). */
import { GantryError } from '../../proto/api/errors.ts'

const CIDR = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\/(\d{1,2})$/

export class PodRanges {
  readonly #cidr: string
  readonly #first: number
  readonly #count: number

  /** InvalidArgument unless the text is an IPv4 range of at least a /24 that begins at its own first address. */
  constructor(cidr: string) {
    const parts = CIDR.exec(cidr)?.slice(1).map(Number)
    const bits = parts?.[4] ?? 33
    const address = addressOf(parts ?? [])
    if (parts === undefined || parts.slice(0, 4).some((byte) => byte > 255) || bits > 24 || address % 2 ** (32 - bits) !== 0) {
      throw new GantryError('InvalidArgument', `"${cidr}" is not a range of pod addresses, such as 10.244.0.0/16 (a /24 or larger, beginning at its first address)`)
    }
    this.#cidr = cidr
    this.#first = address
    this.#count = 2 ** (24 - bits)
  }

  /** True for a range of a node, as `free` gives them. */
  includes(range: string): boolean {
    const parts = CIDR.exec(range)?.slice(1).map(Number)
    if (parts === undefined || parts[4] !== 24) return false
    const index = (addressOf(parts) - this.#first) / 256
    return Number.isInteger(index) && index >= 0 && index < this.#count && range === this.#range(index)
  }

  /** The lowest range not taken; ResourceExhausted when every one is. */
  free(taken: readonly string[]): string {
    const used = new Set(taken)
    for (let index = 0; index < this.#count; index++) {
      const range = this.#range(index)
      if (!used.has(range)) return range
    }
    throw new GantryError('ResourceExhausted', `all ${this.#count} node ranges of ${this.#cidr} are taken`, { details: [{ remedy: 'delete nodes that are gone, or give the controller a larger --pod-cidr' }] })
  }

  #range(index: number): string {
    const address = this.#first + index * 256
    return `${[24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join('.')}/24`
  }
}

function addressOf([a = 0, b = 0, c = 0, d = 0]: readonly number[]): number {
  return a * 2 ** 24 + b * 2 ** 16 + c * 2 ** 8 + d
}
