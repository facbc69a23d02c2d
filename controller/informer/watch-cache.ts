/** The recent changes of one kind, and those who follow them. */
import { GantryError } from '../../proto/base/errors.ts'
import { Channel } from '../../proto/base/channel.ts'
import type { Kind } from '../../proto/gen/types.ts'
import type { Change, Follower } from './contract.ts'

/** At least this many changes stay, unless they are large; twice as many are kept at most. */
export const HISTORY_LENGTH = 1000
/**
 * Bytes of the states that are kept, as they are stored: an object of a megabyte that is written over and over must not
 * fill the memory. Half as many stay at least.
 */
export const HISTORY_BYTES = 32 * 1024 * 1024
/**
 * A follower that is this many changes behind is told to list again: whoever cannot keep up must not keep all changes
 * in memory.
 */
export const FOLLOWER_LIMIT = 10_000
/** Milliseconds after which a follower whose kind does not change is told how far the cache is. */
const PROGRESS_INTERVAL_MS = 1000

interface WatchCacheItem<K extends Kind> {
  readonly revision: number
  readonly change?: Change<K>
}

interface Iteration<K extends Kind> {
  readonly items: Channel<WatchCacheItem<K>>
  /** Monotonic milliseconds of the last item. */
  lastSentAt: number
}

export class WatchCache<K extends Kind> {
  readonly #iterations = new Set<Iteration<K>>()
  readonly #followers = new Set<Follower<K>>()
  readonly #fellBehind: () => void
  #changes: Change<K>[] = []
  #bytes = 0
  /** Every change with a greater revision is here; undefined before the first complete list. */
  #after: number | undefined
  /** Of the states before this revision some were never seen. */
  #seen = 0

  /** `fellBehind` is told of each follower that was too slow. */
  constructor(fellBehind: () => void) {
    this.#fellBehind = fellBehind
  }

  /** `changes` are all those after this revision: the cache has its first complete list, or begins anew. */
  begin(after: number, changes: Change<K>[]): void {
    this.#after = after
    this.#changes = changes
    this.#bytes = changes.reduce((sum, change) => sum + sizeOf(change), 0)
  }

  /**
   * The cache listed again, and is at this revision: of an object that changed several times since the last one only
   * the newest change is here.
   */
  markGap(until: number): void {
    this.#seen = until
  }

  add(change: Change<K>, monotonic: number): void {
    if (this.#after === undefined) return
    // Between two commits only: of the newest one nothing is left out, so that who has just listed can always go on.
    if (
      (this.#changes.length > 2 * HISTORY_LENGTH || this.#bytes > HISTORY_BYTES) &&
      change.revision > this.#changes.at(-1)!.revision
    )
      this.#forget()
    this.#changes.push(change)
    this.#bytes += sizeOf(change)
    for (const iteration of this.#iterations) this.#tell(iteration, { revision: change.revision, change }, monotonic)
    for (const follower of this.#followers) follower.change(change)
  }

  /** The oldest changes. */
  #forget(): void {
    let from = Math.max(0, this.#changes.length - HISTORY_LENGTH)
    let left = this.#changes.slice(from).reduce((sum, change) => sum + sizeOf(change), 0)
    for (; left > HISTORY_BYTES / 2; from++) left -= sizeOf(this.#changes[from]!)
    this.#after = this.#changes[from - 1]?.revision ?? this.#after
    this.#changes = this.#changes.slice(from)
    this.#bytes = left
  }

  /** The cache is at a revision: those who have heard nothing for long are told. */
  progress(revision: number, monotonic: number): void {
    for (const iteration of this.#iterations) {
      // Who has something to read yet does not need to hear that nothing is new.
      if (monotonic - iteration.lastSentAt < PROGRESS_INTERVAL_MS || iteration.items.length > 0) continue
      this.#tell(iteration, { revision }, monotonic)
    }
  }

  /**
   * The changes after a revision, the progress up to `reached`, then what comes. Expired if the history does not reach
   * back that far, or once more than FOLLOWER_LIMIT changes wait to be taken.
   */
  async *iterate(
    after: number,
    reached: number,
    monotonic: number,
    signal: AbortSignal,
  ): AsyncGenerator<WatchCacheItem<K>, void, undefined> {
    if (signal.aborted) return
    const changes = this.since(after)
    const iteration: Iteration<K> = { items: new Channel(), lastSentAt: monotonic }
    let told = Math.max(after, reached)
    for (const change of changes) {
      iteration.items.push({ revision: change.revision, change })
      told = Math.max(told, change.revision)
    }
    iteration.items.push({ revision: told })
    this.#iterations.add(iteration)
    const end = (): void => iteration.items.close()
    signal.addEventListener('abort', end, { once: true })
    try {
      for await (const item of iteration.items) {
        if (signal.aborted) return
        yield item
      }
    } finally {
      signal.removeEventListener('abort', end)
      this.#iterations.delete(iteration)
    }
  }

  /** The changes after a revision, in order. Expired if the history does not reach back that far. */
  since(after: number): readonly Change<K>[] {
    if (this.#after === undefined) throw new GantryError('Unavailable', 'the cache has no complete list yet')
    if (after < this.#after)
      throw new GantryError(
        'Expired',
        `changes after revision ${after} are no longer kept, only those after ${this.#after}`,
      )
    return this.#changes.slice(firstAfter(this.#changes, after))
  }

  /** As `since`, but only if every state that there was after the revision is among them; undefined if not. */
  complete(after: number): readonly Change<K>[] | undefined {
    return this.#after === undefined || after < this.#after || after < this.#seen ? undefined : this.since(after)
  }

  /** Calls for each change after a revision, from now on as they come. Returns the call that ends it. */
  follow(after: number, follower: Follower<K>): () => void {
    for (const change of this.since(after)) follower.change(change)
    this.#followers.add(follower)
    return () => void this.#followers.delete(follower)
  }

  /** Ends everybody, and knows of nothing up to a revision any more: who comes back lists again. */
  restart(after: number, error: GantryError): void {
    this.close(error)
    this.#iterations.clear()
    this.begin(after, this.#changes.slice(firstAfter(this.#changes, after)))
  }

  /** Ends everybody: with an error when the cache follows the store no more. */
  close(error?: GantryError): void {
    for (const { items } of this.#iterations) items.close(error)
    for (const follower of this.#followers) follower.end(error)
    this.#followers.clear()
  }

  #tell(iteration: Iteration<K>, item: WatchCacheItem<K>, monotonic: number): void {
    iteration.lastSentAt = monotonic
    iteration.items.push(item)
    if (iteration.items.length <= FOLLOWER_LIMIT) return
    this.#iterations.delete(iteration)
    iteration.items.fail(
      new GantryError('Expired', `more than ${FOLLOWER_LIMIT} changes waited to be read`, {
        details: [{ remedy: 'list again, and read faster' }],
      }),
    )
    this.#fellBehind()
  }
}

function sizeOf({ cached }: Change): number {
  return cached.bytes.length
}

/** The place of the first change after a revision. */
function firstAfter(changes: readonly { readonly revision: number }[], revision: number): number {
  let [from, to] = [0, changes.length]
  while (from < to) {
    const middle = (from + to) >>> 1
    if (changes[middle]!.revision <= revision) from = middle + 1
    else to = middle
  }
  return from
}
