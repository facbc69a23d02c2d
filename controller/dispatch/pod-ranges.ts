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
    const [a = 256, b = 0, c = 0, d = 0, bits = 33] = parts ?? []
    const address = a * 2 ** 24 + b * 2 ** 16 + c * 2 ** 8 + d
    if ([a, b, c, d].some((byte) => byte > 255) || bits > 24 || address % 2 ** (32 - bits) !== 0) {
      throw new GantryError('InvalidArgument', `"${cidr}" is not a range of pod addresses, such as 10.244.0.0/16 (a /24 or larger, beginning at its first address)`)
    }
    this.#cidr = cidr
    this.#first = address
    this.#count = 2 ** (24 - bits)
  }

  /** The lowest range not taken; ResourceExhausted when every one is. */
  free(taken: readonly string[]): string {
    const used = new Set(taken)
    for (let index = 0; index < this.#count; index++) {
      const address = this.#first + index * 256
      const range = `${[24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join('.')}/24`
      if (!used.has(range)) return range
    }
    throw new GantryError('ResourceExhausted', `all ${this.#count} node ranges of ${this.#cidr} are taken`, { details: [{ remedy: 'delete nodes that are gone, or give the controller a larger --pod-cidr' }] })
  }
}
