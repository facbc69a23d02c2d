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

/** Objects a page over gRPC unless the caller says less, and bytes a page: one message holds it. */
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

export interface Page {
  readonly items: readonly Cached[]
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

  /** A page over gRPC. InvalidArgument for a malformed request or token; Expired for a token whose snapshot is gone: list again. */
  async list(request: ListRequest, user: CallContext['user']): Promise<Input<ListResponse>> {
    if (request.limit < 0) throw new GantryError('InvalidArgument', 'limit is negative', { details: [{ field: 'limit', value: String(request.limit), message: 'is negative' }] })
    const selection = Selection.of(request, user)
    const question = JSON.stringify([request.kind, request.namespace, request.labelSelector, request.fieldSelector])
    const limit = request.limit === 0 ? PAGE : Math.min(request.limit, PAGE)
    const page = await this.page(question, { limit, bytes: PAGE_BYTES, continue: request.continue }, () => this.newest(selection))
    return { items: page.items.map(toBytes), resourceVersion: String(page.revision), continue: page.continue, remainingItemCount: page.remaining }
  }

  /**
   * A page of what `take` gives when the list begins. `question`: all that `take` depends on, so that a token is good for the same list only.
   * InvalidArgument for a token that is none; Expired for one whose snapshot is gone.
   */
  async page(question: string, { limit = Infinity, bytes = Infinity, continue: token = '' }: PageRequest, take: () => Promise<Pick<Snapshot, 'items' | 'revision'>>): Promise<Page> {
    this.#forgetExpired()
    const { id, start, snapshot } = token === '' ? { id: '', start: 0, snapshot: { question, ...await take(), expires: 0 } } : this.#resume(token, question)
    const { items, revision } = snapshot
    const end = pageEnd(items, start, limit, bytes)
    const remaining = items.length - end
    const whole = start === 0 && remaining === 0
    return { items: whole ? items : items.slice(start, end), revision, continue: remaining === 0 ? '' : this.#remember(id, end, snapshot), remaining }
  }

  /** What the selection has now: consistent. */
  async newest(selection: Selection): Promise<Pick<Snapshot, 'items' | 'revision'>> {
    await this.#reads.current()
    return { items: selection.of(this.#informer.lister(selection.kind)), revision: this.#informer.revision }
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

/** Where a page that begins at `start` ends: after `limit` objects or `most` bytes, but never before the first. */
function pageEnd(items: readonly Cached[], start: number, limit: number, most: number): number {
  if (most === Infinity) return Math.min(items.length, start + limit)
  let end = start
  for (let bytes = 0; end < items.length && end - start < limit; end++) {
    bytes += items[end]!.bytes.length
    if (end > start && bytes > most) break
  }
  return end
}
