/**
 * Pods that wait for a node.
 *
 *   add ──▶ active ──take──▶ placing ──▶ done
 *             ▲                 │ park: no node fits          │ retry: the bind failed
 *             ├── wake ◀── parked (until an event that helps) ┤
 *             └── delay over ◀── backing off ◀────────────────┘
 */
import { backoffDelay, type BackoffOptions } from '../../proto/base/backoff.ts'
import type { Clock, Timer } from '../../proto/base/clock.ts'
import type { Random } from '../../proto/base/random.ts'
import type { ClusterEvent } from './framework.ts'

const BACKOFF: BackoffOptions = { first: 50, max: 10_000 }

type State =
  | { readonly is: 'active' }
  /** Taken, and being placed or bound. */
  | { readonly is: 'placing' }
  /**
   * Until an event of `helpedBy`; not before its delay is over, so that events that come in crowds are answered once.
   */
  | { readonly is: 'parked'; readonly helpedBy: ReadonlySet<ClusterEvent>; readonly notBefore: number }
  | { readonly is: 'backing-off'; readonly timer: Timer }

interface Item {
  readonly key: string
  priority: number
  /** When the pod was made: RFC 3339. */
  created: string
  failures: number
  state: State
  /** Order of arrival, for pods of the same age. */
  readonly sequence: number
}

export class SchedulingQueue {
  readonly #clock: Clock
  readonly #random: Random
  readonly #items = new Map<string, Item>()
  #active: Item[] = []
  readonly #parked = new Set<Item>()
  #inOrder = true
  #sequence = 0
  #wakeTaker: (() => void) | undefined

  constructor(clock: Clock, random: Random) {
    this.#clock = clock
    this.#random = random
  }

  /** Pods that can be taken. */
  get length(): number {
    return this.#active.length
  }

  /**
   * A pod that is new, or has changed in a way that matters: it is tried at once, without regard to earlier failures.
   */
  add(key: string, priority: number, created: string): void {
    let item = this.#items.get(key)
    if (item === undefined) {
      item = { key, priority, created, failures: 0, state: { is: 'placing' }, sequence: this.#sequence++ }
      this.#items.set(key, item)
    } else if (item.state.is === 'placing') return
    item.priority = priority
    item.created = created
    item.failures = 0
    this.#activate(item)
  }

  /** At most `limit` pods: higher priority first, then the older. */
  take(limit: number): string[] {
    if (!this.#inOrder) this.#active.sort(compare)
    this.#inOrder = true
    const taken = this.#active.slice(0, limit)
    this.#active = this.#active.slice(limit)
    for (const item of taken) item.state = { is: 'placing' }
    return taken.map(({ key }) => key)
  }

  /** A pod taken that no node fits. */
  addUnschedulable(key: string, helpedBy: ReadonlySet<ClusterEvent>): void {
    const item = this.#items.get(key)
    if (item === undefined) return
    this.#leave(item)
    item.failures++
    this.#parked.add(item)
    item.state = {
      is: 'parked',
      helpedBy,
      notBefore: this.#clock.monotonic() + backoffDelay(BACKOFF, item.failures, this.#random),
    }
  }

  /** A pod taken whose bind failed: again, later. */
  retry(key: string): void {
    const item = this.#items.get(key)
    if (item === undefined) return
    this.#leave(item)
    this.#backOff(item, backoffDelay(BACKOFF, ++item.failures, this.#random))
  }

  /** Something happened: those whom it can help are tried again. */
  moveToActive(event: ClusterEvent): void {
    const now = this.#clock.monotonic()
    for (const item of [...this.#parked]) {
      if (item.state.is !== 'parked' || !item.state.helpedBy.has(event)) continue
      const wait = item.state.notBefore - now
      if (wait <= 0) this.#activate(item)
      else {
        this.#leave(item)
        this.#backOff(item, wait)
      }
    }
  }

  /** A pod that waits no more: bound, or gone. */
  remove(key: string): void {
    const item = this.#items.get(key)
    if (item === undefined) return
    this.#leave(item)
    this.#items.delete(key)
  }

  /** Where a pod stands; undefined if it does not wait. */
  state(key: string): State['is'] | undefined {
    return this.#items.get(key)?.state.is
  }

  /** Resolves once there is something to take, or the signal is aborted. */
  async ready(signal: AbortSignal): Promise<void> {
    if (this.#active.length > 0 || signal.aborted) return
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        this.#wakeTaker = undefined
        signal.removeEventListener('abort', wake)
        resolve()
      }
      this.#wakeTaker = wake
      signal.addEventListener('abort', wake, { once: true })
    })
  }

  /** Forgets all, and every timer. */
  close(): void {
    for (const key of [...this.#items.keys()]) this.remove(key)
  }

  #activate(item: Item): void {
    this.#leave(item)
    item.state = { is: 'active' }
    const last = this.#active.at(-1)
    if (last !== undefined && compare(last, item) > 0) this.#inOrder = false
    this.#active.push(item)
    this.#wakeTaker?.()
  }

  #backOff(item: Item, millis: number): void {
    item.state = { is: 'backing-off', timer: this.#clock.after(millis, () => this.#activate(item)) }
  }

  /** Releases what the state holds. */
  #leave(item: Item): void {
    switch (item.state.is) {
      case 'active':
        this.#active = this.#active.filter((other) => other !== item)
        return
      case 'backing-off':
        item.state.timer.cancel()
        return
      case 'parked':
        this.#parked.delete(item)
        return
      case 'placing':
    }
  }
}

function compare(one: Item, other: Item): number {
  if (one.priority !== other.priority) return other.priority - one.priority
  if (one.created !== other.created) return one.created < other.created ? -1 : 1
  return one.sequence - other.sequence
}
