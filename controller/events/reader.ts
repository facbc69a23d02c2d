/** Reads the event stream: what it keeps, oldest first, and what comes. */
import { AckPolicy, DeliverPolicy, type Consumer, type JsMsg } from 'nats'
import { GantryError } from '../../proto/base/errors.ts'
import { decodeResource } from '../../proto/codec/wire.ts'
import { backoffDelay, type BackoffOptions } from '../../proto/base/backoff.ts'
import { delay, type Clock } from '../../proto/base/clock.ts'
import type { Logger } from '../../proto/base/logger.ts'
import type { Random } from '../../proto/base/random.ts'
import type { Event } from '../../proto/gen/types.ts'
import type { NatsClient, NatsSession } from './nats-client.ts'
import { isDeletion, type EventLog, type EventQuery } from './contract.ts'
import { hasTypeAndTime, LatestEvents } from './latest-events.ts'
import { ensureEventStream } from './stream.ts'
import { EVENT_STREAM, eventFilter } from './subjects.ts'

/** Milliseconds to wait for NATS before a look back fails with Unavailable. */
const CONNECT_TIMEOUT_MS = 3_000
const RETRY: BackoffOptions = { first: 100, max: 2_000 }

export interface EventReaderOptions {
  readonly connection: NatsClient
  /** As for EventRecorder. */
  readonly servers?: number
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

export class EventReader implements EventLog {
  readonly #options: EventReaderOptions

  constructor(options: EventReaderOptions) {
    this.#options = options
  }

  /**
   * The events kept, each once in its latest state, in the order they were last seen. Unavailable while NATS is down.
   */
  async find(query: EventQuery, signal: AbortSignal): Promise<Event[]> {
    const found: Event[] = []
    for await (const event of this.read(query, false, signal)) found.push(event)
    return found
  }

  async list(query: EventQuery, signal: AbortSignal): Promise<{ events: Event[]; after: number }> {
    const session = await this.#options.connection.session(signal, CONNECT_TIMEOUT_MS)
    const position = { after: 0 }
    try {
      const events = await this.#lookBack(session, query, position)
      return { events, after: position.after }
    } catch (thrown) {
      throw GantryError.from(thrown, 'Unavailable')
    }
  }

  async *read(query: EventQuery, follow: boolean, signal: AbortSignal): AsyncGenerator<Event, void, undefined> {
    for await (const event of this.#read(query, follow, signal, { after: 0 }, false))
      if (!isDeletion(event)) yield event
  }

  async *follow(query: EventQuery, after: number, signal: AbortSignal): AsyncGenerator<Event, void, undefined> {
    const session = await this.#options.connection.session(signal, CONNECT_TIMEOUT_MS)
    await this.#requireHeld(session, after)
    yield* this.#read(query, true, signal, { after }, true)
  }

  async #requireHeld(session: NatsSession, after: number): Promise<void> {
    await ensureEventStream(session, this.#options.servers ?? 1)
    const { streams } = await session.nats.jetstreamManager({ checkAPI: false, timeout: CONNECT_TIMEOUT_MS })
    const {
      state: { first_seq: first, last_seq: last },
    } = await streams.info(EVENT_STREAM)
    if (after <= last && after + 1 >= first) return
    throw new GantryError(
      'Expired',
      `the events behind ${after} are not known: those from ${first} to ${last} are kept`,
      {
        details: [
          { field: 'resourceVersion', value: String(after), message: 'is not in what is kept', remedy: 'list again' },
        ],
      },
    )
  }

  async *#read(
    query: EventQuery,
    follow: boolean,
    signal: AbortSignal,
    position: { after: number },
    begunAlready: boolean,
  ): AsyncGenerator<Event, void, undefined> {
    const { connection, clock, random, logger } = this.#options
    let session = await connection.session(signal, CONNECT_TIMEOUT_MS)
    let failures = 0
    for (let begun = begunAlready; ;) {
      try {
        if (!begun) yield* await this.#lookBack(session, query, position)
        begun = true
        if (!follow) return
        for await (const event of this.#follow(session, query, position, signal)) {
          failures = 0
          yield event
        }
      } catch (thrown) {
        if (!begun && !session.lost.aborted) throw GantryError.from(thrown, 'Unavailable')
        failures += 1
        logger.debug({ error: GantryError.from(thrown).message }, 'reading events was interrupted')
      }
      if (signal.aborted) return
      if (failures > 0) await delay(clock, backoffDelay(RETRY, failures, random), signal)
      session = await connection.session(signal, begun ? undefined : CONNECT_TIMEOUT_MS)
    }
  }

