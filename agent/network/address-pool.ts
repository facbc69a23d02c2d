/** The IPv4 addresses of one node's pods. */
import { GantryError } from '../../proto/api/errors.ts'

/** A range with one address taken by the node itself (the first); the network's and the broadcast address are never handed out. */
export class AddressPool {
  /** Bits of the network part. */
  readonly prefix: number
  /** The node's own address: the pods' gateway. */
  readonly gateway: string
  readonly #base: number
  readonly #size: number
  readonly #taken = new Set<number>()
  /** Where the next search begins, so that an address just freed rests before it is used again. */
  #next = 2

  /** A range like "10.1.2.0/24", /8 to /30. InvalidArgument for anything else. */
  constructor(cidr: string) {
    const [address = '', bits = ''] = cidr.split('/')
    this.prefix = Number(bits)
    if (!/^\d+$/.test(bits) || this.prefix < 8 || this.prefix > 30) throw new GantryError('InvalidArgument', `pod range "${cidr}": the prefix must be /8 to /30`)
    this.#size = 2 ** (32 - this.prefix)
    const parsed = parseAddress(address)
    this.#base = parsed - (parsed % this.#size)
    this.gateway = formatAddress(this.#base + 1)
  }

  /** The range in its canonical form. */
  get cidr(): string {
    return `${formatAddress(this.#base)}/${this.prefix}`
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
    return formatAddress(this.#base + offset)
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

  #offset(address: string): number | undefined {
    const offset = parseAddress(address) - this.#base
    return offset >= 2 && offset <= this.#size - 2 ? offset : undefined
  }

  #advance(): void {
    this.#next = this.#next + 1 > this.#size - 2 ? 2 : this.#next + 1
  }
}

/** The number of a dotted IPv4 address; InvalidArgument if it is none. */
export function parseAddress(address: string): number {
  const parts = address.split('.')
  if (parts.length !== 4 || parts.some((part) => !/^(0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255)) {
    throw new GantryError('InvalidArgument', `"${address}" is no IPv4 address`)
  }
  return parts.reduce((number, part) => number * 256 + Number(part), 0)
}

export function formatAddress(number: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(number / 2 ** shift) % 256).join('.')
}
