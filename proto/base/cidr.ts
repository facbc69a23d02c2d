/**
 * IP addresses and ranges of them as numbers. IPv4 dotted, IPv6 as in RFC 4291 section 2.2 and, when written, in
 * canonical form (RFC 5952).
 */
import { isIP } from 'node:net'

export type AddressFamily = 4 | 6

/** Addresses of one family from `first` to `last`, both included. */
export interface AddressRange {
  readonly family: AddressFamily
  readonly first: bigint
  readonly last: bigint
}

const BITS = { 4: 32, 6: 128 } as const

/** undefined for what is no address, or has a zone. */
export function readAddress(text: string): { readonly family: AddressFamily; readonly value: bigint } | undefined {
  switch (isIP(text)) {
    case 4:
      return { family: 4, value: readDotted(text) }
    case 6:
      return text.includes('%') ? undefined : { family: 6, value: readColons(text) }
    default:
      return undefined
  }
}

function readDotted(text: string): bigint {
  return text.split('.').reduce((value, part) => (value << 8n) | BigInt(part), 0n)
}

function readColons(text: string): bigint {
  const dotted = /[^:]*\.[^:]*$/.exec(text)?.[0]
  const low = dotted === undefined ? undefined : readDotted(dotted)
  const groups =
    low === undefined
      ? text
      : `${text.slice(0, -dotted!.length)}${(low >> 16n).toString(16)}:${(low & 0xffffn).toString(16)}`
  const [head = '', tail] = groups.split('::')
  const split = (part: string): string[] => (part === '' ? [] : part.split(':'))
  const left = split(head)
  const right = tail === undefined ? [] : split(tail)
  const all =
    tail === undefined ? left : [...left, ...Array<string>(8 - left.length - right.length).fill('0'), ...right]
  return all.reduce((value, group) => (value << 16n) | BigInt(`0x${group}`), 0n)
}

/** "10.0.0.0/8", also with bits set behind the prefix; undefined for what is no range. */
export function readCidr(text: string): AddressRange | undefined {
  const [, base = '', length = ''] = /^([^/]+)\/(0|[1-9]\d{0,2})$/.exec(text) ?? []
  const address = readAddress(base)
  if (address === undefined) return undefined
  const free = BITS[address.family] - Number(length)
  if (free < 0) return undefined
  const first = (address.value >> BigInt(free)) << BigInt(free)
  return { family: address.family, first, last: first + (1n << BigInt(free)) - 1n }
}

export function rangeContains(outer: AddressRange, inner: AddressRange): boolean {
  return outer.family === inner.family && outer.first <= inner.first && inner.last <= outer.last
}

export function rangesOverlap(a: AddressRange, b: AddressRange): boolean {
  return a.family === b.family && a.first <= b.last && b.first <= a.last
}

/** Bits that all addresses of a range as `readCidr` gives them have in common. */
export function prefixLength({ family, first, last }: AddressRange): number {
  return BITS[family] - (last - first + 1n).toString(2).length + 1
}

/** "10.0.0.0/8": without bits behind the prefix. */
export function formatCidr(range: AddressRange): string {
  return `${formatAddress(range.family, range.first)}/${prefixLength(range)}`
}

export function familyOf(address: string): AddressFamily {
  return address.includes(':') ? 6 : 4
}

/** The ranges of a setting like "10.244.0.0/16,fd00:10:244::/48". */
export function splitCidrs(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
}

export function formatAddress(family: AddressFamily, value: bigint): string {
  if (family === 4) return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 255n).join('.')
  const groups = Array.from({ length: 8 }, (_, index) => ((value >> BigInt(112 - index * 16)) & 0xffffn).toString(16))
  const zeros = longestZeros(groups)
  if (zeros === undefined) return groups.join(':')
  return `${groups.slice(0, zeros.start).join(':')}::${groups.slice(zeros.start + zeros.length).join(':')}`
}

/** The first of the longest runs of at least two zero groups. */
function longestZeros(groups: readonly string[]): { readonly start: number; readonly length: number } | undefined {
  let best: { start: number; length: number } | undefined
  for (let start = 0; start < groups.length; start++) {
    let length = 0
    while (groups[start + length] === '0') length++
    if (length > Math.max(1, best?.length ?? 0)) best = { start, length }
    start += length
  }
  return best
}
