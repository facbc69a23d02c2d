/** get, list and watch of what the store keeps. */
import { GantryError } from '../../../proto/base/errors.ts'
import { apiVersionOf } from '../../../proto/schema/schema.ts'
import type { Clock } from '../../../proto/base/clock.ts'
import type { Random } from '../../../proto/base/random.ts'
import type { ConsistentReads } from '../../api/consistent-reads.ts'
import { notFound } from '../../api/consistent-reads.ts'
import type { ListPaginator, Snapshot } from '../../api/list-paginator.ts'
import type { Selection } from '../../api/selection.ts'
import type { CachedObject, Informer } from '../../informer/contract.ts'
import type { Answer, Handle, ResourceRequest, Verb } from '../contract.ts'
import { encodableCached } from '../encodable-object.ts'
import { freshnessOf, listOptions, watchOptions, type Freshness, type ListOptions } from './list-options.ts'
import { parameter } from './query.ts'
import { Watchers } from './watchers.ts'

/** Milliseconds that a reader waits for a revision that the cache has not reached; as Kubernetes has it. */
const REACH_TIMEOUT = 3_000

export interface ReadParts {
  readonly reads: ConsistentReads
  readonly informer: Informer
  readonly pages: ListPaginator
  readonly clock: Clock
  readonly random: Random
}

export class StoredReads {
  readonly #parts: ReadParts
  readonly #watchers: Watchers
  readonly verbs: Readonly<Partial<Record<Verb, Handle>>> = {
    get: (request) => this.get(request),
    list: (request) => this.#list(request),
    watch: (request) => this.#watch(request),
  }

  constructor(parts: ReadParts) {
    this.#parts = parts
    this.#watchers = new Watchers(parts)
  }

  /** The object, whichever of its subresources that show all of it is asked for. */
  async get({ query, target: { resource, namespace, name } }: ResourceRequest): Promise<Answer> {
    const kind = resource.stored!
    await this.#reach(freshnessOf(query.get('resourceVersion') ?? ''))
    const cached = this.#parts.informer.lister(kind).cached(namespace, name)
    if (cached === undefined) throw notFound(kind, namespace, name)
    return { is: 'object', object: encodableCached(cached, resource) }
  }

  async #list(request: ResourceRequest): Promise<Answer> {
    const { resource } = request.target
    const { items, metadata } = await this.page(listOptions(request))
    return {
      is: 'list',
      apiVersion: apiVersionOf(resource),
      kind: resource.listKind,
      metadata,
      items: items.map((cached) => encodableCached(cached, resource)),
    }
  }

  /** What a list, or a deletion of a collection, is about. */
  async page({
    selection,
    freshness,
    limit,
    continue: token,
  }: ListOptions): Promise<{ items: readonly CachedObject[]; metadata: (Answer & { is: 'list' })['metadata'] }> {
    const page = await parameterOf(
      this.#parts.pages.page(selection, { limit, continue: token }, () => this.#take(selection, freshness)),
    )
    // How many more there are is not known of a selection, as in Kubernetes: not before all have been looked at.
    const counted = page.remaining > 0 && selection.isEverything
    return {
      items: page.items,
      metadata: {
        resourceVersion: String(page.revision),
        ...(page.continue !== '' && { continue: page.continue }),
        ...(counted && { remainingItemCount: page.remaining }),
      },
    }
  }

  async #take(selection: Selection, freshness: Freshness): Promise<Snapshot> {
    const { informer } = this.#parts
    await this.#reach(freshness)
    if (freshness.is !== 'exact')
      return { items: selection.of(informer.lister(selection.kind)), revision: informer.revision }
    const then = await informer.listAt(selection.kind, freshness.revision)
    return { items: then.filter(({ object }) => selection.matches(object)), revision: freshness.revision }
  }

  async #watch(request: ResourceRequest): Promise<Answer> {
    const options = watchOptions(request)
    await this.#reach(options.freshness)
    return { is: 'watch', frames: this.#watchers.begin(request.target.resource, options, request.signal) }
  }

  /**
   * Resolves once the cache is as new as is wanted. Timeout (504) for a revision that the store has not reached: it may
   * come, or be of another past.
   */
  async #reach(freshness: Freshness): Promise<void> {
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
          await informer.waitForRevision(revision, REACH_TIMEOUT)
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
}

/** As parameter: for the token of a list. */
async function parameterOf<T>(page: Promise<T>): Promise<T> {
  const settled = await page.then(
    (value) => () => value,
    (thrown: unknown) => (): T => {
      throw thrown
    },
  )
  return parameter(settled)
}
