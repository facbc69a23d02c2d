/** Quantities. https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-quantity-library */
import type { Environment } from '@marcbachmann/cel-js'
import { readQuantity } from '../../../proto/base/quantity.ts'
import { CelError } from '../error.ts'
import { define } from './define.ts'

const NANOS = 1_000_000_000n
const LARGEST = 2n ** 63n - 1n

class Quantity {
  readonly nanos: bigint

  constructor(nanos: bigint) {
    this.nanos = nanos
  }

  get isInteger(): boolean {
    return this.nanos % NANOS === 0n && this.nanos / NANOS <= LARGEST && this.nanos / NANOS >= -LARGEST - 1n
  }

  compare(other: Quantity): number {
    return this.nanos < other.nanos ? -1 : this.nanos > other.nanos ? 1 : 0
  }
}

function quantity(text: string): Quantity {
  const amount = readQuantity(text)
  if (amount === undefined) throw new CelError(`"${text}" is no quantity`, 'evaluation')
  return new Quantity(amount.nanos)
}

export function registerQuantities(environment: Environment): void {
  define(
    environment,
    {
      'isQuantity(string): bool': (text: string) => readQuantity(text) !== undefined,
      'quantity(string): Quantity': quantity,
      'Quantity.sign(): int': ({ nanos }: Quantity) => (nanos > 0n ? 1n : nanos < 0n ? -1n : 0n),
      'Quantity.isInteger(): bool': ({ isInteger }: Quantity) => isInteger,
      'Quantity.asInteger(): int': (amount: Quantity) => {
        if (!amount.isInteger) throw new CelError('cannot convert value to integer', 'evaluation')
        return amount.nanos / NANOS
      },
      'Quantity.asApproximateFloat(): double': ({ nanos }: Quantity) => Number(nanos) / Number(NANOS),
      'Quantity.isGreaterThan(Quantity): bool': (a: Quantity, b: Quantity) => a.compare(b) > 0,
      'Quantity.isLessThan(Quantity): bool': (a: Quantity, b: Quantity) => a.compare(b) < 0,
      'Quantity.compareTo(Quantity): int': (a: Quantity, b: Quantity) => BigInt(a.compare(b)),
      'Quantity.add(Quantity): Quantity': (a: Quantity, b: Quantity) => new Quantity(a.nanos + b.nanos),
      'Quantity.add(int): Quantity': (a: Quantity, b: bigint) => new Quantity(a.nanos + b * NANOS),
      'Quantity.sub(Quantity): Quantity': (a: Quantity, b: Quantity) => new Quantity(a.nanos - b.nanos),
      'Quantity.sub(int): Quantity': (a: Quantity, b: bigint) => new Quantity(a.nanos - b * NANOS),
    },
    {},
    [Quantity],
  )
  environment.registerOperator('Quantity == Quantity', (a: Quantity, b: Quantity) => a.compare(b) === 0)
}
