/** Amounts of resources as numbers: cpu in thousandths, everything else in whole units (bytes, pieces). */
import { formatQuantity, parseQuantity } from '../base/quantity.ts'

/** Quantities by the resource's name, as objects hold them. */
export type ResourceList = Readonly<Record<string, string>>

/** By the resource's name; what is absent is 0. */
export type ResourceAmounts = ReadonlyMap<string, number>

/** Rounded up, as Kubernetes does. */
export function resourceAmount(name: string, quantity: string): number {
  return roundAmount(name, parseQuantity(quantity).nanos)
}

/** `nanos` as of a parsed quantity; not negative. */
export function roundAmount(name: string, nanos: bigint): number {
  const unit = unitOf(name)
  return Number((nanos + unit - 1n) / unit)
}

function unitOf(name: string): bigint {
  return name === 'cpu' ? 1_000_000n : 1_000_000_000n
}

export function amountsOf(list: ResourceList | undefined): Map<string, number> {
  return new Map(Object.entries(list ?? {}).map(([name, quantity]) => [name, resourceAmount(name, quantity)]))
}

/** For people: 400m of cpu, 512Mi of memory. */
export function formatAmount(name: string, amount: number): string {
  return formatQuantity({
    nanos: BigInt(amount) * unitOf(name),
    format: name === 'memory' || name === 'ephemeral-storage' || name.startsWith('hugepages-') ? 'binary' : 'decimal',
  })
}

/** Adds to each amount; `sign` −1 takes away. What comes to 0 goes. */
export function addAmounts(to: Map<string, number>, amounts: ResourceAmounts, sign: 1 | -1 = 1): void {
  for (const [name, amount] of amounts) {
    const sum = (to.get(name) ?? 0) + sign * amount
    if (sum === 0) to.delete(name)
    else to.set(name, sum)
  }
}
