/**
 * Events that clients write by their names. The stream of events is read by what events are about, and a controller
 * publishes what it records when it can; so each event that a client writes is also kept under its name, in a stream
 * that holds the latest of each: every controller finds there at once what another has written, and of two that write
 * at the same time one is told that it was late.
 */
import { DiscardPolicy, NatsError, nanos, RetentionPolicy, StorageType, type StreamConfig } from 'nats'
import { GantryError } from '../../proto/base/errors.ts'
import { formatTime } from '../../proto/base/time.ts'
import { decodeResource, encodeResource } from '../../proto/codec/wire.ts'
import type { Clock } from '../../proto/base/clock.ts'
import type { Event } from '../../proto/gen/types.ts'
import type { NatsClient, NatsSession } from './nats-client.ts'
import { isDeletion, type EventLog, type NamedEvent, type NamedEventStore } from './contract.ts'
import { ensureEventStream, ensureStream } from './stream.ts'
import { EVENT_STREAM, eventFilter, eventSubject, subjectToken } from './subjects.ts'

const DAY = 24 * 3_600_000
/** Milliseconds to wait for NATS before a request fails with Unavailable. */
const CONNECT_TIMEOUT_MS = 3_000
/**
 * JetStream's answers: somebody else wrote since (JSStreamWrongLastSequenceErrF), there is no such message
 * (JSNoMessageFoundErr).
 */
const WRONG_LAST_SEQUENCE = 10071
const NO_MESSAGE = 10037
/** Looks for what is left in a namespace: a writer that never ends must not hold the namespace's end. */
const MAX_PURGE_ROUNDS = 20

const NAMES_STREAM = 'GANTRY_EVENT_NAMES'
const CONFIG: Partial<StreamConfig> & { name: string } = {
  name: NAMES_STREAM,
  subjects: ['gantry.event-names.>'],
  retention: RetentionPolicy.Limits,
  storage: StorageType.File,
  discard: DiscardPolicy.Old,
  max_age: nanos(7 * DAY),
  max_bytes: 64 * 1024 * 1024,
  max_msgs_per_subject: 1,
}

export interface NamedEventsOptions {
  readonly connection: NatsClient
  readonly reader: Pick<EventLog, 'list'>
  /** NATS servers that keep copies together; 1 if not given. */
  readonly servers?: number
  readonly clock: Clock
}

export class NamedEvents implements NamedEventStore {
  readonly #options: NamedEventsOptions
  /** The session in which the streams are known to be there. */
  #ready: AbortSignal | undefined

  constructor(options: NamedEventsOptions) {
    this.#options = options
  }

  get available(): boolean {
    return this.#options.connection.current !== undefined
  }

  async find(namespace: string, name: string, signal: AbortSignal): Promise<NamedEvent> {
    const { nats } = await this.#session(signal)
    const { streams } = await nats.jetstreamManager({ checkAPI: false, timeout: CONNECT_TIMEOUT_MS })
    try {
      const { data, seq } = await streams.getMessage(NAMES_STREAM, { last_by_subj: nameSubject(namespace, name) })
      const event = decodeResource('Event', data, '')
      return { event: isDeletion(event) ? undefined : event, revision: seq }
    } catch (thrown) {
      if (isApiError(thrown, NO_MESSAGE)) return { event: undefined, revision: 0 }
      throw GantryError.from(thrown, 'Unavailable')
    }
  }

  async put(event: Event, revision: number, signal: AbortSignal): Promise<number | undefined> {
    const { nats } = await this.#session(signal)
    const jetstream = nats.jetstream({ timeout: CONNECT_TIMEOUT_MS })
    const {
      metadata: { namespace, name },
      involvedObject,
    } = event
    const bytes = encodeResource(event)
    try {
      await jetstream.publish(nameSubject(namespace, name), bytes, { expect: { lastSubjectSequence: revision } })
      const { seq } = await jetstream.publish(
        eventSubject(namespace, involvedObject?.kind ?? '', involvedObject?.name ?? ''),
        bytes,
      )
      return seq
    } catch (thrown) {
      if (isApiError(thrown, WRONG_LAST_SEQUENCE)) return undefined
      throw GantryError.from(thrown, 'Unavailable')
    }
  }

  async endNamespace(namespace: string, signal: AbortSignal): Promise<void> {
    const { nats } = await this.#session(signal)
    const { streams } = await nats.jetstreamManager({ checkAPI: false, timeout: CONNECT_TIMEOUT_MS })
    const jetstream = nats.jetstream({ timeout: CONNECT_TIMEOUT_MS })
    const deletionTimestamp = formatTime(this.#options.clock.now())
    try {
      for (let round = 0; round < MAX_PURGE_ROUNDS; round++) {
        const { events, after } = await this.#options.reader.list({ namespace }, signal)
        if (events.length === 0) break
        await Promise.all(
          events.map((event) => {
            const subject = eventSubject(namespace, event.involvedObject?.kind ?? '', event.involvedObject?.name ?? '')
            return jetstream.publish(
              subject,
              encodeResource({ ...event, metadata: { ...event.metadata, deletionTimestamp } }),
            )
          }),
        )
        // What was told before the ends is of no use any more.
        await streams.purge(EVENT_STREAM, { filter: eventFilter({ namespace }), seq: after + 1 })
      }
      await streams.purge(NAMES_STREAM, { filter: `gantry.event-names.${subjectToken(namespace)}.*` })
    } catch (thrown) {
      throw GantryError.from(thrown, 'Unavailable')
    }
  }

  async #session(signal: AbortSignal): Promise<NatsSession> {
    const session = await this.#options.connection.session(signal, CONNECT_TIMEOUT_MS)
    if (this.#ready !== session.lost) {
      const servers = this.#options.servers ?? 1
      const all = (await ensureEventStream(session, servers)) && (await ensureStream(session, CONFIG, servers))
      if (all) this.#ready = session.lost
    }
    return session
  }
}

function nameSubject(namespace: string, name: string): string {
  return `gantry.event-names.${subjectToken(namespace)}.${subjectToken(name)}`
}

function isApiError(thrown: unknown, code: number): boolean {
  return thrown instanceof NatsError && thrown.api_error?.err_code === code
}
