/** A connection of HTTP/2 with the calls on it, until it is finished or lost. */
import type { Socket } from 'node:net'
import type { Clock, Timer } from '../../base/clock.ts'
import { GantryError } from '../../base/errors.ts'
import type { KeepaliveOptions } from '../contract.ts'
import { Http2Connection } from '../http2/connection.ts'
import { encodeHeaderFields } from '../http2/header-fields.ts'
import type { Http2Stream, Receiver } from '../http2/stream.ts'

export interface SessionOptions {
  readonly socket: Socket
  /** The server, as in ":scheme" and ":authority". */
  readonly scheme: 'http' | 'https'
  readonly authority: string
  readonly keepalive: KeepaliveOptions
  readonly clock: Clock
  /** Called once, when no further call is to begin. */
  readonly onClosing: () => void
}

export class Session {
  /** Resolves once the server has spoken HTTP/2; rejects if the connection ends before. */
  readonly greeted: Promise<void>
  readonly #options: SessionOptions
  readonly #connection: Http2Connection
  #isClosing = false
  #isOver = false
  #timer: Timer | undefined

  constructor(options: SessionOptions) {
    this.#options = options
    let greet: () => void
    let refuse: (error: GantryError) => void
    this.greeted = new Promise((resolve, reject) => {
      greet = resolve
      refuse = reject
    })
    this.greeted.catch(() => undefined) // whoever waits is told
    this.#connection = new Http2Connection(options.socket, {
      ready: () => greet(),
      word: () => undefined,
      draining: () => this.#close(),
      ended: (error) => {
        this.#isOver = true
        this.#timer?.cancel()
        refuse(error)
        this.#close()
      },
    })
    this.#rest()
  }

  /**
   * Begins a call, which `done` ends; its requests follow if they are not all here. That the server speaks HTTP/2 it
   * has said in TLS; without TLS it is seen by its answer.
   */
  begin(
    path: string,
    fields: Readonly<Record<string, string>>,
    body: Buffer | undefined,
    receiver: Receiver,
  ): Http2Stream {
    const { scheme, authority } = this.#options
    const target = { ':method': 'POST', ':scheme': scheme, ':path': path, ':authority': authority }
    return this.#connection.request(encodeHeaderFields({ ...target, ...fields }), body, receiver)
  }

  /** For who has begun a call: it is over. */
  done(): void {
    this.#endIfDone()
  }

  /** Begins no further call, and ends when those that there are have ended. */
  finish(): void {
    this.#close()
    this.#endIfDone()
  }

  #close(): void {
    if (this.#isClosing) return
    this.#isClosing = true
    this.#options.onClosing()
  }

  #endIfDone(): void {
    if (this.#isClosing && this.#connection.streams === 0)
      this.#connection.destroy(new GantryError('Unavailable', 'the connection is closed'))
  }

  /** After a while the server is asked whether it is there. */
  #rest(): void {
    const { clock, keepalive } = this.#options
    if (!this.#isOver) this.#timer = clock.after(keepalive.time, () => this.#ask())
  }

  #ask(): void {
    const { clock, keepalive } = this.#options
    const lost = new GantryError('Unavailable', 'the server does not answer any more')
    this.#timer = clock.after(keepalive.timeout, () => this.#connection.destroy(lost))
    this.#connection.ping(() => {
      this.#timer?.cancel()
      this.#rest()
    })
  }
}
