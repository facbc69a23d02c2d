/**
 * Whole numbers of 64 bits that are kept as text, such as in annotations: beyond 2^53 they are no numbers of
 * JavaScript.
 */

const LIMIT = 2n ** 63n

/** As Go's strconv.ParseInt with base 10; undefined for what is no such number or has more than 64 bits. */
export function parseInt64(text: string): bigint | undefined {
  if (!/^[+-]?[0-9]{1,40}$/.test(text)) return undefined
  const number = BigInt(text.startsWith('+') ? text.slice(1) : text)
  return number >= -LIMIT && number < LIMIT ? number : undefined
}

/** For sorting. */
export function compareInt64(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0
}
