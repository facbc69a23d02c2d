/** Objects and lists of them for who has been let in, as new as is asked for. */
import { GantryError } from '../../proto/base/errors.ts'
import type { Clock } from '../../proto/base/clock.ts'
import type { Kind } from '../../proto/gen/types.ts'
import { notFound, type ConsistentReads } from '../api/consistent-reads.ts'
import type { CachedObject, Informer } from '../informer/contract.ts'
import type { Freshness } from './freshness.ts'
import { ListPaginator, type Page, type Snapshot } from './list-paginator.ts'
import { NodeLeases } from './node-leases.ts'
import type { Selection } from './selection.ts'

/** Milliseconds that a reader waits for a revision that the cache has not reached; as Kubernetes has it. */
const REACH_TIMEOUT_MS = 3_000

export interface ReaderParts {
  readonly reads: Pick<ConsistentReads, 'confirmed' | 'current'>
  readonly informer: Informer
  readonly clock: Clock
}

export interface ListOptions {
  readonly selection: Selection
  readonly freshness: Freshness
  /** Objects a page; undefined: everything. */
  readonly limit: number | undefined
  /** Bytes a page has at most, as far as it has more than one object. */
  readonly bytes?: number
  /** From the page before; empty: the list begins. */
  readonly continue: string
}

export class ObjectReader {
  readonly #parts: ReaderParts
  readonly #pages: ListPaginator
  readonly #leases: NodeLeases

  constructor(parts: ReaderParts) {
    this.#parts = parts
    this.#pages = new ListPaginator(parts)
    this.#leases = new NodeLeases(parts)
  }

  /** NotFound. */
  async get<K extends Kind>(kind: K, namespace: string, name: string, freshness: Freshness): Promise<CachedObject<K>> {
    await this.reach(freshness)
    const cached =
      this.#parts.informer.lister(kind).cached(namespace, name) ??
      (this.#leases.get(kind, namespace, name) as CachedObject<K> | undefined)
    if (cached === undefined) throw notFound(kind, namespace, name)
    return cached
  }

  /**
   * A page; the leases of nodes come with the last one. InvalidArgument for a malformed token or one of another list;
   * Expired for one whose revision is gone.
   */
  async list(options: ListOptions): Promise<Page> {
    const page = await this.stored(options)
    // A list that comes in pieces has them with its last.
    if (page.continue !== '') return page
    const leases = this.#leases.list(options.selection)
    return leases.length === 0 ? page : { ...page, items: [...page.items, ...leases] }
  }

  /** As `list`, of what the store keeps alone. */
  stored({ selection, freshness, limit, bytes, continue: token }: ListOptions): Promise<Page> {
    return this.#pages.page(selection, { limit, bytes, continue: token }, () => this.#take(selection, freshness))
  }

  /**
   * Resolves once the cache is as new as is wanted. DeadlineExceeded for a revision that the store has not reached: it
   * may come, or be of another past.
   */
  async reach(freshness: Freshness): Promise<void> {
    const { reads, informer } = this.#parts
    switch (freshness.is) {
      case 'any':
        return
      case 'newest':
        return reads.current()
      case 'notOlder':
      case 'exact': {
        const { revision } = freshness
        try {
          await informer.waitForRevision(revision, REACH_TIMEOUT_MS)
        } catch (cause) {
          if (!GantryError.is(cause, 'Unavailable') || informer.revision >= revision) throw cause
          throw new GantryError(
            'DeadlineExceeded',
            `Too large resource version: ${revision}, current: ${informer.revision}`,
            { details: [{ message: 'Too large resource version', reason: 'ResourceVersionTooLarge' }], cause },
          )
        }
      }
    }
  }

  async #take(selection: Selection, freshness: Freshness): Promise<Snapshot> {
    const { informer } = this.#parts
    await this.reach(freshness)
    if (freshness.is !== 'exact')
      return { items: selection.of(informer.lister(selection.kind)), revision: informer.revision }
    const then = await informer.listAt(selection.kind, freshness.revision)
    return { items: then.filter(({ object }) => selection.matches(object)), revision: freshness.revision }
  }
}
