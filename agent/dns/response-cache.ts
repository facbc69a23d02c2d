/**
 * Answers by the bytes of the queries that they were given to; the oldest go first when there are too many, or too
 * large ones.
 */
import type { Answer, Query } from './message.ts'

/** What was answered to a query of these bytes. */
export interface CachedResponse {
  readonly answer: Answer
  readonly query: Query
  readonly limit: number
  /** Of the zone, when it was made. */
  readonly generation: number
  readonly stored: number
  readonly expires: number
}

export interface ResponseCacheLimits {
  readonly entries: number
  readonly bytes: number
}

/** An answer may have 64 KiB, and each spelling of a name is a query of its own: the count alone bounds nothing. */
export const RESPONSE_CACHE_LIMITS: ResponseCacheLimits = { entries: 20_000, bytes: 32 * 1024 * 1024 }
/** What an entry takes beside its bytes, roughly. */
const OVERHEAD = 600

export class ResponseCache {
  readonly #limits: ResponseCacheLimits
  readonly #entries = new Map<string, CachedResponse>()
  #bytes = 0

  constructor(limits: ResponseCacheLimits = RESPONSE_CACHE_LIMITS) {
    this.#limits = limits
  }

  get size(): number {
    return this.#entries.size
  }

  /** Taken up in memory, roughly. */
  get bytes(): number {
    return this.#bytes
  }

  get(key: string): CachedResponse | undefined {
    return this.#entries.get(key)
  }

  put(key: string, kept: CachedResponse): void {
    this.#drop(key)
    this.#entries.set(key, kept)
    this.#bytes += weight(key, kept)
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= this.#limits.entries && this.#bytes <= this.#limits.bytes) break
      this.#drop(oldest)
    }
  }

  #drop(key: string): void {
    const kept = this.#entries.get(key)
    if (kept === undefined) return
    this.#bytes -= weight(key, kept)
    this.#entries.delete(key)
  }
}

function weight(key: string, { answer, query }: CachedResponse): number {
  return (
    key.length + query.question.length + answer.bytes.length + 8 * (answer.ends.length + answer.ttls.length) + OVERHEAD
  )
}
