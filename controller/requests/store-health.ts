/** Whether the store answers and how far the cache is, for health checks. */
import type { ReaderParts } from './object-reader.ts'

export class StoreHealth {
  readonly #parts: Pick<ReaderParts, 'reads' | 'informer'>

  constructor(parts: Pick<ReaderParts, 'reads' | 'informer'>) {
    this.#parts = parts
  }

  /** Resolves once the store has answered and the cache shows every write acknowledged before the call. Unavailable. */
  confirmed(): Promise<void> {
    return this.#parts.reads.confirmed()
  }

  get revision(): number {
    return this.#parts.informer.revision
  }
}
