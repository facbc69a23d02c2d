/** The connection to NATS: made again for ever, in sessions that tell when they are lost. */
import { connect, DebugEvents, Events, type NatsConnection, type Status } from 'nats'
import { GantryError } from '../../proto/base/errors.ts'
import { backoffDelay, type BackoffOptions } from '../../proto/base/backoff.ts'
import { delay, type Clock } from '../../proto/base/clock.ts'
import type { Logger } from '../../proto/base/logger.ts'
import type { Random } from '../../proto/base/random.ts'

const RECONNECT: BackoffOptions = { first: 100, max: 2_000 }
/** Milliseconds until a connection attempt is given up. */
const CONNECT_TIMEOUT = 2_000

/** One stretch of being connected. */
export interface NatsSession {
  readonly nats: NatsConnection
  /** Aborted when the connection is lost; what was under way then must be begun again in the next session. */
  readonly lost: AbortSignal
}

export interface NatsClientOptions {
  /** host:port of each server. */
  readonly servers: readonly string[]
  /** How this connection is called in the server's reports. */
  readonly name: string
  /** What the servers want to see, if anything. */
  readonly token?: string | undefined
  /** PEM texts. */
  readonly tls?: { readonly ca: string; readonly cert: string; readonly key: string } | undefined
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

export class NatsClient {
  readonly #options: NatsClientOptions
  readonly #waiting = new Set<(session: NatsSession) => void>()
  #session: { readonly nats: NatsConnection; readonly lost: AbortController } | undefined

  constructor(options: NatsClientOptions) {
    this.#options = options
  }

  /** The session that is open now. */
  get current(): NatsSession | undefined {
    return this.#session === undefined ? undefined : { nats: this.#session.nats, lost: this.#session.lost.signal }
  }

  /**
   * The open session, or the next one. Rejects with the signal's reason, or Unavailable after `timeout` milliseconds
   * (default: never).
   */
  session(signal: AbortSignal, timeout?: number): Promise<NatsSession> {
    const { current } = this
    if (current !== undefined) return Promise.resolve(current)
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(GantryError.from(signal.reason, 'Cancelled'))
      const settle = (): void => {
        timer?.cancel()
        this.#waiting.delete(opened)
        signal.removeEventListener('abort', aborted)
      }
      const opened = (session: NatsSession): void => {
        settle()
        resolve(session)
      }
      const aborted = (): void => {
        settle()
        reject(GantryError.from(signal.reason, 'Cancelled'))
      }
      const timer =
        timeout === undefined
          ? undefined
          : this.#options.clock.after(timeout, () => {
              settle()
              reject(new GantryError('Unavailable', `NATS at ${this.#options.servers.join(', ')} cannot be reached`))
            })
      this.#waiting.add(opened)
      signal.addEventListener('abort', aborted, { once: true })
    })
  }

  /** Connects, and again whenever the connection is lost, until the signal is aborted; then closes. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, random, logger } = this.#options
    let failures = 0
    while (!signal.aborted) {
      try {
        const nats = await this.#connect()
        failures = 0
        await this.#follow(nats, signal)
      } catch (thrown) {
        failures += 1
        if (failures === 1)
          logger.warn(
            { error: GantryError.from(thrown).message, servers: this.#options.servers },
            'NATS cannot be reached, trying again',
          )
        await waitOr(delay(clock, backoffDelay(RECONNECT, failures, random), signal), signal)
      }
    }
  }

  #connect(): Promise<NatsConnection> {
    const { servers, name, token, tls } = this.#options
    return connect({
      servers: [...servers],
      name,
      timeout: CONNECT_TIMEOUT,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 200,
      pingInterval: 5_000,
      maxPingOut: 2,
      // The stack of each request, kept in case that it fails, costs more than the request.
      noAsyncTraces: true,
      ...(token === undefined ? {} : { token }),
      ...(tls === undefined ? {} : { tls }),
    })
  }

  /** One connection through its losses and returns, to its end. */
  async #follow(nats: NatsConnection, signal: AbortSignal): Promise<void> {
    const { logger } = this.#options
    const closing = (): void => {
      this.#lose()
      nats
        .close()
        .catch((thrown: unknown) =>
          logger.warn({ error: GantryError.from(thrown).message }, 'NATS connection did not close cleanly'),
        )
    }
    if (signal.aborted) closing()
    else signal.addEventListener('abort', closing, { once: true })
    try {
      if (!signal.aborted) this.#open(nats)
      const statuses = nats.status()[Symbol.asyncIterator]()
      const closed = nats.closed().then((error) => ({ error }))
      for (;;) {
        // The client's own iteration does not end with the connection.
        const next = await Promise.race([statuses.next(), closed])
        if ('error' in next) {
          if (next.error !== undefined && !signal.aborted) throw next.error
          return
        }
        if (next.done === true) return
        this.#note(nats, next.value.type, signal)
      }
    } finally {
      signal.removeEventListener('abort', closing)
      this.#lose()
    }
  }

  #note(nats: NatsConnection, type: Status['type'], signal: AbortSignal): void {
    if (type === Events.Disconnect || type === DebugEvents.StaleConnection) {
      if (this.#session !== undefined) this.#options.logger.warn({}, 'NATS connection lost')
      this.#lose()
    }
    if (type === Events.Reconnect && !signal.aborted) this.#open(nats)
  }

  #open(nats: NatsConnection): void {
    this.#lose()
    this.#session = { nats, lost: new AbortController() }
    const session = this.current!
    this.#options.logger.info({ server: nats.getServer() }, 'connected to NATS')
    for (const opened of [...this.#waiting]) opened(session)
  }

  #lose(): void {
    this.#session?.lost.abort(new GantryError('Unavailable', 'the connection to NATS is lost'))
    this.#session = undefined
  }
}

/** Waits for work that the signal cuts short; that it was cut short is no failure. */
async function waitOr(work: Promise<void>, signal: AbortSignal): Promise<void> {
  try {
    await work
  } catch (thrown) {
    if (!signal.aborted) throw thrown
  }
}
