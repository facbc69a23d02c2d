/** How often each node may do something: so many times at once, and from then on so many times a second. */
import type { Clock } from '../../proto/base/clock.ts'

export interface Allowance {
  readonly atOnce: number
  readonly perSecond: number
}

export class NodeRateLimiter {
  readonly #allowance: Allowance
  readonly #clock: Pick<Clock, 'monotonic'>
  /** What each node that has done it lately has left, and when that was counted. */
  readonly #left = new Map<string, { readonly amount: number; readonly at: number }>()

  constructor(allowance: Allowance, clock: Pick<Clock, 'monotonic'>) {
    this.#allowance = allowance
    this.#clock = clock
  }

  /** False if the node has done it too often; then it does not count. */
  take(node: string): boolean {
    const { atOnce, perSecond } = this.#allowance
    const now = this.#clock.monotonic()
    const { amount, at } = this.#left.get(node) ?? { amount: atOnce, at: now }
    const left = Math.min(atOnce, amount + ((now - at) / 1000) * perSecond)
    if (left < 1) return false
    this.#left.set(node, { amount: left - 1, at: now })
    return true
  }

  /** The node is no more. */
  forget(node: string): void {
    this.#left.delete(node)
  }
}
