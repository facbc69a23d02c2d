/** Whether the store answers and how far the cache is, for health checks. */
import type { ReaderParts } from './object-reader.ts'

export class StoreHealth {
  readonly #parts: Pick<ReaderParts, 'reads' | 'informer'>

  constructor(parts: Pick<ReaderParts, 'reads' | 'informer'>) {
    this.#parts = parts
  }

  /** Resolves once the cache shows every write acknowledged before the call. Unavailable. */
  current(): Promise<void> {
    return this.#parts.reads.current()
  }

  get revision(): number {
    return this.#parts.informer.revision
  }
}
