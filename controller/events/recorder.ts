/**
 * Records events: counted when they repeat, and published to the event stream. Nobody waits for it: with NATS down
 * events wait in a bounded buffer, the oldest make way, and how many did is counted and logged.
 */
import { GantryError } from '../../proto/base/errors.ts'
import { encodeResource } from '../../proto/codec/wire.ts'
import { backoffDelay, type BackoffOptions } from '../../proto/base/backoff.ts'
import { delay, elapsed, type Clock } from '../../proto/base/clock.ts'
import type { Logger } from '../../proto/base/logger.ts'
import { randomUuid, type Random } from '../../proto/base/random.ts'
import type { Event } from '../../proto/gen/types.ts'
import type { EventSink } from '../api/contract.ts'
import type { EventPublisher } from './contract.ts'
import { EventCorrelator } from './correlator.ts'
import { GatherWindow } from './gather-window.ts'
import type { NatsClient, NatsSession } from './nats-client.ts'
import { ensureEventStream } from './stream.ts'
import { StreamPublisher, type StreamMessage } from './stream-publisher.ts'
import { eventSubject } from './subjects.ts'

/** Events that wait for NATS at most. */
const BUFFER = 10_000
/** Events published together, and milliseconds until JetStream must have stored them. */
const BATCH = 256
const PUBLISH_TIMEOUT = 2_000
/** Bytes of an event at most: NATS takes messages of 1 MiB (max_payload). */
const MAX_EVENT_BYTES = 512 * 1024
const RETRY: BackoffOptions = { first: 100, max: 5_000 }
/** Milliseconds to the next look for servers where there were too few for the copies that are wanted. */
const COPIES_CHECK_MS = 10_000

export interface EventRecorderOptions {
  readonly connection: NatsClient
  /** NATS servers that keep copies of the events together; 1 if not given. */
  readonly servers?: number
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Default 10,000. */
  readonly buffer?: number
}

/** An event that waits. */
interface QueuedEvent {
  readonly event: Event
  /** Makes JetStream drop what a lost confirmation makes us send twice, and nothing else. */
  readonly id: string
  /** Once it has been sent. */
  message?: StreamMessage
}

export class EventRecorder implements EventPublisher {
  readonly #options: EventRecorderOptions
  readonly #buffer: number
  readonly #correlator: EventCorrelator
  /** By uid, so that a repeat takes the place of what still waits. */
  readonly #queue = new Map<string, QueuedEvent>()
  readonly #idPrefix: string
  #published = 0
  #publisher: StreamPublisher | undefined
  readonly #idle = new Set<() => void>()
  #wake: (() => void) | undefined
  #dropped = 0
  #droppedNow = 0

  constructor(options: EventRecorderOptions) {
    this.#options = options
    this.#correlator = new EventCorrelator(options)
    this.#buffer = options.buffer ?? BUFFER
    this.#idPrefix = randomUuid(options.random)
  }

  /** Events that were dropped since the start because too many waited, or because they were too large. */
  get dropped(): number {
    return this.#dropped
  }

  /** Events that wait to be published. */
  get waiting(): number {
    return this.#queue.size
  }

  record(record: Parameters<EventSink['record']>[0]): void {
    this.publish(this.#correlator.take(record))
  }

