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
  /** In the order in which they are taken, if `#inOrder`. Those that are not active any more are passed over. */
  #active: Item[] = []
  #length = 0
  /** By each event that may help them. */
  readonly #parked = new Map<ClusterEvent, Set<Item>>()
  #inOrder = true
  #sequence = 0
  #wakeTaker: (() => void) | undefined

  constructor(clock: Clock, random: Random) {
    this.#clock = clock
    this.#random = random
  }

  /** Pods that can be taken. */
  get length(): number {
    return this.#length
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
    item.failures = 0
    if (item.state.is === 'active') {
      if (item.priority === priority && item.created === created) return
      // It stands where it does not belong any more.
      this.#inOrder = false
    }
    item.priority = priority
    item.created = created
    this.#activate(item)
  }

  /** At most `limit` pods: higher priority first, then the older. */
  take(limit: number): string[] {
    if (!this.#inOrder) this.#active.sort(compare)
    this.#inOrder = true
    const taken: string[] = []
    let looked = 0
    for (; looked < this.#active.length && taken.length < limit; looked++) {
      const item = this.#active[looked]!
      if (item.state.is !== 'active') continue
      this.#leave(item)
      item.state = { is: 'placing' }
      taken.push(item.key)
    }
    this.#active.splice(0, looked)
    return taken
  }

  /** A pod taken that no node fits. */
  addUnschedulable(key: string, helpedBy: ReadonlySet<ClusterEvent>): void {
    const item = this.#items.get(key)
    if (item === undefined) return
    this.#leave(item)
    item.failures++
    for (const event of helpedBy) {
      const helped = this.#parked.get(event)
      if (helped === undefined) this.#parked.set(event, new Set([item]))
      else helped.add(item)
    }
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
    for (const item of [...(this.#parked.get(event) ?? [])]) {
      if (item.state.is !== 'parked') continue
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
    item.state = { is: 'placing' }
    this.#items.delete(key)
  }

  /** Where a pod stands; undefined if it does not wait. */
  state(key: string): State['is'] | undefined {
    return this.#items.get(key)?.state.is
  }

  /** Resolves once there is something to take, or the signal is aborted. */
  async ready(signal: AbortSignal): Promise<void> {
    if (this.#length > 0 || signal.aborted) return
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
    this.#length++
    this.#wakeTaker?.()
  }

  #backOff(item: Item, millis: number): void {
    item.state = { is: 'backing-off', timer: this.#clock.after(millis, () => this.#activate(item)) }
  }

  /** Releases what the state holds. */
  #leave(item: Item): void {
    switch (item.state.is) {
      case 'active':
        this.#length--
        return
      case 'backing-off':
        item.state.timer.cancel()
        return
      case 'parked':
        for (const event of item.state.helpedBy) this.#parked.get(event)?.delete(item)
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
