/**
 * Lists in pages, all pages of one call series at one revision: the first page takes a snapshot of the cache, which later pages are cut from.
 * A snapshot holds references, not copies; it is kept for some minutes and for a bounded number of lists.
 */
import { GantryError } from '../../proto/api/errors.ts'
import type { Clock } from '../../proto/base/clock.ts'
import { randomUuid, type Random } from '../../proto/base/random.ts'
import type { ListRequest, ListResponse } from '../../proto/gen/types.ts'
import type { Input } from '../../proto/api/wire.ts'
import type { CallContext } from '../../proto/api/rpc.ts'
import type { Cached, Informer } from '../informer/contract.ts'
import type { ConsistentReads } from './consistent-reads.ts'
import { Selection, toBytes } from './selection.ts'

/** Objects a page unless the caller says less, and bytes a page. */
const PAGE = 500
const PAGE_BYTES = 16 * 1024 * 1024
/** Lists under way that are remembered, and for how many milliseconds after their last page. */
const REMEMBERED = 200
const KEPT = 300_000

interface Snapshot {
  /** What was asked for: a later page must ask for the same. */
  readonly question: string
  readonly items: readonly Cached[]
  readonly revision: number
  expires: number
}

export class Pages {
  readonly #informer: Informer
  readonly #reads: ConsistentReads
  readonly #clock: Clock
  readonly #random: Random
  /** By the id in the continue token, least recently used first. */
  readonly #snapshots = new Map<string, Snapshot>()

  constructor(parts: { informer: Informer; reads: ConsistentReads; clock: Clock; random: Random }) {
    this.#informer = parts.informer
    this.#reads = parts.reads
    this.#clock = parts.clock
    this.#random = parts.random
  }

  /** A page. InvalidArgument for a malformed request or token; Expired for a token whose snapshot is gone: list again. */
  async list(request: ListRequest, user: CallContext['user']): Promise<Input<ListResponse>> {
    if (request.limit < 0) throw new GantryError('InvalidArgument', 'limit is negative', { details: [{ field: 'limit', value: String(request.limit), message: 'is negative' }] })
    this.#forgetExpired()
    const selection = new Selection(request, user)
    const question = JSON.stringify([request.kind, request.namespace, request.labelSelector, request.fieldSelector])
    const { id, start, snapshot } = request.continue === '' ? { id: '', start: 0, snapshot: await this.#take(selection, question) } : this.#resume(request.continue, question)
    const end = pageEnd(snapshot.items, start, request.limit === 0 ? PAGE : Math.min(request.limit, PAGE))
    const remaining = snapshot.items.length - end
    return {
      items: snapshot.items.slice(start, end).map(toBytes),
      resourceVersion: String(snapshot.revision),
      continue: remaining === 0 ? '' : this.#remember(id, end, snapshot),
      remainingItemCount: remaining,
    }
  }

  async #take(selection: Selection, question: string): Promise<Snapshot> {
    await this.#reads.current()
    const cached = this.#informer.lister(selection.kind).cachedList(selection.namespace)
    return { question, items: cached.filter(({ object }) => selection.matches(object)), revision: this.#informer.revision, expires: 0 }
  }

  #resume(token: string, question: string): { id: string; start: number; snapshot: Snapshot } {
    const [, id, start] = /^([0-9a-f-]{36})\.(\d{1,9})$/.exec(Buffer.from(token, 'base64url').toString()) ?? []
    if (id === undefined) throw new GantryError('InvalidArgument', 'the continue token is malformed', { details: [{ field: 'continue', value: token, message: 'is none that a list returned' }] })
    const snapshot = this.#snapshots.get(id)
    if (snapshot === undefined) {
      throw new GantryError('Expired', 'this list can no longer be continued', { details: [{ field: 'continue', value: token, message: `its snapshot was kept for ${KEPT / 60_000} minutes, by the controller that began it`, remedy: 'list again from the start' }] })
    }
    if (snapshot.question !== question) throw new GantryError('InvalidArgument', 'the continue token is of another list', { details: [{ field: 'continue', value: token, message: 'was returned for another kind, namespace or selector' }] })
    return { id, start: Number(start), snapshot }
  }

  /** A list that was begun and left holds old objects: it goes with the next list, of whatever kind. */
  #forgetExpired(): void {
    const now = this.#clock.monotonic()
    for (const [id, { expires }] of this.#snapshots) if (expires < now) this.#snapshots.delete(id)
  }

  #remember(known: string, end: number, snapshot: Snapshot): string {
    const id = known === '' ? randomUuid(this.#random) : known
    snapshot.expires = this.#clock.monotonic() + KEPT
    this.#snapshots.delete(id)
    this.#snapshots.set(id, snapshot)
    if (this.#snapshots.size > REMEMBERED) this.#snapshots.delete(this.#snapshots.keys().next().value!)
    return Buffer.from(`${id}.${end}`).toString('base64url')
  }
}

/** Where a page that begins at `start` ends: after `limit` objects or as many bytes as fit one message, but never before the first. */
function pageEnd(items: readonly Cached[], start: number, limit: number): number {
  let end = start
  for (let bytes = 0; end < items.length && end - start < limit; end++) {
    bytes += items[end]!.bytes.length
    if (end > start && bytes > PAGE_BYTES) break
  }
  return end
}
