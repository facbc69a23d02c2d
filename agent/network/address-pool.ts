/** Addresses of one node's pods. */
import {
  formatAddress,
  formatCidr,
  prefixLength,
  readAddress,
  readCidr,
  type AddressFamily,
} from '../../proto/base/cidr.ts'
import { GantryError } from '../../proto/base/errors.ts'

/** Prefixes that a node's range may have. */
const PREFIXES = { 4: { least: 8, most: 30 }, 6: { least: 48, most: 126 } } as const
/** Of an IPv6 range only the first addresses are given out: nobody needs more, and what is kept of each stays small. */
const LARGEST = 2 ** 24

/**
 * A range with one address taken by the node itself (the first); the network's and the broadcast address are never
 * handed out.
 */
export class AddressPool {
  readonly family: AddressFamily
  /** Bits of the network part. */
  readonly prefix: number
  /** The range in its canonical form. */
  readonly cidr: string
  /** The node's own address: the pods' gateway. */
  readonly gateway: string
  readonly #base: bigint
  readonly #size: number
  readonly #taken = new Set<number>()
  /** Where the next search begins, so that an address just freed rests before it is used again. */
  #next = 2

  /** A range like "10.1.2.0/24", /8 to /30, or "fd00:1:2::/64", /48 to /126. InvalidArgument for anything else. */
  constructor(cidr: string) {
    const range = readCidr(cidr)
    if (range === undefined)
      throw new GantryError('InvalidArgument', `pod range "${cidr}" is none, such as 10.244.1.0/24`)
    this.family = range.family
    this.prefix = prefixLength(range)
    const { least, most } = PREFIXES[range.family]
    if (this.prefix < least || this.prefix > most)
      throw new GantryError('InvalidArgument', `pod range "${cidr}": the prefix must be /${least} to /${most}`)
    this.#base = range.first
    this.#size = Number(range.last - range.first + 1n > LARGEST ? LARGEST : range.last - range.first + 1n)
    this.cidr = formatCidr(range)
    this.gateway = this.#address(1)
  }

  /** Addresses that can still be taken. */
  get free(): number {
    return this.#size - 3 - this.#taken.size
  }

  /** A free address, or undefined. */
  take(): string | undefined {
    if (this.free <= 0) return undefined
    while (this.#taken.has(this.#next)) this.#advance()
    const offset = this.#next
    this.#taken.add(offset)
    this.#advance()
    return this.#address(offset)
  }

  /** Marks an address as in use. False when it is outside the range or reserved. */
  reserve(address: string): boolean {
    const offset = this.#offset(address)
    if (offset === undefined) return false
    this.#taken.add(offset)
    return true
  }

  release(address: string): void {
    const offset = this.#offset(address)
    if (offset !== undefined) this.#taken.delete(offset)
  }

  #address(offset: number): string {
    return formatAddress(this.family, this.#base + BigInt(offset))
  }

  #offset(text: string): number | undefined {
    const address = readAddress(text)
    if (address?.family !== this.family) return undefined
    const offset = address.value - this.#base
    return offset >= 2n && offset <= BigInt(this.#size - 2) ? Number(offset) : undefined
  }

  #advance(): void {
    this.#next = this.#next + 1 > this.#size - 2 ? 2 : this.#next + 1
  }
}
