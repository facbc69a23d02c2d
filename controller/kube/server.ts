/**
 * The HTTPS server of the Kubernetes face: who calls (certificate, token, impersonation), what is asked, and the end of
 * what is under way.
 */
import { constants } from 'node:crypto'
import { createServer, type Server as HttpsServer } from 'node:https'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import { GantryError } from '../../proto/base/errors.ts'
import type { Clock } from '../../proto/base/clock.ts'
import type { Logger } from '../../proto/base/logger.ts'
import { ANONYMOUS } from '../accounts/token-authenticator.ts'
import type { FairQueue } from '../requests/fairness/fair-queue.ts'
import { writeAnswer, writeStatus, type AnswerOptions } from './answer.ts'
import type { Authentication } from './authentication.ts'
import type { KubeRequest, ResourceRequest } from './contract.ts'
import { CALLER_GONE, InFlightRequest } from './in-flight-request.ts'
import type { RequestMetrics } from './health/request-metrics.ts'
import { refuse, refuseUpgrade } from './refusal.ts'
import { IncomingRequest, type Shared } from './request.ts'
import { isLongRunningRoute, isWrite, type Route, type Router } from './router.ts'
import { HttpError } from './status.ts'
import { YamlReader } from './yaml/yaml-reader.ts'

/** Milliseconds. What ends on its own when a client does nothing must not end while one that is slow does something. */
export interface Timeouts {
  /** For the TLS handshake. */
  readonly handshake: number
  /** For all headers of a request. */
  readonly headers: number
  /**
   * For all of a request, and then for its answer to begin; watches and streams begin at once and go on for as long as
   * they want.
   */
  readonly request: number
  /** For a client to read something of what waits for it. */
  readonly stall: number
  /**
   * For the next request on a connection: longer than clients keep theirs, so that none is sent into the closing of
   * one.
   */
  readonly idle: number
  /** Between looks at who is late. */
  readonly checkInterval: number
}

export const TIMEOUTS: Timeouts = {
  handshake: 10_000,
  headers: 30_000,
  request: 60_000,
  stall: 60_000,
  idle: 120_000,
  checkInterval: 5_000,
}
/** Milliseconds after which a connection that says nothing is asked whether it is still there. */
const KEEP_ALIVE = 30_000
const HEADERS_SIZE = 64 * 1024
/** Milliseconds that at the end requests under way are given to be done, and then their callers to be told. */
const GRACE = 500

export interface KubeServerOptions {
  /** host:port; port 0 chooses one. */
  readonly address: string
  /** PEM texts; certificates of `ca` say who a client is. */
  readonly tls: { readonly ca: string; readonly cert: string; readonly key: string }
  readonly authentication: Authentication
  readonly router: Router
  readonly exchanges: RequestMetrics
  /** Throws Unavailable while nothing can be served. */
  readonly available: () => void
  readonly timeouts: Timeouts
  /** Whose work begins next, the door's. */
  readonly turns: FairQueue
  readonly clock: Clock
  readonly logger: Logger
}

export class KubeServer {
  readonly #options: KubeServerOptions
  readonly #server: HttpsServer
  readonly #calls = new Set<InFlightRequest>()
  /** Those under way on a connection: what goes wrong on it ends them. */
  readonly #onSocket = new WeakMap<Duplex, Set<InFlightRequest>>()
  /** Answers that are not out yet, by their connection. */
  readonly #unanswered = new WeakMap<Duplex, Set<ServerResponse>>()
  /** Connections that speak, or are to speak, another protocol: the HTTP server knows nothing of them any more. */
  readonly #upgraded = new Set<Duplex>()
  readonly #shared: Shared
  #stopping: GantryError | undefined

