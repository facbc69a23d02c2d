/** What a look back at the events shows: each that is meant, once, in its latest state. */
import { parseTime } from '../../proto/base/time.ts'
import type { Event } from '../../proto/gen/types.ts'
import { isDeletion, type EventQuery } from './contract.ts'

/** Distinct events that one look back shows at most: the newest of them. */
const MAX_LISTED_EVENTS = 10_000
/** Bytes of them together, at most: many may look back at the same time. */
const LOOK_BACK_BYTES = 16 * 1024 * 1024

/** Events by uid in their latest state, the newest of them. */
export class LatestEvents {
  readonly #events = new Map<string, { readonly event: Event; readonly bytes: number }>()
  #bytes = 0

  take(event: Event, bytes: number): void {
    this.#drop(event.metadata.uid)
    if (isDeletion(event)) return
    this.#events.set(event.metadata.uid, { event, bytes })
    this.#bytes += bytes
    while (this.#events.size > MAX_LISTED_EVENTS || this.#bytes > LOOK_BACK_BYTES)
      this.#drop(this.#events.keys().next().value!)
  }

  events(): Event[] {
    return Array.from(this.#events.values(), ({ event }) => event)
  }

  #drop(uid: string): void {
    this.#bytes -= this.#events.get(uid)?.bytes ?? 0
    this.#events.delete(uid)
  }
}

/** Whether the query means an event as far as its type and its time are concerned. */
export function hasTypeAndTime({ type, lastTimestamp }: Event, query: EventQuery): boolean {
  if (query.type !== undefined && query.type !== '' && type !== query.type) return false
  // Times of events are whole seconds.
  const since = query.since === undefined ? undefined : Math.floor(query.since / 1000) * 1000
  return since === undefined || lastTimestamp === undefined || parseTime(lastTimestamp) >= since
}
