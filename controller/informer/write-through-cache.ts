/**
 * What this controller has just written, before the watch tells it: decoded by the writer, so that the cache need not
 * decode it once more.
 */
import type { Entry } from '../store/contract.ts'
import type { CachedObject } from './contract.ts'

export class WriteThroughCache {
  readonly #byKey = new Map<string, CachedObject>()

  /** What a commit has put under a key that the watch has not told yet. */
  keep(key: string, cached: CachedObject): void {
    const known = this.#byKey.get(key)
    if (known === undefined || known.revision < cached.revision) this.#byKey.set(key, cached)
  }

  /** What was written at an entry's revision; older writes of its key are forgotten with it. */
  take({ key, revision }: Entry): CachedObject | undefined {
    const cached = this.#byKey.get(key)
    if (cached === undefined || cached.revision > revision) return undefined
    this.#byKey.delete(key)
    return cached.revision === revision ? cached : undefined
  }

  /** Forgets what was written up to a revision that a list has shown: the watch will not tell it any more. */
  forget(revision: number): void {
    for (const [key, cached] of this.#byKey) if (cached.revision <= revision) this.#byKey.delete(key)
  }
}
