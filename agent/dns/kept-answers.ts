/**
 * Answers by the bytes of the queries that they were given to; the oldest go first when there are too many, or too
 * large ones.
 */
import type { Answer, Query } from './message.ts'

/** What was answered to a query of these bytes. */
export interface Kept {
  readonly answer: Answer
  readonly query: Query
  readonly limit: number
  /** Of the zone, when it was made. */
  readonly generation: number
  readonly stored: number
  readonly expires: number
}

export interface KeptLimits {
  readonly entries: number
  readonly bytes: number
}

/** An answer may have 64 KiB, and each spelling of a name is a query of its own: the count alone bounds nothing. */
export const KEPT_LIMITS: KeptLimits = { entries: 20_000, bytes: 32 * 1024 * 1024 }
/** What an entry takes beside its bytes, roughly. */
const OVERHEAD = 600

export class KeptAnswers {
  readonly #limits: KeptLimits
  readonly #entries = new Map<string, Kept>()
  #bytes = 0

  constructor(limits: KeptLimits = KEPT_LIMITS) {
    this.#limits = limits
  }

  get size(): number {
    return this.#entries.size
  }

  /** Taken up in memory, roughly. */
  get bytes(): number {
    return this.#bytes
  }

  get(key: string): Kept | undefined {
    return this.#entries.get(key)
  }

  put(key: string, kept: Kept): void {
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

function weight(key: string, { answer, query }: Kept): number {
  return (
    key.length + query.question.length + answer.bytes.length + 8 * (answer.ends.length + answer.ttls.length) + OVERHEAD
  )
}