  constructor(options: KubeServerOptions) {
    this.#options = options
    const { timeouts, clock, turns } = options
    this.#shared = { turns, yaml: new YamlReader(clock) }
    this.#server = createServer({
      ...options.tls,
      minVersion: 'TLSv1.2',
      // A token says who a client without certificate is.
      requestCert: true,
      rejectUnauthorized: false,
      // Clients of this API resume no TLS sessions; each connection would keep a buffer of 16 KiB for the tickets that
      // they are sent.
      secureOptions: constants.SSL_OP_NO_TICKET,
      handshakeTimeout: timeouts.handshake,
      headersTimeout: timeouts.headers,
      requestTimeout: timeouts.request,
      keepAliveTimeout: timeouts.idle,
      connectionsCheckingInterval: timeouts.checkInterval,
      maxHeaderSize: HEADERS_SIZE,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE,
    })
    this.#server.on(
      'request',
      (request: IncomingMessage, response: ServerResponse) => void this.#serve(request, response),
    )
    this.#server.on('secureConnection', parseInTurn)
    this.#server.on(
      'upgrade',
      (request: IncomingMessage, socket: Duplex, head: Buffer) => void this.#upgrade(request, socket, head),
    )
    this.#server.on('clientError', (error: Error, socket: Duplex) => this.#malformed(error, socket))
  }

  /** Listens; answers with the address in use. Unavailable if that is taken. */
  start(): Promise<string> {
    const { host, port } = /^\[?(?<host>.*?)\]?:(?<port>\d+)$/.exec(this.#options.address)!.groups as {
      host: string
      port: string
    }
    return new Promise((resolve, reject) => {
      this.#server.once('error', (cause) =>
        reject(
          new GantryError('Unavailable', `cannot listen on ${this.#options.address}: ${cause.message}`, { cause }),
        ),
      )
      this.#server.listen(Number(port), host, () =>
        resolve(this.#options.address.replace(/\d+$/, String((this.#server.address() as AddressInfo).port))),
      )
    })
  }

  /** Ends the requests under way with an error; what comes then is served. */
  interrupt(reason: GantryError): void {
    for (const call of [...this.#calls]) call.end(reason)
  }

  /**
   * Who watches goes elsewhere at once. What else is under way is done first, and so is what comes on a connection that
   * was accepted before: its user is not left in doubt.
   */
  async stop(): Promise<void> {
    const { clock } = this.#options
    const stopping = new GantryError('Unavailable', 'the server is stopping')
    this.#stopping = stopping
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    for (const call of [...this.#calls]) if (call.isLong) call.end(stopping)
    const timers = [
      clock.after(GRACE, () => this.interrupt(stopping)),
      clock.after(2 * GRACE, () => {
        this.#server.closeAllConnections()
        for (const socket of this.#upgraded) socket.destroy()
      }),
    ]
    this.#server.closeIdleConnections()
    await closed
    for (const timer of timers) timer.cancel()
    await this.#shared.yaml.stop()
  }

  async #serve(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const { clock, exchanges } = this.#options
    const call = this.#begin(message.socket)
    this.#closeWith(message.socket, response)
    if (this.#stopping !== undefined) response.setHeader('Connection', 'close')
    // An answer that is out leaves nobody to go away.
    response.once('close', () => {
      call.end(CALLER_GONE)
      // Not before: an answer that its client does not read is still held.
      call.releaseSeat()
    })
    const incoming = new IncomingRequest(message, call, this.#shared)
    const began = clock.monotonic()
    let place: Route | undefined
    const optionsOf = (): AnswerOptions => ({
      query: incoming.query,
      target: place?.is === 'resource' ? place.target : undefined,
      warnings: incoming.warnings,
      call,
      clock,
      stall: this.#options.timeouts.stall,
      turn: () => incoming.turn(),
    })
    try {
      place = await this.#place(incoming, call, message)
      this.#setLong(call, isLongRunningRoute(place))
      exchanges.begin(place)
      await writeAnswer({ request: message, response }, await this.#answer(incoming, place, call, message), optionsOf())
    } catch (thrown) {
      this.#report(thrown, message)
      // Nobody waits for this: a fault in telling of one ends the connection, and no more.
      await writeStatus(response, thrown, incoming.objectName, optionsOf()).catch((fault: unknown) => {
        this.#report(fault, message)
        response.destroy()
      })
    } finally {
      this.#end(call, message.socket)
      exchanges.end(place, incoming.method, response.statusCode, (clock.monotonic() - began) / 1000)
    }
  }

  async #answer(
    incoming: IncomingRequest,
    place: Route,
    call: InFlightRequest,
    message: IncomingMessage,
  ): ReturnType<Router['answer']> {
    const limit = isLongRunningRoute(place) ? undefined : timeLimit(incoming.query, this.#options.timeouts.request)
    const timer =
      limit === undefined
        ? undefined
        : this.#options.clock.after(limit, () =>
            call.end(
              new HttpError(
                504,
                'Timeout',
                'Timeout: request did not complete within the allotted timeout',
                'DeadlineExceeded',
              ),
            ),
          )
    try {
      await call.race(this.#identify(incoming, place, message))
      const answer = call.race(this.#options.router.answer(place, incoming))
      return await (isWrite(place) ? answer.catch((thrown: unknown) => unknownOutcome(thrown, incoming)) : answer)
    } finally {
      timer?.cancel()
    }
  }

  async #upgrade(message: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const { router, exchanges, clock } = this.#options
    const call = this.#begin(socket)
    this.#setLong(call, true)
    const began = clock.monotonic()
    this.#upgraded.add(socket)
    socket.once('close', () => {
      this.#upgraded.delete(socket)
      call.end(CALLER_GONE)
    })
    socket.on('error', () => call.end(CALLER_GONE))
    const incoming = new IncomingRequest(message, call, this.#shared)
    let place: Route | undefined
    let code = 101
    try {
      place = await this.#place(incoming, call, message)
      exchanges.begin(place)
      await call.race(this.#identify(incoming, place, message))
      await router.upgrade(place, incoming, { request: message, socket, head })
    } catch (thrown) {
      this.#report(thrown, message)
      code = refuseUpgrade(socket, thrown, place?.is === 'resource' ? place.target : undefined)
    } finally {
      this.#end(call, socket)
      call.releaseSeat()
      exchanges.end(place, incoming.method, code, (clock.monotonic() - began) / 1000)
    }
  }

  /** What is asked for. Which paths there are, of custom kinds too, is told only to who is known: Unauthenticated. */
  async #place(incoming: IncomingRequest, call: InFlightRequest, message: IncomingMessage): Promise<Route> {
    try {
      return this.#options.router.route(incoming.method, incoming.path, incoming.query)
    } catch (thrown) {
      if (!(thrown instanceof HttpError) || thrown.status !== 404) throw thrown
      await call.race(this.#options.authentication.identify(message))
      throw thrown
    }
  }

  /** Says whose the request is. Unauthenticated; Unavailable while nothing can be served. */
  async #identify(incoming: IncomingRequest, place: Route, message: IncomingMessage): Promise<void> {
    if (place.is === 'endpoint' && place.endpoint.open === true) incoming.user = ANONYMOUS
    else {
      this.#options.available()
      incoming.user = await this.#options.authentication.identify(message)
    }
  }

  /**
   * What is no HTTP, comes too slowly or is too large. What is under way on the connection ends with that; else the
   * client is told, as far as it can be.
   */
  #malformed(error: Error & { code?: string }, socket: Duplex): void {
    const calls = this.#onSocket.get(socket)
    if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT' && calls !== undefined && calls.size > 0) {
      for (const call of calls)
        call.end(new HttpError(408, 'Timeout', 'the request did not arrive in time', 'DeadlineExceeded'))
    } else if (calls !== undefined && calls.size > 0) socket.destroy()
    else refuse(socket, error)
  }

  #begin(socket: Duplex): InFlightRequest {
    const call = new InFlightRequest()
    this.#calls.add(call)
    let calls = this.#onSocket.get(socket)
    if (calls === undefined) this.#onSocket.set(socket, (calls = new Set()))
    calls.add(call)
    return call
  }

  #setLong(call: InFlightRequest, isLong: boolean): void {
    call.isLong = isLong
    if (isLong && this.#stopping !== undefined) call.end(this.#stopping)
  }

  /**
   * Of the answers that wait behind each other on a connection that breaks, Node.js tells only the first that it is
   * over: the seats of the others would never be given back, and their watches would never end.
   */
  #closeWith(socket: Duplex, response: ServerResponse): void {
    let unanswered = this.#unanswered.get(socket)
    if (unanswered === undefined) {
      const all = new Set<ServerResponse>()
      this.#unanswered.set(socket, (unanswered = all))
      socket.once('close', () => {
        for (const each of all) each.emit('close')
      })
    }
    const among = unanswered.add(response)
    response.once('close', () => among.delete(response))
  }

  #end(call: InFlightRequest, socket: Duplex): void {
    this.#calls.delete(call)
    this.#onSocket.get(socket)?.delete(call)
  }

  /** Only what is a fault of ours, or of what we stand on. */
  #report(thrown: unknown, { method, url }: IncomingMessage): void {
    if (GantryError.from(thrown).code === 'Internal')
      this.#options.logger.error({ err: thrown, method, url }, 'a request failed')
  }
}

/**
 * What became of a write that lost the store, or was interrupted, is not known. To Unavailable belongs that the client
 * may try again, and client libraries do so by themselves, unseen: an item would be appended twice, an object with a
 * generated name made twice. So its user is to look. A request that has not been let in has changed nothing.
 */
function unknownOutcome(thrown: unknown, request: KubeRequest | ResourceRequest): never {
  if (!('authorized' in request) || !GantryError.is(thrown, 'Unavailable') || thrown instanceof HttpError) throw thrown
  const { message } = thrown
  throw new HttpError(
    504,
    'Timeout',
    `${message}; whether the change was made is not known: look at the object, then try again`,
    'DeadlineExceeded',
    thrown,
  )
}

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

/**
 * Milliseconds: what the client gives the request, such as "1m30s", if that is less than `most`. BadRequest for what is
 * no length of time.
 */
function timeLimit(query: URLSearchParams, most: number): number {
  const text = query.get('timeout') ?? ''
  if (text === '' || text === '0') return most
  if (!/^(?:\d+(?:\.\d+)?(?:ms|s|m|h))+$/.test(text))
    throw new HttpError(
      400,
      'BadRequest',
      `invalid timeout specified in the request URL: ${JSON.stringify(text)} is not a length of time such as 30s`,
    )
  let millis = 0
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)) millis += Number(amount) * UNITS[unit!]!
  return millis === 0 ? most : Math.min(millis, most)
}

/**
 * Has Node.js parse a connection's bytes as stream events, and not directly out of TLS. While an answer is not written
 * yet, Node.js pauses the parser for the next request; bytes that TLS had decrypted already reached the paused parser
 * all the same, which counted as malformed (HPE_PAUSED) and ended the connection. A listener for "data", even for a
 * moment, makes Node.js change over.
 */
function parseInTurn(socket: TLSSocket): void {
  const ignore = (): void => undefined
  socket.on('data', ignore).off('data', ignore)
}
