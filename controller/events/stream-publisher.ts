/**
 * Publishes messages to a JetStream stream, many at once, and hears which of them are stored. The client's own way,
 * request by request, has an inbox token, two timers and errors with their stacks for each: several times what all else
 * about an event costs.
 * https://docs.nats.io/reference/reference-protocols/nats_api_reference
 */
import { createInbox, headers, NatsError, type Msg, type NatsConnection } from 'nats'
import type { Clock } from '../../proto/base/clock.ts'
import { GantryError } from '../../proto/base/errors.ts'

export interface StreamMessage {
  readonly subject: string
  readonly bytes: Uint8Array
  /** Of two messages with the same one the stream keeps the first. */
  readonly id: string
}

const ID_HEADER = 'Nats-Msg-Id'

export class StreamPublisher {
  readonly nats: NatsConnection
  readonly #clock: Clock
  readonly #inbox = createInbox()
  /** By the number that a message's answer carries: told why it is not stored, or that it is. */
  readonly #unanswered = new Map<string, (failure: GantryError | undefined) => void>()
  #sent = 0

  constructor(nats: NatsConnection, clock: Clock) {
    this.nats = nats
    this.#clock = clock
    nats.subscribe(`${this.#inbox}.*`, { callback: (error, message) => this.#answered(error, message) })
  }

  /**
   * Publishes them in their order, together. Resolves when all are answered, with why each is not stored (undefined for
   * one that is); Unavailable for those without an answer after `timeout` milliseconds.
   */
  publish(messages: readonly StreamMessage[], timeout: number): Promise<(GantryError | undefined)[]> {
    const failures: (GantryError | undefined)[] = messages.map(() => undefined)
    if (messages.length === 0) return Promise.resolve(failures)
    return new Promise((resolve) => {
      let left = messages.length
      const numbers = messages.map(() => String(++this.#sent))
      const timer = this.#clock.after(timeout, () => {
        for (const number of numbers)
          this.#settle(number, new GantryError('Unavailable', `no answer within ${timeout} ms`))
      })
      for (const [index, { subject, bytes, id }] of messages.entries()) {
        const number = numbers[index]!
        this.#unanswered.set(number, (failure) => {
          failures[index] = failure
          if (--left > 0) return
          timer.cancel()
          resolve(failures)
        })
        const fields = headers()
        fields.append(ID_HEADER, id)
        try {
          this.nats.publish(subject, bytes, { headers: fields, reply: `${this.#inbox}.${number}` })
        } catch (thrown) {
          // The client throws once its connection is closed.
          this.#settle(number, GantryError.from(thrown, 'Unavailable'))
        }
      }
    })
  }

  #settle(number: string, failure: GantryError | undefined): void {
    const settle = this.#unanswered.get(number)
    this.#unanswered.delete(number)
    settle?.(failure)
  }

  #answered(error: NatsError | null, message: Msg): void {
    if (error !== null) return
    this.#settle(message.subject.slice(this.#inbox.length + 1), failureOf(message))
  }
}

/** Of an answer without content nobody was there to store it. */
function failureOf(message: Msg): GantryError | undefined {
  if (message.data.length === 0) return new GantryError('Unavailable', 'no server keeps the stream')
  const { error } = JSON.parse(message.string()) as { error?: { code: number; description?: string } }
  return error === undefined
    ? undefined
    : new GantryError('Unavailable', error.description ?? `the stream refuses it with ${error.code}`)
}
