/**
 * What a Network was given before, as far as its status can tell. The status mirrors the Network's record
 * (network-allocator), but may be of a time when there were no records and others could write it: what another Network
 * has, and what was never given, is not taken for an allocation. Of two with the same, the elder has it. Pure.
 */
import {
  formatCidr,
  prefixLength,
  rangeContains,
  rangesOverlap,
  readCidr,
  type AddressRange,
} from '../../../proto/base/cidr.ts'
import { sameJson } from '../../../proto/base/json.ts'
import type { Network, NetworkBlock } from '../../../proto/gen/types.ts'

/** Ranges of Networks that name none: 128 of 4,094 addresses each. */
export const DEFAULT_NETWORK_POOL = readCidr('172.24.0.0/13')!
export const DEFAULT_NETWORK_PREFIX = 20
/** Below these numbers are those of the pod network itself. */
export const FIRST_VNI = 100
export const LAST_VNI = 2 ** 24 - 1
/** Bits of a part: 64 addresses, or fewer where the whole range has not many. */
const PART_BITS = 6

/** Bits of the parts of a range that nodes give addresses from. */
export function partBits(range: AddressRange): number {
  const free = (range.family === 4 ? 32 : 128) - prefixLength(range)
  return Math.max(2, Math.min(PART_BITS, free - 3))
}

/** The ranges that are chosen from, in order. */
export function poolRanges(): AddressRange[] {
  const size = 1n << BigInt(32 - DEFAULT_NETWORK_PREFIX)
  const { family, first, last } = DEFAULT_NETWORK_POOL
  const count = Number((last - first + 1n) / size)
  return Array.from({ length: count }, (_, index) => {
    const begin = first + BigInt(index) * size
    return { family, first: begin, last: begin + size - 1n }
  })
}

export interface NetworkAllocation {
  /** undefined: it is still to be given them. */
  readonly cidrs: readonly string[] | undefined
  readonly vni: number | undefined
  readonly blocks: readonly NetworkBlock[]
}

/** `others`: every other Network, of all namespaces. */
export function currentAllocation(network: Network, others: readonly Network[]): NetworkAllocation {
  const { vni, blocks = [] } = network.status
  const elder = others.filter((other) => isElder(other, network))
  const cidrs = heldCidrs(network, elder)
  const ranges = (cidrs ?? []).map((cidr) => readCidr(cidr)!)
  const seen = new Set<string>()
  return {
    cidrs,
    vni:
      vni !== undefined && vni >= FIRST_VNI && vni <= LAST_VNI && !elder.some(({ status }) => status.vni === vni)
        ? vni
        : undefined,
    blocks: blocks.filter(({ cidr }) => isPart(cidr, ranges) && !seen.has(cidr) && seen.add(cidr) !== undefined),
  }
}

function isElder({ metadata: a }: Network, { metadata: b }: Network): boolean {
  const [made, other] = [a.creationTimestamp ?? '', b.creationTimestamp ?? '']
  return made === other ? a.uid < b.uid : made < other
}

/** The ranges that it asks for, or the one that was chosen for it. */
function heldCidrs({ spec, status: { cidrs } }: Network, elder: readonly Network[]): readonly string[] | undefined {
  if (cidrs === undefined) return undefined
  if (spec.cidrs !== undefined && spec.cidrs.length > 0) return sameJson(cidrs, spec.cidrs) ? cidrs : undefined
  const range = cidrs.length === 1 ? readCidr(cidrs[0]!) : undefined
  if (
    range === undefined ||
    prefixLength(range) !== DEFAULT_NETWORK_PREFIX ||
    formatCidr(range) !== cidrs[0] ||
    !rangeContains(DEFAULT_NETWORK_POOL, range)
  )
    return undefined
  return elder.some((other) => (other.status.cidrs ?? other.spec.cidrs ?? []).some((cidr) => overlaps(cidr, range)))
    ? undefined
    : cidrs
}

function overlaps(cidr: string, range: AddressRange): boolean {
  const other = readCidr(cidr)
  return other !== undefined && rangesOverlap(other, range)
}

/** Whether it is one of the parts that nodes get of one of the ranges. */
export function isPart(cidr: string, ranges: readonly AddressRange[]): boolean {
  const part = readCidr(cidr)
  if (part === undefined || formatCidr(part) !== cidr) return false
  const range = ranges.find((whole) => rangeContains(whole, part))
  return range !== undefined && prefixLength(part) === (range.family === 4 ? 32 : 128) - partBits(range)
}
