/** The ranges that Services' addresses and node ports are chosen from. Pure. */
import { formatAddress, readAddress, readCidr } from '../../../proto/base/cidr.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import type { Random } from '../../../proto/base/random.ts'

export type Family = 'IPv4' | 'IPv6'

/** Numbers beyond are not chosen from: so many Services there are nowhere. */
const MOST_CHOICES = 2 ** 40
/** Tries at random before the next free one is looked for. */
const RANDOM_TRIES = 8

/** Numbers from `first` to `last`; those below `dynamic` are chosen only when no other is left. */
export interface AllocationRange {
  readonly first: number
  readonly last: number
  readonly dynamic: number
}

/**
 * A number of the band that is not taken; undefined if all are. `takenCount` is no less than the count of those taken.
 */
export function choose(
  { first, last, dynamic }: AllocationRange,
  isTaken: (number: number) => boolean,
  takenCount: number,
  random: Random,
): number | undefined {
  for (const [from, to] of [
    [dynamic, last],
    [first, dynamic - 1],
  ] as const) {
    const size = to - from + 1
    if (size <= 0) continue
    for (let tries = 0; tries < RANDOM_TRIES; tries++) {
      const candidate = from + Math.floor(random.next() * size)
      if (!isTaken(candidate)) return candidate
    }
    const start = Math.floor(random.next() * size)
    for (let step = 0; step < Math.min(size, takenCount + 1); step++) {
      const candidate = from + ((start + step) % size)
      if (!isTaken(candidate)) return candidate
    }
  }
  return undefined
}

/** How many of `size` are left to what is asked for: a share of them, within bounds. */
function staticCount(size: number, share: number, most: number): number {
  return size <= 16 ? 0 : Math.min(Math.max(16, Math.floor(size / share)), most)
}

/** https://kubernetes.io/docs/concepts/services-networking/service/#type-nodeport */
export const NODE_PORTS: AllocationRange = { first: 30_000, last: 32_767, dynamic: 30_000 + staticCount(2768, 32, 128) }

/** Offset of the address of Service default/kubernetes. */
export const FIRST_OFFSET = 1
/** Offset of the address that manifests of a cluster's DNS ask for. */
export const DNS_OFFSET = 10

/** A range of Services' addresses, all counted by their offset from its beginning. */
export class ServiceRange {
  readonly cidr: string
  readonly family: Family
  readonly offsets: AllocationRange
  readonly #first: bigint
  readonly #last: bigint

  /** InvalidArgument for what is no range, or holds no address for a Service beside the first. */
  constructor(cidr: string) {
    const range = readCidr(cidr)
    const size = range === undefined ? 0n : range.last - range.first + 1n
    if (range === undefined || size < 8n) {
      throw new GantryError(
        'InvalidArgument',
        `serviceCidr: ${cidr} is not a range of 8 addresses or more, such as 10.96.0.0/16`,
        { details: [{ field: 'serviceCidr', value: cidr }] },
      )
    }
    this.cidr = cidr
    this.family = `IPv${range.family}`
    this.#first = range.first
    this.#last = range.last
    // The first address is that of the network, the last of IPv4 that of everybody in it.
    const last = Number(size > BigInt(MOST_CHOICES) ? BigInt(MOST_CHOICES) : size) - (range.family === 4 ? 2 : 1)
    this.offsets = { first: FIRST_OFFSET, last, dynamic: FIRST_OFFSET + staticCount(last, 16, 256) }
  }

  at(offset: number): string {
    return formatAddress(this.family === 'IPv4' ? 4 : 6, this.#first + BigInt(offset))
  }

  /** Whether a Service may have the address; also one beyond those that are chosen from. */
  contains(text: string): boolean {
    const address = readAddress(text)
    if (address === undefined || `IPv${address.family}` !== this.family) return false
    return (
      address.value > this.#first && (this.family === 'IPv4' ? address.value < this.#last : address.value <= this.#last)
    )
  }
}

/** Of the setting serviceCidr: one range, or two of different families, separated by a comma. InvalidArgument. */
export function serviceRanges(setting: string): readonly ServiceRange[] {
  const ranges = setting.split(',').map((cidr) => new ServiceRange(cidr.trim()))
  if (ranges.length > 2 || (ranges.length === 2 && ranges[0]!.family === ranges[1]!.family)) {
    throw new GantryError(
      'InvalidArgument',
      `serviceCidr: ${setting} names more than one range of a family; give one range, or one of each family, such as 10.96.0.0/16,fd00:10:96::/112`,
      { details: [{ field: 'serviceCidr', value: setting }] },
    )
  }
  return ranges
}

/** One text for each address. */
export function canonical(text: string): string {
  const address = readAddress(text)
  return address === undefined ? text : formatAddress(address.family, address.value)
}
