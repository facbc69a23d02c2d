/**
 * Amounts as Kubernetes writes them: "250m" of a cpu, "64Mi" of memory.
 * https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
 *
 * Arithmetic is exact, in integers of 10⁻⁹. What is finer is rounded up (away from zero), what is beyond ±(2⁶³−1) is
 * cut to that.
 */
import { GantryError } from './errors.ts'

/** Which suffixes an amount is written with: 1Ki, 1k, 1e3. */
export type QuantityFormat = 'binary' | 'decimal' | 'exponent'

export interface ParsedQuantity {
  /** The amount in units of 10⁻⁹. */
  readonly nanos: bigint
  /** The suffixes that it was written with and is written out with again. */
  readonly format: QuantityFormat
}

const NANOS = 1_000_000_000n
const LIMIT = (2n ** 63n - 1n) * NANOS
const SYNTAX = /^([+-]?)(\d*)(?:\.(\d*))?([EPTGMK]i|[numkMGTPE]|[eE][+-]?\d+)?$/
/** No amount that is meant needs more; it bounds the work that a text can cause. */
const LONGEST_TEXT = 100
const DECIMAL: Readonly<Record<string, number>> = { n: -9, u: -6, m: -3, '': 0, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18 }
const DECIMAL_SUFFIX = new Map(Object.entries(DECIMAL).map(([suffix, exponent]) => [exponent, suffix]))
const BINARY = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei']

/** The exact amount; InvalidArgument if the text is no quantity. */
export function parseQuantity(text: string): ParsedQuantity {
  const quantity = readQuantity(text)
  if (quantity === undefined)
    throw new GantryError('InvalidArgument', `"${text}" is not a quantity, such as 250m, 1.5, 64Mi or 2G`)
  return quantity
}

/** Amounts that were read lately, by their text: few are in use, and each is read over and over. */
const known = new Map<string, { readonly quantity: ParsedQuantity; readonly canonical: string }>()
const MOST_KNOWN = 1000

/** The exact amount, undefined if the text is no quantity. */
export function readQuantity(text: string): ParsedQuantity | undefined {
  return lookUp(text)?.quantity
}

/** The canonical form of a quantity's text, undefined if the text is no quantity. */
export function readCanonicalQuantity(text: string): string | undefined {
  return lookUp(text)?.canonical
}

function lookUp(text: string): { readonly quantity: ParsedQuantity; readonly canonical: string } | undefined {
  const found = known.get(text)
  if (found !== undefined) return found
  const quantity = parseText(text)
  if (quantity === undefined) return undefined
  if (known.size >= MOST_KNOWN) known.clear()
  const added = { quantity, canonical: formatQuantity(quantity) }
  known.set(text, added)
  return added
}

function parseText(text: string): ParsedQuantity | undefined {
  const match = text.length <= LONGEST_TEXT ? SYNTAX.exec(text) : null
  const [, sign, whole = '', fraction = '', suffix = ''] = match ?? []
  if (match === null || whole + fraction === '') return undefined
  const binary = suffix === '' ? 0 : BINARY.indexOf(suffix)
  const format = binary > 0 ? 'binary' : suffix in DECIMAL ? 'decimal' : 'exponent'
  const exponent = format === 'binary' ? 0 : (DECIMAL[suffix] ?? Number(suffix.slice(1)))
  const digits = BigInt(whole + fraction) * (format === 'binary' ? 1024n ** BigInt(binary) : 1n)
  const magnitude = scale(digits, exponent - fraction.length + 9)
  const bounded = magnitude > LIMIT ? LIMIT : magnitude
  return { nanos: sign === '-' ? -bounded : bounded, format }
}

/** digits × 10^exponent for digits ≥ 0, rounded up. */
function scale(digits: bigint, exponent: number): bigint {
  if (digits === 0n) return 0n
  if (exponent >= 0) return exponent > 40 ? LIMIT + 1n : digits * 10n ** BigInt(exponent)
  return exponent < -2 * LONGEST_TEXT ? 1n : divideUp(digits, 10n ** BigInt(-exponent))
}

/** Rounded away from zero. */
function divideUp(amount: bigint, by: bigint): bigint {
  const down = amount / by
  return down * by === amount ? down : down + (amount < 0n ? -1n : 1n)
}

/** Thousandths, rounded up: cpu "0.25" is 250. */
export function quantityMillis(text: string): number {
  return Number(divideUp(parseQuantity(text).nanos, 1_000_000n))
}

/** The next thousandth: Kubernetes stores nothing finer of resources. */
export function roundUpToMillis({ nanos, format }: ParsedQuantity): ParsedQuantity {
  return { nanos: divideUp(nanos, 1_000_000n) * 1_000_000n, format }
}

/** Whole units, rounded up: memory "1Ki" is 1024 bytes. */
export function quantityValue(text: string): number {
  return Number(divideUp(parseQuantity(text).nanos, NANOS))
}

/** `quantityValue` of an amount of memory or disk: bytes. */
export const quantityBytes = quantityValue

/** Negative, zero or positive, as `a` is less than, equal to or more than `b`. */
export function compareQuantity(a: string, b: string): number {
  const difference = parseQuantity(a).nanos - parseQuantity(b).nanos
  return difference < 0n ? -1 : difference > 0n ? 1 : 0
}

/** The sum in canonical form, with the suffixes of the first that is not zero. */
export function addQuantities(...texts: readonly string[]): string {
  const amounts = texts.map(parseQuantity)
  const nanos = amounts.reduce((sum, amount) => sum + amount.nanos, 0n)
  return formatQuantity({ nanos, format: amounts.find((amount) => amount.nanos !== 0n)?.format ?? 'decimal' })
}

/** The canonical text: nothing lost, no fraction, the largest suffix that allows both. */
export function formatQuantity({ nanos, format }: ParsedQuantity): string {
  if (nanos === 0n) return '0'
  const whole = nanos / NANOS
  const size = whole < 0n ? -whole : whole
  if (format === 'binary' && whole * NANOS === nanos && size >= 1024n) {
    const [count, power] = divideOut(whole, 1024n, BINARY.length - 1)
    return `${count}${BINARY[power]}`
  }
  const [count, thousands] = divideOut(nanos, 1000n, format === 'exponent' ? Infinity : 9)
  const exponent = thousands * 3 - 9
  if (format !== 'exponent') return `${count}${DECIMAL_SUFFIX.get(exponent)}`
  return exponent === 0 ? String(count) : `${count}e${exponent}`
}

/** How often `by` divides `amount`, at most `limit` times, and what is left then. */
function divideOut(amount: bigint, by: bigint, limit: number): [bigint, number] {
  let times = 0
  while (times < limit && amount % by === 0n) {
    amount /= by
    times++
  }
  return [amount, times]
}

/** The canonical form of a quantity's text: "0.5" is "500m", "1024Mi" is "1Gi". */
export function canonicalQuantity(text: string): string {
  return readCanonicalQuantity(text) ?? formatQuantity(parseQuantity(text))
}
