/** Frames that wait for a watcher to read them, in their order: a bounded number, of a bounded size. */
import type { WatchFrame } from '../contract.ts'

/** Changes, and bytes of their objects as they are stored. */
export const MAX_QUEUED_FRAMES = 10_000
export const MAX_QUEUED_BYTES = 32 * 1024 * 1024
/**
 * Frames that were taken are let go in so large parts: a watcher that is always a little behind must not keep all that
 * it has read.
 */
const COMPACT_THRESHOLD = 1_000

interface Waiting {
  readonly frame: WatchFrame
  readonly bytes: number
}

export class FrameQueue {
  #waiting: Waiting[] = []
  /** Those before were taken. */
  #at = 0
  #bytes = 0

  /** False, and nothing happens, if too much waits already. */
  push(frame: WatchFrame, bytes: number): boolean {
    if (this.#waiting.length - this.#at >= MAX_QUEUED_FRAMES || this.#bytes > MAX_QUEUED_BYTES) return false
    this.append(frame, bytes)
    return true
  }

  /** Behind all others, however much waits. */
  append(frame: WatchFrame, bytes = 0): void {
    this.#waiting.push({ frame, bytes })
    this.#bytes += bytes
  }

  take(): WatchFrame | undefined {
    const next = this.#waiting[this.#at]
    if (next === undefined) return undefined
    this.#bytes -= next.bytes
    if (++this.#at === this.#waiting.length || this.#at === COMPACT_THRESHOLD) {
      this.#waiting = this.#waiting.slice(this.#at)
      this.#at = 0
    }
    return next.frame
  }

  clear(): void {
    this.#waiting = []
    this.#at = 0
    this.#bytes = 0
  }

  /** Frames in memory, those among them that were taken and are not let go yet. */
  get held(): number {
    return this.#waiting.length
  }
}
