/**
 * From entries of the store to what the cache has of them. One bad entry must not stop the cluster: bytes that are no
 * object are reported and left out, and what is of a kind that is not defined (yet) is put aside.
 */
import { GantryError } from '../../proto/base/errors.ts'
import type { Logger } from '../../proto/base/logger.ts'
import { decodeResource } from '../../proto/codec/wire.ts'
import type { KindRegistry } from '../../proto/schema/kind-registry.ts'
import type { Entry } from '../store/contract.ts'
import { parseKey, type ObjectKey } from '../store/keys.ts'
import type { CachedObject } from './contract.ts'
import { ExpectedWrites } from './expected-writes.ts'
import { UnknownKindEntries } from './unknown-kind-entries.ts'

export class EntryDecoder {
  readonly aside = new UnknownKindEntries()
  /** What this controller writes itself, and need not read. */
  readonly written = new ExpectedWrites()
  readonly #kinds: KindRegistry
  readonly #logger: Logger
  /** What was decoded ahead and not taken yet. */
  readonly #ahead = new Map<Entry, CachedObject | undefined>()

  constructor(kinds: KindRegistry, logger: Logger) {
    this.#kinds = kinds
    this.#logger = logger
  }

  /** Undefined for an entry of a kind that is not defined: it is put aside. */
  parse(entry: Entry): ObjectKey | undefined {
    const parsed = parseKey(entry.key, this.#kinds)
    if (parsed === undefined && !this.aside.keep(entry))
      this.#logger.error({ key: entry.key }, 'an entry of the store is of no known kind')
    return parsed
  }

  /**
   * Decodes entries of a list before the list is complete, all but those of defined kinds, whose definitions may come
   * later.
   */
  decodeAhead(entries: readonly Entry[]): void {
    for (const entry of entries) {
      const key = parseKey(entry.key, this.#kinds)
      if (key !== undefined && !key.kind.includes('.')) this.#ahead.set(entry, this.decode(key, entry))
    }
  }

  /** Forgets what was decoded ahead and is not taken: the list was given up, or is dealt with. */
  forgetAhead(): void {
    this.#ahead.clear()
  }

  /** Undefined, and reported, for bytes that are no such object. What the cache has of it stays. */
  decode(key: ObjectKey, entry: Entry): CachedObject | undefined {
    const ahead = this.#ahead.get(entry)
    if (ahead !== undefined || this.#ahead.has(entry)) {
      this.#ahead.delete(entry)
      return ahead
    }
    try {
      const written = this.written.take(entry)
      if (written !== undefined) return written
      const object = decodeResource(key.kind, entry.value, String(entry.revision))
      const { namespace, name } = object.metadata
      if (name !== key.name || namespace !== key.namespace)
        throw new GantryError('Internal', `the bytes are of ${namespace}/${name}`)
      return { object, bytes: entry.value, revision: entry.revision }
    } catch (error) {
      this.#logger.error({ err: error, key: entry.key }, 'an entry of the store cannot be decoded and is left out')
      return undefined
    }
  }

  cachedOf(entry: Entry): CachedObject | undefined {
    const key = this.parse(entry)
    return key === undefined ? undefined : this.decode(key, entry)
  }
}
