/**
 * Those who watch. A watcher that waits costs an entry in the history's set of followers, a timer, and a promise that
 * nobody resolves: there may be thousands. One that does not read keeps references to objects that the cache has, or
 * had; beyond a limit it gets Expired and lists again.
 */
import { GantryError } from '../../../proto/base/errors.ts'
import { apiVersionOf } from '../../../proto/schema/schema.ts'
import type { Clock, Timer } from '../../../proto/base/clock.ts'
import type { Random } from '../../../proto/base/random.ts'
import type { AnyResource } from '../../../proto/gen/types.ts'
import type { Selection } from '../../api/selection.ts'
import type { CachedObject, Change, Follower, Informer } from '../../informer/contract.ts'
import type { ServedResource, WatchFrame } from '../contract.ts'
import { encodableCached, encodableMessage, encodableResource } from '../encodable-object.ts'
import { statusOf } from '../status.ts'
import type { WatchOptions } from './list-options.ts'
import { MAX_QUEUED_BYTES, MAX_QUEUED_FRAMES, FrameQueue } from './frame-queue.ts'

/** Milliseconds between bookmarks, for those who ask for them. */
const BOOKMARK_INTERVAL = 60_000
/** Seconds of a watch whose client does not say: between this and twice as much, so that not all come again at once. */
const TIMEOUT = 1_800

export interface WatcherParts {
  readonly informer: Informer
  readonly clock: Clock
  readonly random: Random
}

export class Watchers {
  readonly #parts: WatcherParts
  readonly #bookmarked = new Set<Watcher>()
  #next: Timer | undefined

  constructor(parts: WatcherParts) {
    this.#parts = parts
  }

  /**
   * Frames until the signal is aborted or the time is over, objects as `served` shows them. The cache must have reached
   * the revision asked for. Expired.
   */
  begin(
    served: ServedResource,
    { selection, freshness, bookmarks, initial, timeout = TIMEOUT * (1 + this.#parts.random.next()) }: WatchOptions,
    signal: AbortSignal,
  ): AsyncIterableIterator<WatchFrame> {
    const { informer, clock } = this.#parts
    const present = initial === 'none' ? [] : selection.of(informer.lister(selection.kind))
    const after =
      initial === 'none' && 'revision' in freshness ? this.#begun(selection, freshness.revision) : informer.revision
    const watcher = new Watcher(
      served,
      selection,
      present,
      initial === 'marked' ? bookmark(served, informer.revision, { 'k8s.io/initial-events-end': 'true' }) : undefined,
    )
    const unfollow = informer.follow(selection.kind, after, watcher)
    const timer = clock.after(timeout * 1000, () => {
      if (bookmarks) watcher.push(bookmark(served, informer.revision))
      watcher.end()
    })
    const aborted = (): void => watcher.drop()
    watcher.released = () => {
      unfollow()
      timer.cancel()
      this.#bookmarked.delete(watcher)
      signal.removeEventListener('abort', aborted)
    }
    signal.addEventListener('abort', aborted, { once: true })
    if (signal.aborted) watcher.drop()
    if (watcher.isOver)
      watcher.released() // it was before anything could be released
    else if (bookmarks) this.#bookmark(watcher)
    return watcher
  }

  /**
   * After which revision to go on for who knows one. Many writes can be one commit, and so have one revision: who has
   * it from an object may have been told of some of them only. Then all of the commit is told again, which changes
   * nothing for who knows it.
   */
  #begun(selection: Selection, revision: number): number {
    let told = 0
    const count = (change: Change): void =>
      void (change.revision === revision && isVisible(change, selection) && told++)
    this.#parts.informer.follow(selection.kind, revision - 1, { change: count, end: () => undefined })()
    return told > 1 ? revision - 1 : revision
  }

  #bookmark(watcher: Watcher): void {
    this.#bookmarked.add(watcher)
    this.#next ??= this.#parts.clock.after(BOOKMARK_INTERVAL, () => {
      this.#next = undefined
      const made = new Map<ServedResource, WatchFrame>()
      for (const each of this.#bookmarked) {
        let frame = made.get(each.served)
        if (frame === undefined) made.set(each.served, (frame = bookmark(each.served, this.#parts.informer.revision)))
        each.push(frame)
        this.#bookmark(each)
      }
    })
  }
}

/** What one watcher is to be told: first what is there, then each change. */
class Watcher implements Follower, AsyncIterableIterator<WatchFrame> {
  readonly served: ServedResource
  readonly #selection: Selection
  /** Called once, when it is over. */
  released: () => void = () => undefined
  #present: Iterator<CachedObject> | undefined
  #marked: WatchFrame | undefined
  readonly #waiting = new FrameQueue()
  #over = false
  #wake: ((result: IteratorResult<WatchFrame>) => void) | undefined

