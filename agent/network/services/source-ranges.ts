/** The ranges of clients that a load balancer lets in, as elements of a set without overlaps. */
import {
  formatAddress,
  formatCidr,
  prefixLength,
  rangeContains,
  readCidr,
  type AddressFamily,
} from '../../../proto/base/cidr.ts'

/**
 * Those of one family, each once and none inside another: the kernel refuses those. What is no range was refused when
 * the Service was written; it lets nobody in.
 */
export function allowedRanges(sources: readonly string[], family: AddressFamily): string[] {
  const ranges = sources
    .flatMap((text) => readCidr(text) ?? [])
    .filter((range) => range.family === family)
    .sort((a, b) => prefixLength(a) - prefixLength(b))
  const outer = ranges.filter((range, index) => !ranges.slice(0, index).some((other) => rangeContains(other, range)))
  return outer.map((range) => (range.first === range.last ? formatAddress(family, range.first) : formatCidr(range)))
}
