/**
 * Watches: changes from a revision on as one caller asked for them. An object that begins to match is ADDED, one that
 * no longer does DELETED. A caller that does not read is not written to (gRPC holds the stream back); one that falls
 * far behind gets Expired.
 */
import { GantryError } from '../../proto/base/errors.ts'
import type { CallContext } from '../../proto/rpc/rpc.ts'
import type { Input } from '../../proto/codec/wire.ts'
import { delay, type Clock } from '../../proto/base/clock.ts'
import type { WatchEvent, WatchRequest } from '../../proto/gen/types.ts'
import type { Change, Informer } from '../informer/contract.ts'
import type { ConsistentReads } from './consistent-reads.ts'
import { parseRevision, bookmarkObject, Selection, toBytes } from './selection.ts'

/** Milliseconds between bookmarks, for those who ask for them. */
const BOOKMARK_INTERVAL = 60_000

interface WatchItem {
  readonly revision: number
  readonly change?: Change
}

export class Watches {
  readonly #informer: Informer
  readonly #reads: ConsistentReads
  readonly #clock: Clock

  constructor(parts: { informer: Informer; reads: ConsistentReads; clock: Clock }) {
    this.#informer = parts.informer
    this.#reads = parts.reads
    this.#clock = parts.clock
  }

  /**
   * Events until the caller goes away. InvalidArgument; Expired when changes after the revision are no longer known:
   * list again.
   */
  async *watch(
    request: WatchRequest,
    call: Pick<CallContext, 'signal' | 'user'>,
  ): AsyncGenerator<Input<WatchEvent>, void, undefined> {
    const selection = Selection.of(request, call.user)
    const over = new AbortController()
    const signal = AbortSignal.any([call.signal, over.signal])
    try {
      const after =
        request.resourceVersion === ''
          ? await this.#newest()
          : await this.#before(parseRevision(request.resourceVersion))
      const present = request.resourceVersion === '' ? selection.of(this.#informer.lister(selection.kind)) : []
      // The changes are followed from this instant, however long the caller takes for what is there now.
      const changes = new PeekableIterator<WatchItem>(this.#informer.watch(selection.kind, after, signal))
      if (request.resourceVersion === '') {
        for (const cached of present) yield { type: 'ADDED', object: toBytes(cached) }
        yield { type: 'BOOKMARK', object: bookmarkObject(selection.kind, after) }
      }
      yield* this.#tell(selection, changes, after, request.bookmarks, signal)
    } finally {
      over.abort()
    }
  }

  async #newest(): Promise<number> {
    await this.#reads.current()
    return this.#informer.revision
  }

  /**
   * Where to go on for who knows a revision: before it, once the cache has it. A commit of several objects has one
   * revision, and the caller may have been told of some of them only. Expired for a revision that the store has not
   * reached: it knows another past than the caller.
   */
  async #before(revision: number): Promise<number> {
    if (revision > this.#informer.revision) await this.#reads.current()
    if (revision <= this.#informer.revision) return Math.max(0, revision - 1)
    throw new GantryError(
      'Expired',
      `revision ${revision} has not been reached: the newest is ${this.#informer.revision}`,
      {
        details: [
          { field: 'resourceVersion', value: String(revision), message: 'is of the future', remedy: 'list again' },
        ],
      },
    )
  }

  async *#tell(
    selection: Selection,
    changes: PeekableIterator<WatchItem>,
    after: number,
    bookmarks: boolean,
    signal: AbortSignal,
  ): AsyncGenerator<Input<WatchEvent>, void, undefined> {
    let known = after
    let due = bookmarks ? this.#due(signal) : undefined
    while (!signal.aborted) {
      const next = await (due === undefined ? changes.next() : Promise.race([changes.next(), due]))
      if (next === 'due') {
        if (signal.aborted) return
        yield { type: 'BOOKMARK', object: bookmarkObject(selection.kind, known) }
        due = this.#due(signal)
        continue
      }
      changes.advance()
      if (next.done === true) return
      known = next.value.revision
      const event = next.value.change === undefined ? undefined : eventOf(next.value.change, selection)
      if (event !== undefined) yield event
    }
  }

  /** Resolves when the next bookmark is due, or the watch is over. */
  #due(over: AbortSignal): Promise<'due'> {
    return delay(this.#clock, BOOKMARK_INTERVAL, over).then(
      () => 'due' as const,
      () => 'due' as const,
    )
  }
}

/** What a change is for a caller who sees only the objects of a selection. */
export function eventOf(change: Change, selection: Selection): Input<WatchEvent> | undefined {
  const { type, cached, previous, revision } = change
  const before = previous !== undefined && selection.matches(previous.object)
  if (type === 'deleted') {
    const last = selection.matches(cached.object) || before
    return last ? { type: 'DELETED', object: toBytes({ ...cached, revision }) } : undefined
  }
  const now = selection.matches(cached.object)
  if (now) return { type: before ? 'MODIFIED' : 'ADDED', object: toBytes({ ...cached, revision }) }
  // Its last state that the caller may see, at the revision of the change that took it away.
  return before ? { type: 'DELETED', object: toBytes({ ...previous, revision }) } : undefined
}

/** An iteration that is begun at once and whose next step may be waited for again and again until it is taken. */
class PeekableIterator<T> {
  readonly #iterator: AsyncIterator<T>
  #step: Promise<{ result: IteratorResult<T> } | { thrown: unknown }> | undefined

  constructor(iterable: AsyncIterable<T>) {
    this.#iterator = iterable[Symbol.asyncIterator]()
    void this.#begin()
  }

  async next(): Promise<IteratorResult<T>> {
    const step = await this.#begin()
    if ('thrown' in step) throw step.thrown
    return step.result
  }

  advance(): void {
    this.#step = undefined
  }

  /** Kept as a value, so that a failure nobody waits for yet is no unhandled rejection. */
  #begin(): Promise<{ result: IteratorResult<T> } | { thrown: unknown }> {
    return (this.#step ??= this.#iterator.next().then(
      (result) => ({ result }),
      (thrown: unknown) => ({ thrown }),
    ))
  }
}