  /** `marked`: the frame behind what is there. */
  constructor(
    served: ServedResource,
    selection: Selection,
    present: readonly CachedObject[],
    marked: WatchFrame | undefined,
  ) {
    this.served = served
    this.#selection = selection
    this.#present = present.length === 0 ? undefined : present[Symbol.iterator]()
    this.#marked = marked
  }

  get isOver(): boolean {
    return this.#over
  }

  change(change: Change): void {
    const frame = frameOf(change, this.#selection, this.served)
    if (frame !== undefined) this.push(frame, change.cached.bytes.length)
  }

  push(frame: WatchFrame, bytes = 0): void {
    if (this.#over) return
    if (this.#wake !== undefined) return this.#resolve({ done: false, value: frame })
    if (this.#waiting.push(frame, bytes)) return
    this.#forget()
    this.end(
      new GantryError(
        'Expired',
        `more than ${MAX_QUEUED_FRAMES} changes, or ${MAX_QUEUED_BYTES} bytes of them, waited to be read: list again, and read faster`,
      ),
    )
  }

  /** It ends behind what waits to be read, with the error as its last frame. */
  end(error?: GantryError): void {
    if (this.#over) return
    if (error !== undefined && this.#wake !== undefined) this.#resolve({ done: false, value: failure(error) })
    else if (error !== undefined) this.#waiting.append(failure(error))
    this.#finish()
  }

  /** It ends at once. */
  drop(): void {
    this.#forget()
    this.#finish()
  }

  #forget(): void {
    this.#waiting.clear()
    this.#present = undefined
    this.#marked = undefined
  }

  #finish(): void {
    if (this.#over) return
    this.#over = true
    this.released()
    this.#resolve({ done: true, value: undefined })
  }

  #resolve(result: IteratorResult<WatchFrame>): void {
    const wake = this.#wake
    this.#wake = undefined
    wake?.(result)
  }

  next(): Promise<IteratorResult<WatchFrame>> {
    const frame = this.#take()
    if (frame !== undefined) return Promise.resolve({ done: false, value: frame })
    if (this.#over) return Promise.resolve({ done: true, value: undefined })
    return new Promise((resolve) => (this.#wake = resolve))
  }

  return(): Promise<IteratorResult<WatchFrame>> {
    this.drop()
    return Promise.resolve({ done: true, value: undefined })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  #take(): WatchFrame | undefined {
    if (this.#present !== undefined) {
      const { done, value } = this.#present.next()
      if (done !== true) return { type: 'ADDED', object: encodableCached(value, this.served) }
      this.#present = undefined
    }
    if (this.#marked !== undefined) {
      const marked = this.#marked
      this.#marked = undefined
      return marked
    }
    return this.#waiting.take()
  }
}

/**
 * The last state that those may see who see an object no more, at the revision of the change that took it away from
 * them. Made once for all.
 */
const lastVisibleStates = new WeakMap<Change, CachedObject>()

function lastVisibleState(change: Change): CachedObject {
  let last = lastVisibleStates.get(change)
  if (last === undefined) {
    const { object, bytes } = change.previous!
    const metadata = { ...object.metadata, resourceVersion: String(change.revision) }
    lastVisibleStates.set(
      change,
      (last = { object: { ...object, metadata } as AnyResource, bytes, revision: change.revision }),
    )
  }
  return last
}

/** What a change is for who sees only the objects of a selection. */
function frameOf(change: Change, selection: Selection, served: ServedResource): WatchFrame | undefined {
  const { type, cached, previous } = change
  const before = previous !== undefined && selection.matches(previous.object)
  if (type === 'deleted')
    return before || selection.matches(cached.object)
      ? { type: 'DELETED', object: encodableCached(cached, served) }
      : undefined
  if (selection.matches(cached.object))
    return { type: before ? 'MODIFIED' : 'ADDED', object: encodableCached(cached, served) }
  return before ? { type: 'DELETED', object: encodableCached(lastVisibleState(change), served) } : undefined
}

function isVisible({ cached, previous }: Change, selection: Selection): boolean {
  return selection.matches(cached.object) || (previous !== undefined && selection.matches(previous.object))
}

/** An object that says nothing but how far the watch is. */
function bookmark(served: ServedResource, revision: number, annotations?: Record<string, string>): WatchFrame {
  const object = {
    apiVersion: apiVersionOf(served),
    kind: served.stored!,
    metadata: { name: '', namespace: '', uid: '', resourceVersion: String(revision), annotations },
  } as AnyResource
  return { type: 'BOOKMARK', object: encodableResource(object, served) }
}

function failure(error: GantryError): WatchFrame {
  const { body } = statusOf(error)
  return { type: 'ERROR', object: encodableMessage('Status', body) }
}
