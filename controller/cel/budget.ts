/** What evaluations may cost together. https://kubernetes.io/docs/reference/using-api/cel/#resource-constraints */
import { CelError } from './error.ts'

/** Steps of one expression, and of all expressions of one object; as Kubernetes has them. */
export const EXPRESSION_LIMIT = 1_000_000
const OBJECT_LIMIT = 10_000_000

export class Budget {
  #left: number

  constructor(limit = OBJECT_LIMIT) {
    this.#left = limit
  }

  /** What one expression may take of it. */
  get share(): number {
    return Math.min(EXPRESSION_LIMIT, this.#left)
  }

  take(steps: number): void {
    this.#left = Math.max(0, this.#left - steps)
  }
}

/** Counts the steps of one evaluation. */
export class Meter {
  #left: number
  readonly #share: number

  constructor(share: number) {
    this.#share = share
    this.#left = share
  }

  get spent(): number {
    return this.#share - this.#left
  }

  /** Throws once the share is used up. */
  spend(steps: number): void {
    this.#left -= steps
    if (this.#left < 0) throw new CelError('costs too much: it goes through more than is allowed', 'cost')
  }
}
