/**
 * The news in memory, for tests and simulation: one log that several controllers write and read, each by its own
 * MemoryNews. Nothing survives the process, and nothing is shared by reference.
 */
import { Channel } from '../../proto/base/channel.ts'
import type { Clock } from '../../proto/base/clock.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { randomUuid, type Random } from '../../proto/base/random.ts'
import { formatTime } from '../../proto/base/time.ts'
import { decodeResource, encodeResource } from '../../proto/codec/wire.ts'
import type { Event } from '../../proto/gen/types.ts'
import type { EventSink } from '../api/contract.ts'
import {
  isDeletion,
  type EventLog,
  type EventPublisher,
  type EventQuery,
  type NamedEvent,
  type NamedEventStore,
  type News,
} from './contract.ts'
import { EventCorrelator } from './correlator.ts'
import { hasTypeAndTime, LatestEvents } from './latest-events.ts'

/** Events that are kept; then the oldest make way. */
const MOST_KEPT = 10_000

interface Kept {
  /** 1 for the first that was ever published. */
  readonly place: number
  readonly bytes: Uint8Array
}

export class MemoryEventLog implements EventLog, NamedEventStore {
  readonly #clock: Clock
  #kept: Kept[] = []
  #last = 0
  readonly #followers = new Set<Channel<Kept>>()
  readonly #names = new Map<string, Kept>()
  #nameWrites = 0
  readonly available = true

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The event's place. */
  append(event: Event): number {
    const kept = { place: ++this.#last, bytes: encodeResource(event) }
    this.#kept.push(kept)
    if (this.#kept.length > MOST_KEPT) this.#kept.shift()
    for (const follower of this.#followers) follower.push(kept)
    return kept.place
  }

  list(query: EventQuery): Promise<{ events: Event[]; after: number }> {
    const latest = new LatestEvents()
    for (const kept of this.#kept) {
      const event = read(kept)
      if (means(query, event)) latest.take(event, kept.bytes.length)
    }
    return Promise.resolve({ events: latest.events(), after: this.#last })
  }

  async *read(query: EventQuery, follow: boolean, signal: AbortSignal): AsyncGenerator<Event, void, undefined> {
    const { events, after } = await this.list(query)
    yield* events
    if (follow) for await (const event of this.follow(query, after, signal)) if (!isDeletion(event)) yield event
  }

  async *follow(query: EventQuery, after: number, signal: AbortSignal): AsyncGenerator<Event, void, undefined> {
    const first = this.#kept[0]?.place ?? this.#last + 1
    if (after > this.#last || after + 1 < first)
      throw new GantryError('Expired', `the events behind ${after} are not known`)
    const channel = new Channel<Kept>()
    for (const kept of this.#kept) if (kept.place > after) channel.push(kept)
    this.#followers.add(channel)
    const end = (): void => channel.close()
    signal.addEventListener('abort', end, { once: true })
    if (signal.aborted) end()
    try {
      for await (const kept of channel) {
        const event = read(kept)
        if (means(query, event)) yield event
      }
    } finally {
      signal.removeEventListener('abort', end)
      this.#followers.delete(channel)
    }
  }

  find(namespace: string, name: string): Promise<NamedEvent> {
    const kept = this.#names.get(`${namespace}/${name}`)
    const event = kept && decodeResource('Event', kept.bytes, '')
    return Promise.resolve({
      event: event === undefined || isDeletion(event) ? undefined : event,
      revision: kept?.place ?? 0,
    })
  }

  put(event: Event, revision: number): Promise<number | undefined> {
    const { namespace, name } = event.metadata
    const key = `${namespace}/${name}`
    if ((this.#names.get(key)?.place ?? 0) !== revision) return Promise.resolve(undefined)
    this.#names.set(key, { place: ++this.#nameWrites, bytes: encodeResource(event) })
    return Promise.resolve(this.append(event))
  }

  async endNamespace(namespace: string): Promise<void> {
    const { events, after } = await this.list({ namespace })
    const deletionTimestamp = formatTime(this.#clock.now())
    for (const event of events) this.append({ ...event, metadata: { ...event.metadata, deletionTimestamp } })
    this.#kept = this.#kept.filter((kept) => kept.place > after || !means({ namespace }, read(kept)))
    for (const key of [...this.#names.keys()]) if (key.startsWith(`${namespace}/`)) this.#names.delete(key)
  }
}

/** One controller's way to the log. Changes of objects are told to nobody. */
export class MemoryNews implements News {
  readonly recorder: EventPublisher
  readonly events: EventLog
  readonly named: NamedEventStore

  constructor(log: MemoryEventLog, parts: { readonly clock: Clock; readonly random: Random }) {
    const correlator = new EventCorrelator(parts)
    this.events = this.named = log
    this.recorder = {
      record: (record: Parameters<EventSink['record']>[0]) => void log.append(correlator.take(record)),
      publish: ({ metadata, ...event }) =>
        void log.append({ ...event, metadata: { ...metadata, uid: metadata.uid || randomUuid(parts.random) } }),
    }
  }

  async publishChanges(_informer: unknown, signal: AbortSignal): Promise<void> {
    if (!signal.aborted)
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
  }
}

function read({ place, bytes }: Kept): Event {
  return decodeResource('Event', bytes, String(place))
}

function means(query: EventQuery, event: Event): boolean {
  const { namespace = '', kind = '', name = '' } = query
  return (
    (namespace === '' || event.metadata.namespace === namespace) &&
    (kind === '' || event.involvedObject?.kind === kind) &&
    (name === '' || event.involvedObject?.name === name) &&
    hasTypeAndTime(event, query)
  )
}
