/**
 * Consistent reads from the watch cache: learn the store's newest revision, wait until the cache has it, read the
 * cache. A store answers those who ask at the same time together, so many readers cost one question; one that only this
 * process writes (store/sole-writer.ts) knows it without.
 */
import { GantryError } from '../../proto/base/errors.ts'
import type { Kind } from '../../proto/gen/types.ts'
import type { CachedObject, Informer } from '../informer/contract.ts'
import type { Store } from '../store/contract.ts'
import { OBJECTS_PREFIX } from '../store/keys.ts'
import { named } from '../objects/identity.ts'

export class ConsistentReads {
  readonly #store: Pick<Store, 'get' | 'revision'>
  readonly #informer: Informer

  constructor(store: Pick<Store, 'get' | 'revision'>, informer: Informer) {
    this.#store = store
    this.#informer = informer
  }

  /**
   * Resolves when the cache shows every write acknowledged before the call. Unavailable if store or cache do not follow
   * in time.
   */
  async current(): Promise<void> {
    await this.#informer.waitForRevision(await this.#store.revision())
  }

  /** As `current`, and the store has answered a question since, which `current` may do without. */
  async confirmed(): Promise<void> {
    await this.#store.get(OBJECTS_PREFIX)
    await this.current()
  }

  /** The object now, or undefined. */
  async find<K extends Kind>(kind: K, namespace: string, name: string): Promise<CachedObject<K> | undefined> {
    await this.current()
    return this.#informer.lister(kind).cached(namespace, name)
  }

  /** The object now; NotFound. */
  async get<K extends Kind>(kind: K, namespace: string, name: string): Promise<CachedObject<K>> {
    const cached = await this.find(kind, namespace, name)
    if (cached === undefined) throw notFound(kind, namespace, name)
    return cached
  }
}

/** What is said of an object that does not exist. */
export function notFound(kind: Kind, namespace: string, name: string): GantryError {
  return new GantryError('NotFound', `${named(kind, namespace, name)} not found`, {
    details: [{ field: 'metadata.name', value: name, message: 'there is no such object' }],
  })
}