  /** What the stream holds now; `position` is set to its end. */
  async #lookBack(session: NatsSession, query: EventQuery, position: { after: number }): Promise<Event[]> {
    await ensureEventStream(session, this.#options.servers ?? 1)
    const { consumer, pending, last } = await this.#consumer(session, query, 0)
    const latest = new LatestEvents()
    if (pending > 0) {
      const messages = await consumer.consume({
        max_messages: 500,
        idle_heartbeat: 1_000,
        abort_on_missing_resource: true,
      })
      const stop = (): void => messages.stop(session.lost.reason as Error)
      session.lost.addEventListener('abort', stop, { once: true })
      for await (const message of messages) {
        position.after = message.seq
        const event = read(message, query)
        if (event !== undefined) latest.take(event, message.data.length)
        if (message.info.pending === 0) break
      }
      session.lost.removeEventListener('abort', stop)
    }
    if (session.lost.aborted) throw session.lost.reason
    position.after = Math.max(position.after, last)
    await consumer.delete()
    return latest.events()
  }

  /** What comes after the position, until the session is lost or the signal aborted. */
  async *#follow(
    session: NatsSession,
    query: EventQuery,
    position: { after: number },
    signal: AbortSignal,
  ): AsyncGenerator<Event, void, undefined> {
    const { consumer } = await this.#consumer(session, query, position.after + 1)
    const messages = await consumer.consume({
      max_messages: 500,
      idle_heartbeat: 1_000,
      abort_on_missing_resource: true,
    })
    const end = AbortSignal.any([session.lost, signal])
    const stop = (): void => messages.stop()
    if (end.aborted) stop()
    end.addEventListener('abort', stop, { once: true })
    try {
      for await (const message of messages) {
        position.after = message.seq
        const event = read(message, query)
        if (event !== undefined) yield event
      }
    } finally {
      end.removeEventListener('abort', stop)
      messages.stop()
      if (!session.lost.aborted) await consumer.delete()
    }
  }

  async #consumer(
    { nats }: NatsSession,
    query: EventQuery,
    from: number,
  ): Promise<{ consumer: Consumer; pending: number; last: number }> {
    const jetstream = await nats.jetstreamManager({ checkAPI: false, timeout: CONNECT_TIMEOUT_MS })
    const start =
      from > 0
        ? { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: from }
        : query.since === undefined
          ? { deliver_policy: DeliverPolicy.All }
          : // An event is published after it was seen, so this begins early enough.
            { deliver_policy: DeliverPolicy.StartTime, opt_start_time: new Date(query.since).toISOString() }
    const { state } = await jetstream.streams.info(EVENT_STREAM)
    const made = await jetstream.consumers.add(EVENT_STREAM, {
      ...start,
      filter_subject: eventFilter(query),
      ack_policy: AckPolicy.None,
      mem_storage: true,
      inactive_threshold: 60_000_000_000,
      num_replicas: 1,
    })
    return {
      consumer: await jetstream.jetstream().consumers.get(EVENT_STREAM, made.name),
      pending: made.num_pending,
      last: state.last_seq,
    }
  }
}

/** The event in a message, if it is one that the query means; its resourceVersion is its place in the stream. */
function read(message: JsMsg, query: EventQuery): Event | undefined {
  const event = decodeResource('Event', message.data, String(message.seq))
  return hasTypeAndTime(event, query) ? event : undefined
}
