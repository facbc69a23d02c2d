/**
 * The watch engine: those who watch, by whichever face. A watcher that waits costs an entry in the history's set of
 * followers, a timer, and a promise that nobody resolves: there may be thousands. One that does not read keeps
 * references to objects that the cache has, or had; beyond a limit it gets Expired and lists again.
 */
import type { Clock, Timer } from '../../proto/base/clock.ts'
import type { Change, Informer } from '../informer/contract.ts'
import type { Selection } from './selection.ts'
import type { ObjectEvent, WatchOptions } from './watch-event.ts'
import { isVisible, Watcher } from './watcher.ts'

/** Milliseconds between bookmarks, for those who ask for them. */
const BOOKMARK_INTERVAL_MS = 60_000

export interface WatchParts {
  readonly informer: Informer
  readonly clock: Clock
}

/** A watcher under way, however its face encodes what it is told. */
type AnyWatcher = Pick<Watcher<unknown>, 'push'>

export class Watches {
  readonly #parts: WatchParts
  readonly #bookmarked = new Set<AnyWatcher>()
  #next: Timer | undefined

  constructor(parts: WatchParts) {
    this.#parts = parts
  }

  /**
   * Events until the signal is aborted or the time is over, each as `encode` makes it when it is taken. The cache must
   * have reached the revision asked for. `ended` is called once, when it is over. Expired.
   */
  begin<T>(
    { selection, freshness, bookmarks, initial, timeout }: WatchOptions,
    signal: AbortSignal,
    encode: (event: ObjectEvent) => T,
    ended: () => void = () => undefined,
  ): AsyncIterableIterator<T> {
    const { informer, clock } = this.#parts
    const present = initial === 'none' ? [] : selection.of(informer.lister(selection.kind))
    const after =
      initial === 'none' && 'revision' in freshness ? this.#begun(selection, freshness.revision) : informer.revision
    const watcher = new Watcher(
      selection,
      encode,
      present,
      initial === 'marked' ? { type: 'BOOKMARK', revision: informer.revision, initial: true } : undefined,
    )
    const unfollow = informer.follow(selection.kind, after, watcher)
    const timer =
      timeout === undefined
        ? undefined
        : clock.after(timeout * 1000, () => {
            if (bookmarks) watcher.push({ type: 'BOOKMARK', revision: informer.revision, initial: false })
            watcher.end()
          })
    const aborted = (): void => watcher.drop()
    watcher.released = () => {
      unfollow()
      timer?.cancel()
      this.#bookmarked.delete(watcher)
      signal.removeEventListener('abort', aborted)
      ended()
    }
    signal.addEventListener('abort', aborted, { once: true })
    if (signal.aborted) watcher.drop()
    if (watcher.isOver) watcher.released() // it was before anything could be released
    else if (bookmarks) this.#bookmark(watcher)
    return watcher
  }

  /**
   * After which revision to go on for who knows one. Many writes can be one commit, and so have one revision: who has
   * it from an object may have been told of some of them only. Then all of the commit is told again, which changes
   * nothing for who knows it.
   */
  #begun(selection: Selection, revision: number): number {
    if (revision === 0) return 0
    let told = 0
    const count = (change: Change): void =>
      void (change.revision === revision && isVisible(change, selection) && told++)
    this.#parts.informer.follow(selection.kind, revision - 1, { change: count, end: () => undefined })()
    return told > 1 ? revision - 1 : revision
  }

  #bookmark(watcher: AnyWatcher): void {
    this.#bookmarked.add(watcher)
    this.#next ??= this.#parts.clock.after(BOOKMARK_INTERVAL_MS, () => {
      this.#next = undefined
      // One event for all: what a face makes of it is made once for each form.
      const event: ObjectEvent = { type: 'BOOKMARK', revision: this.#parts.informer.revision, initial: false }
      for (const each of [...this.#bookmarked]) {
        each.push(event)
        if (this.#bookmarked.has(each)) this.#bookmark(each)
      }
    })
  }
}