  publish(event: Event): void {
    const { uid } = event.metadata
    if (uid === '')
      return this.publish({ ...event, metadata: { ...event.metadata, uid: randomUuid(this.#options.random) } })
    if (!this.#queue.has(uid) && this.#queue.size >= this.#buffer) this.#drop()
    this.#queue.set(uid, { event, id: `${this.#idPrefix}.${++this.#published}` })
    this.#wake?.()
  }

  /** Publishes what is recorded until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const { connection, clock, random, logger } = this.#options
    const window = new GatherWindow(clock)
    let failures = 0
    let ready: NatsSession | undefined
    let lacksCopies = false
    const abort = (): void => this.#wake?.()
    signal.addEventListener('abort', abort, { once: true })
    while (!signal.aborted) {
      try {
        await this.#recorded(signal, lacksCopies ? COPIES_CHECK_MS : undefined)
        if (!(await elapsed(clock, window.delay, signal))) break
        const session = await connection.session(signal)
        if (ready?.lost !== session.lost) {
          lacksCopies = !(await ensureEventStream(session, this.#options.servers ?? 1))
          ready = lacksCopies ? undefined : session
        }
        window.told()
        await this.#send(session)
        failures = 0
      } catch (thrown) {
        if (signal.aborted) break
        failures += 1
        const error = GantryError.from(thrown, 'Unavailable')
        if (failures === 1)
          logger.warn({ error: error.message, waiting: this.#queue.size }, 'events cannot be published, trying again')
        await delay(clock, backoffDelay(RETRY, failures, random), signal).catch((reason: unknown) => {
          if (!signal.aborted) throw reason
        })
      }
    }
    signal.removeEventListener('abort', abort)
  }

  /** Resolves once nothing waits to be published, at the latest after `timeout` milliseconds: true if so. */
  flush(timeout: number): Promise<boolean> {
    if (this.#queue.size === 0) return Promise.resolve(true)
    return new Promise((resolve) => {
      const done = (): void => {
        timer.cancel()
        this.#idle.delete(done)
        resolve(this.#queue.size === 0)
      }
      const timer = this.#options.clock.after(timeout, done)
      this.#idle.add(done)
    })
  }

  #drop(): void {
    this.#queue.delete(this.#queue.keys().next().value!)
    this.#dropped += 1
    this.#droppedNow += 1
    if (this.#droppedNow === 1)
      this.#options.logger.warn({ buffer: this.#buffer }, 'too many events wait for NATS, dropping the oldest')
  }

  /** Tried again it would only be refused again, and hold up the others. */
  #refuse({ involvedObject, reason }: Event, bytes: number): void {
    this.#dropped += 1
    this.#options.logger.warn({ about: involvedObject, reason, bytes }, 'an event is too large to be published')
  }

  /** Resolves when there is something to publish, at the latest after `timeout` milliseconds if there is one. */
  #recorded(signal: AbortSignal, timeout: number | undefined): Promise<void> {
    if (this.#queue.size > 0 || signal.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      const timer = timeout === undefined ? undefined : this.#options.clock.after(timeout, () => this.#wake?.())
      this.#wake = () => {
        this.#wake = undefined
        timer?.cancel()
        resolve()
      }
    })
  }

  /** Publishes the oldest that wait; what JetStream confirms waits no more. */
  async #send({ nats }: NatsSession): Promise<void> {
    if (this.#publisher?.nats !== nats) this.#publisher = new StreamPublisher(nats, this.#options.clock)
    const batch = [...this.#queue.values()].slice(0, BATCH)
    const messages: StreamMessage[] = []
    const sent: QueuedEvent[] = []
    for (const queued of batch) {
      const message = (queued.message ??= messageOf(queued))
      if (message.bytes.length > MAX_EVENT_BYTES) {
        this.#refuse(queued.event, message.bytes.length)
        this.#done(queued)
      } else {
        messages.push(message)
        sent.push(queued)
      }
    }
    const failures = await this.#publisher.publish(messages, PUBLISH_TIMEOUT)
    for (const [index, failure] of failures.entries()) if (failure === undefined) this.#done(sent[index]!)
    const failed = failures.find((failure) => failure !== undefined)
    if (failed !== undefined) throw failed
    if (this.#droppedNow > 0)
      this.#options.logger.warn(
        { dropped: this.#droppedNow, droppedSinceStart: this.#dropped },
        'events were dropped while NATS was away',
      )
    this.#droppedNow = 0
    if (this.#queue.size === 0) for (const done of [...this.#idle]) done()
  }

  /** Unless it has happened again meanwhile. */
  #done(queued: QueuedEvent): void {
    const { uid } = queued.event.metadata
    if (this.#queue.get(uid) === queued) this.#queue.delete(uid)
  }
}

function messageOf({ event, id }: QueuedEvent): StreamMessage {
  const { involvedObject, metadata } = event
  const subject = eventSubject(metadata.namespace, involvedObject?.kind ?? '', involvedObject?.name ?? '')
  return { subject, bytes: encodeResource(event), id }
}
