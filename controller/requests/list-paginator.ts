/**
 * Lists in pages, all pages of one list at one revision. A continue token says which revision, and behind which object
 * the next page begins, so it is good at every controller, and as long as the store keeps the revision. What the pages
 * are cut from is kept for some minutes, and for a bounded number of lists: it holds references, not copies. Who
 * continues elsewhere, or later, has it made again.
 */
import { createHash } from 'node:crypto'
import { GantryError } from '../../proto/base/errors.ts'
import type { Clock } from '../../proto/base/clock.ts'
import type { CachedObject, Informer } from '../informer/contract.ts'
import { namespacedKey } from '../informer/kind-cache.ts'
import type { ConsistentReads } from '../api/consistent-reads.ts'
import type { Selection } from './selection.ts'

/** Lists under way that are remembered, and for how many milliseconds after their last page. */
const MAX_SNAPSHOTS = 200
const SNAPSHOT_TTL_MS = 300_000

/** All objects of a list, in key order, at one revision. */
export interface Snapshot {
  readonly items: readonly CachedObject[]
  readonly revision: number
}

/** Where a list goes on. */
interface ContinueToken {
  readonly revision: number
  /** Namespace and name, as keyOf joins them, of the last object that was shown. */
  readonly after: string
}

/** Instead of a revision: as things are when it is continued. For who takes an inconsistent rest over none. */
const NEWEST = 0

export interface Page {
  readonly items: readonly CachedObject[]
  readonly revision: number
  /** Empty with the last page. */
  readonly continue: string
  /** Objects on later pages. */
  readonly remaining: number
}

export interface PageRequest {
  /** Objects a page; undefined: all of them. */
  readonly limit?: number | undefined
  /** Bytes a page has at most, as far as it has more than one object. */
  readonly bytes?: number | undefined
  /** From the page before. */
  readonly continue?: string | undefined
}

export class ListPaginator {
  readonly #informer: Informer
  readonly #reads: Pick<ConsistentReads, 'current'>
  readonly #clock: Clock
  /** By revision and selection, least recently used first. */
  readonly #snapshots = new Map<string, { readonly snapshot: Snapshot; readonly expires: number }>()

  constructor(parts: { informer: Informer; reads: Pick<ConsistentReads, 'current'>; clock: Clock }) {
    this.#informer = parts.informer
    this.#reads = parts.reads
    this.#clock = parts.clock
  }

  /**
   * A page of the selection, out of what `take` gives when the list begins. InvalidArgument for a token that is none,
   * or of another selection; Expired, with a token that goes on inconsistently as its detail's value, for one whose
   * revision is gone.
   */
  async page(
    selection: Selection,
    { limit = Infinity, bytes = Infinity, continue: token = '' }: PageRequest,
    take: () => Promise<Snapshot>,
  ): Promise<Page> {
    this.#forgetExpired()
    const place = token === '' ? undefined : decodeContinueToken(token, selection)
    const snapshot = place === undefined ? await take() : await this.#resumed(selection, place)
    const { items, revision } = snapshot
    const start = place === undefined ? 0 : firstBehind(items, place.after)
    const end = pageEnd(items, start, limit, bytes)
    const remaining = items.length - end
    if (remaining === 0) return { items: start === 0 ? items : items.slice(start), revision, continue: '', remaining }
    this.#remember(selection, snapshot)
    return {
      items: items.slice(start, end),
      revision,
      continue: encodeContinueToken(selection, { revision, after: keyOf(items[end - 1]!) }),
      remaining,
    }
  }

  /** What the selection has now: consistent. */
  async #newest(selection: Selection): Promise<Snapshot> {
    await this.#reads.current()
    return { items: selection.of(this.#informer.lister(selection.kind)), revision: this.#informer.revision }
  }

  async #resumed(selection: Selection, { revision, after }: ContinueToken): Promise<Snapshot> {
    if (revision === NEWEST) return this.#newest(selection)
    const kept = this.#snapshots.get(identity(selection, revision))
    if (kept !== undefined) return kept.snapshot
    if (revision > this.#informer.revision) await this.#reads.current()
    try {
      if (revision > this.#informer.revision)
        throw new GantryError('Expired', `revision ${revision} has not been reached: it is of another past`)
      const all = await this.#informer.listAt(selection.kind, revision)
      return { items: all.filter(({ object }) => selection.matches(object)), revision }
    } catch (cause) {
      if (!GantryError.is(cause, 'Expired')) throw cause
      const rest = encodeContinueToken(selection, { revision: NEWEST, after })
      throw new GantryError('Expired', `this list can no longer be continued as it was at revision ${revision}`, {
        details: [
          {
            field: 'continue',
            value: rest,
            message: 'is too old',
            remedy:
              'list again from the start; or go on with this token from the same place, which shows what has changed since',
          },
        ],
        cause,
      })
    }
  }

  /** A list that was begun and left holds old objects: it goes with the next list, of whatever kind. */
  #forgetExpired(): void {
    const now = this.#clock.monotonic()
    for (const [id, { expires }] of this.#snapshots) if (expires < now) this.#snapshots.delete(id)
  }

  #remember(selection: Selection, snapshot: Snapshot): void {
    const id = identity(selection, snapshot.revision)
    this.#snapshots.delete(id)
    this.#snapshots.set(id, { snapshot, expires: this.#clock.monotonic() + SNAPSHOT_TTL_MS })
    if (this.#snapshots.size > MAX_SNAPSHOTS) this.#snapshots.delete(this.#snapshots.keys().next().value!)
  }
}

function identity({ text }: Selection, revision: number): string {
  return `${revision} ${text}`
}

/** Enough of the selection to see that a token is of another one. */
function markOf({ text }: Selection): string {
  return createHash('sha256').update(text).digest('base64url').slice(0, 12)
}

function encodeContinueToken(selection: Selection, { revision, after }: ContinueToken): string {
  return Buffer.from(`${revision} ${markOf(selection)} ${after}`).toString('base64url')
}

function decodeContinueToken(token: string, selection: Selection): ContinueToken {
  const [, revision, mark, after] =
    /^(\d{1,15}) ([\w-]{12}) (\S*\/\S+)$/.exec(Buffer.from(token, 'base64url').toString()) ?? []
  if (after === undefined)
    throw new GantryError('InvalidArgument', 'the continue token is malformed', {
      details: [{ field: 'continue', value: token, message: 'is none that a list returned' }],
    })
  if (mark !== markOf(selection))
    throw new GantryError('InvalidArgument', 'the continue token is of another list', {
      details: [{ field: 'continue', value: token, message: 'was returned for another kind, namespace or selector' }],
    })
  return { revision: Number(revision), after }
}

/** Orders as snapshots are ordered. */
function keyOf({
  object: {
    metadata: { namespace, name },
  },
}: CachedObject): string {
  return namespacedKey(namespace, name)
}

/** The place of the first object behind a key, which itself need not be there. */
function firstBehind(items: readonly CachedObject[], key: string): number {
  let [from, to] = [0, items.length]
  while (from < to) {
    const middle = (from + to) >>> 1
    if (keyOf(items[middle]!) <= key) from = middle + 1
    else to = middle
  }
  return from
}

/** Where a page that begins at `start` ends: after `limit` objects or `most` bytes, but never before the first. */
function pageEnd(items: readonly CachedObject[], start: number, limit: number, most: number): number {
  if (most === Infinity) return Math.min(items.length, start + limit)
  let end = start
  for (let bytes = 0; end < items.length && end - start < limit; end++) {
    bytes += items[end]!.bytes.length
    if (end > start && bytes > most) break
  }
  return end
}
