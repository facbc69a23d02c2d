/** Events that wait for a watcher to read them, in their order: a bounded number, of a bounded size. */
import type { ObjectEvent } from './watch-event.ts'

/** Changes, and bytes of their objects as they are stored. */
export const MAX_QUEUED_EVENTS = 10_000
export const MAX_QUEUED_BYTES = 32 * 1024 * 1024
/**
 * Events that were taken are let go in so large parts: a watcher that is always a little behind must not keep all that
 * it has read.
 */
const COMPACT_THRESHOLD = 1_000

interface Queued {
  readonly event: ObjectEvent
  readonly bytes: number
}

export class EventQueue {
  #queued: Queued[] = []
  /** Those before were taken. */
  #at = 0
  #bytes = 0

  /** False, and nothing happens, if too much waits already. */
  push(event: ObjectEvent, bytes: number): boolean {
    if (this.#queued.length - this.#at >= MAX_QUEUED_EVENTS || this.#bytes > MAX_QUEUED_BYTES) return false
    this.append(event, bytes)
    return true
  }

  /** Behind all others, however much waits. */
  append(event: ObjectEvent, bytes = 0): void {
    this.#queued.push({ event, bytes })
    this.#bytes += bytes
  }

  take(): ObjectEvent | undefined {
    const next = this.#queued[this.#at]
    if (next === undefined) return undefined
    this.#bytes -= next.bytes
    if (++this.#at === this.#queued.length || this.#at === COMPACT_THRESHOLD) {
      this.#queued = this.#queued.slice(this.#at)
      this.#at = 0
    }
    return next.event
  }

  clear(): void {
    this.#queued = []
    this.#at = 0
    this.#bytes = 0
  }

  /** Events in memory, those among them that were taken and are not let go yet. */
  get held(): number {
    return this.#queued.length
  }
}
