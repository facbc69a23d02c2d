/**
 * Ranges of numbers, both ends included: addresses and ports, as sets of nft(8) want them, apart from one another and
 * in order.
 */
import { formatAddress, readCidr, type AddressFamily } from '../../../proto/base/cidr.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import type { AddressBlock } from '../../../proto/gen/types.ts'

export interface NumberRange {
  readonly first: bigint
  readonly last: bigint
}

/** The same numbers in as few ranges as can be. */
export function mergeRanges(ranges: readonly NumberRange[]): NumberRange[] {
  const result: NumberRange[] = []
  for (const range of [...ranges].sort((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0))) {
    const last = result.at(-1)
    if (last === undefined || range.first > last.last + 1n) result.push(range)
    else if (range.last > last.last) result[result.length - 1] = { first: last.first, last: range.last }
  }
  return result
}

/** What is left of a range without others. */
export function subtractRanges(range: NumberRange, gaps: readonly NumberRange[]): NumberRange[] {
  const result: NumberRange[] = []
  let first = range.first
  for (const gap of mergeRanges(gaps)) {
    if (gap.last < first || gap.first > range.last) continue
    if (gap.first > first) result.push({ first, last: gap.first - 1n })
    first = gap.last + 1n
  }
  return first > range.last ? result : [...result, { first, last: range.last }]
}

/**
 * The addresses of a family that are in one of the blocks and not in a gap of it, e.g. ["10.0.0.0-10.0.0.127",
 * "10.2.3.4"].
 */
export function blockRanges(family: AddressFamily, blocks: readonly AddressBlock[]): string[] {
  const ranges = blocks.flatMap(({ cidr, except }) => {
    const range = read(cidr)
    return range.family === family
      ? subtractRanges(
          range,
          except.map(read).filter((gap) => gap.family === family),
        )
      : []
  })
  return mergeRanges(ranges).map(({ first, last }) =>
    first === last ? formatAddress(family, first) : `${formatAddress(family, first)}-${formatAddress(family, last)}`,
  )
}

function read(cidr: string): NumberRange & { readonly family: AddressFamily } {
  const range = readCidr(cidr)
  if (range === undefined)
    throw new GantryError(
      'InvalidArgument',
      `the control plane told of a policy with "${cidr}", which is no range of addresses`,
    )
  return range
}
