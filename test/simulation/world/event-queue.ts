/** Events by time, and by the order in which they were added where their times are the same: a binary heap. */
import type { Timer } from '../../../proto/base/clock.ts'

export interface Event {
  readonly at: number
  readonly order: number
  readonly label: string
  /** Undefined once cancelled: it is passed over when its time comes. */
  call: (() => void) | undefined
}

export class EventQueue {
  readonly #heap: Event[] = []
  #order = 0

  push(at: number, label: string, call: () => void): Timer {
    const event: Event = { at, order: this.#order++, label, call }
    this.#heap.push(event)
    this.#rise(this.#heap.length - 1)
    return { cancel: () => void (event.call = undefined) }
  }

  /** The first event, taken out, if it is due by `until`. */
  next(until: number): { readonly at: number; readonly label: string; readonly call: () => void } | undefined {
    for (let first = this.#heap[0]; first !== undefined && first.at <= until; first = this.#heap[0]) {
      const last = this.#heap.pop()!
      if (last !== first) {
        this.#heap[0] = last
        this.#sink(0)
      }
      if (first.call !== undefined) return { at: first.at, label: first.label, call: first.call }
    }
    return undefined
  }

  #rise(index: number): void {
    for (let at = index; at > 0;) {
      const above = (at - 1) >> 1
      if (!this.#before(at, above)) return
      this.#swap(at, above)
      at = above
    }
  }

  #sink(index: number): void {
    for (let at = index; ;) {
      const [left, right] = [2 * at + 1, 2 * at + 2]
      let least = at
      if (left < this.#heap.length && this.#before(left, least)) least = left
      if (right < this.#heap.length && this.#before(right, least)) least = right
      if (least === at) return
      this.#swap(at, least)
      at = least
    }
  }

  #before(one: number, other: number): boolean {
    const [a, b] = [this.#heap[one]!, this.#heap[other]!]
    return a.at < b.at || (a.at === b.at && a.order < b.order)
  }

  #swap(one: number, other: number): void {
    const held = this.#heap[one]!
    this.#heap[one] = this.#heap[other]!
    this.#heap[other] = held
  }
}
