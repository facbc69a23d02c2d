/** What one watcher is to be told: first what is there, then each change. */
import { atResourceVersion } from '../../proto/codec/canonical.ts'
import { GantryError } from '../../proto/base/errors.ts'
import type { CachedObject, Change, Follower } from '../informer/contract.ts'
import { EventQueue, MAX_QUEUED_BYTES, MAX_QUEUED_EVENTS } from './event-queue.ts'
import type { Selection } from './selection.ts'
import type { ObjectEvent } from './watch-event.ts'

export class Watcher<T> implements Follower, AsyncIterableIterator<T> {
  readonly #selection: Selection
  readonly #encode: (event: ObjectEvent) => T
  /** Called once, when it is over. */
  released: () => void = () => undefined
  #present: Iterator<CachedObject> | undefined
  #marked: ObjectEvent | undefined
  readonly #queue = new EventQueue()
  #over = false
  /** The reader who waits for the next event. */
  #wake: ((result: IteratorResult<T> | Promise<IteratorResult<T>>) => void) | undefined

  /**
   * `encode` is called for each event as it is taken; what it throws is what the reader gets. `marked`: the event
   * behind what is there.
   */
  constructor(
    selection: Selection,
    encode: (event: ObjectEvent) => T,
    present: readonly CachedObject[],
    marked: ObjectEvent | undefined,
  ) {
    this.#selection = selection
    this.#encode = encode
    this.#present = present.length === 0 ? undefined : present[Symbol.iterator]()
    this.#marked = marked
  }

  get isOver(): boolean {
    return this.#over
  }

  change(change: Change): void {
    const event = eventOf(change, this.#selection)
    if (event !== undefined) this.push(event, change.cached.bytes.length)
  }

  push(event: ObjectEvent, bytes = 0): void {
    if (this.#over) return
    if (this.#wake !== undefined) return this.#resolve(this.#step(event))
    if (this.#queue.push(event, bytes)) return
    this.#forget()
    this.end(
      new GantryError(
        'Expired',
        `more than ${MAX_QUEUED_EVENTS} changes, or ${MAX_QUEUED_BYTES} bytes of them, waited to be read: list again, and read faster`,
      ),
    )
  }

  /** It ends behind what waits to be read, with the error as its last event. */
  end(error?: GantryError): void {
    if (this.#over) return
    if (error !== undefined && this.#wake !== undefined) this.#resolve(this.#step({ type: 'ERROR', error }))
    else if (error !== undefined) this.#queue.append({ type: 'ERROR', error })
    this.#finish()
  }

  /** It ends at once. */
  drop(): void {
    this.#forget()
    this.#finish()
  }

  next(): Promise<IteratorResult<T>> {
    const event = this.#take()
    if (event !== undefined) return Promise.resolve(this.#step(event))
    if (this.#over) return Promise.resolve({ done: true, value: undefined })
    return new Promise((resolve) => (this.#wake = resolve))
  }

  return(): Promise<IteratorResult<T>> {
    this.drop()
    return Promise.resolve({ done: true, value: undefined })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  #forget(): void {
    this.#queue.clear()
    this.#present = undefined
    this.#marked = undefined
  }

  #finish(): void {
    if (this.#over) return
    this.#over = true
    this.released()
    this.#resolve({ done: true, value: undefined })
  }

  #resolve(result: IteratorResult<T> | Promise<IteratorResult<T>>): void {
    const wake = this.#wake
    this.#wake = undefined
    wake?.(result)
  }

  /** What `encode` throws goes to the reader. */
  #step(event: ObjectEvent): IteratorResult<T> | Promise<IteratorResult<T>> {
    try {
      return { done: false, value: this.#encode(event) }
    } catch (thrown) {
      return Promise.reject(thrown as Error)
    }
  }

  #take(): ObjectEvent | undefined {
    if (this.#present !== undefined) {
      const { done, value } = this.#present.next()
      if (done !== true) return { type: 'ADDED', cached: value }
      this.#present = undefined
    }
    if (this.#marked !== undefined) {
      const marked = this.#marked
      this.#marked = undefined
      return marked
    }
    return this.#queue.take()
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
    const { revision } = change
    lastVisibleStates.set(change, (last = { object: atResourceVersion(object, String(revision)), bytes, revision }))
  }
  return last
}

/** What a change is for who sees only the objects of a selection. */
function eventOf(change: Change, selection: Selection): ObjectEvent | undefined {
  const { type, cached, previous } = change
  const before = previous !== undefined && selection.matches(previous.object)
  if (type === 'deleted') return before || selection.matches(cached.object) ? { type: 'DELETED', cached } : undefined
  if (selection.matches(cached.object)) return { type: before ? 'MODIFIED' : 'ADDED', cached }
  return before ? { type: 'DELETED', cached: lastVisibleState(change) } : undefined
}

/** Whether a watcher of the selection is told of the change. */
export function isVisible({ cached, previous }: Change, selection: Selection): boolean {
  return selection.matches(cached.object) || (previous !== undefined && selection.matches(previous.object))
}
