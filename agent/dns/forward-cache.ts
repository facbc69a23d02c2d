/** Answers of other servers, until they are too old; the least recently used go first when there are too many. */
import type { Answer } from './message.ts'

export interface CachedAnswer {
  readonly answer: Answer
  /** Milliseconds of the monotonic clock. */
  readonly stored: number
  readonly expires: number
  /** Too old, and nobody is asked again before this. */
  readonly recheck?: number
}

export interface CacheLimits {
  readonly entries: number
  readonly bytes: number
  /** Milliseconds that an answer is kept beyond its time, for when no server answers (RFC 8767). */
  readonly stale: number
}

/** What an entry takes beside the message itself, roughly. */
const OVERHEAD = 400

export class ForwardCache {
  readonly #limits: CacheLimits
  /** In the order of use. */
  readonly #entries = new Map<string, CachedAnswer>()
  #bytes = 0

  constructor(limits: CacheLimits) {
    this.#limits = limits
  }

  get size(): number {
    return this.#entries.size
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Also one that is too old, as long as it may still serve in need. */
  get(key: string, now: number): CachedAnswer | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    this.#entries.delete(key)
    if (now >= this.#end(entry)) {
      this.#bytes -= weight(key, entry)
      return undefined
    }
    this.#entries.set(key, entry)
    return entry
  }

  put(key: string, entry: CachedAnswer): void {
    const before = this.#entries.get(key)
    if (before !== undefined) this.#bytes -= weight(key, before)
    this.#entries.delete(key)
    this.#entries.set(key, entry)
    this.#bytes += weight(key, entry)
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= this.#limits.entries && this.#bytes <= this.#limits.bytes) break
      this.#bytes -= weight(oldest, this.#entries.get(oldest)!)
      this.#entries.delete(oldest)
    }
  }

  clear(): void {
    this.#entries.clear()
    this.#bytes = 0
  }

  /** Failures are not worth serving when they are old. */
  #end({ answer, expires }: CachedAnswer): number {
    return answer.rcode === 0 || answer.rcode === 3 ? expires + this.#limits.stale : expires
  }
}

function weight(key: string, { answer }: CachedAnswer): number {
  return key.length + answer.bytes.length + 8 * (answer.ends.length + answer.ttls.length) + OVERHEAD
}
