/**
 * One connection to a member and the calls on it.
 *
 *   open ── GOAWAY, close() ──▶ draining ── the last call has ended ──▶ ended
 *     └────────── broken, silent, or no HTTP/2 ────────────────────────▶ ended: its calls fail as Unavailable
 *
 * While a call is open and nothing is heard of the member, it is asked by a ping whether it still lives. Without a call
 * nobody asks: etcd ends connections that ping while idle, or more often than every five seconds (its flag
 * --grpc-keepalive-min-time).
 */
import type { Clock, Timer } from '../../../proto/base/clock.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import type { Http2Connection } from '../../../proto/rpc/http2/connection.ts'
import { encodeHeaderFields } from '../../../proto/rpc/http2/header-fields.ts'
import { MessageStream } from './message-stream.ts'
import { UnaryCall, type CallEnd } from './unary-call.ts'

/** 500 objects of ordinary size fit; EtcdStore asks for less where they do not. */
export const MESSAGE_LIMIT = 64 * 1024 * 1024

/** Milliseconds without a word until a member is asked whether it lives, by who waits for an answer or only listens. */
const SILENCE_OF_ANSWER_MS = 1_000
const SILENCE_OF_STREAM_MS = 10_000
/** Milliseconds between two pings at least, and until one must be answered. */
const PING_INTERVAL_MS = 6_000
const PING_TIMEOUT_MS = 3_000

export class GrpcTransport {
  readonly #connection: Http2Connection
  readonly #fields: Readonly<Record<string, string>>
  /** Most calls begin alike: with the same method, and all of their time before them. */
  readonly #heads = new Map<string, { readonly millis: number; readonly head: Buffer }>()
  readonly #clock: Clock
  #isClosing = false
  #isEnded = false
  /** Calls that wait for an answer, and streams that listen. */
  #answers = 0
  #streams = 0
  /** When the member was heard last, or a call began after none was open. */
  #heard: number
  #pinged = -Infinity
  #pinging: Timer | undefined
  #look: Timer | undefined
  #lookAt = 0

  /** Takes over a connection whose member has sent its settings. */
  constructor(connection: Http2Connection, scheme: 'http' | 'https', authority: string, clock: Clock) {
    this.#connection = connection
    this.#clock = clock
    this.#heard = clock.monotonic()
    // Those with a colon come first: ':path', which is added, before these.
    this.#fields = {
      ':method': 'POST',
      ':scheme': scheme,
      ':authority': authority,
      'content-type': 'application/grpc',
      te: 'trailers',
    }
  }

  /** Whether calls may begin here. */
  get open(): boolean {
    return !this.#isClosing && this.#connection.isOpen
  }

  /** A ping is not answered yet: perhaps it will not be. */
  get silent(): boolean {
    return this.#pinging !== undefined
  }

  /** Asks for one answer within so many milliseconds. The request is a frame: see framing.ts. Never rejects. */
  unary(path: string, request: Buffer, millis: number): Promise<CallEnd> {
    return new Promise((resolve) => {
      if (!this.open)
        return resolve({ is: 'refused', error: new GantryError('Unavailable', 'etcd: the member takes no more calls') })
      const call = new UnaryCall(MESSAGE_LIMIT, (end) => {
        this.#answers--
        this.#endIfDone()
        resolve(end)
      })
      this.#begin(true)
      // As with a ping: while this thread was busy the answer may have come.
      call.timer = this.#clock.after(millis, () => setImmediate(() => call.giveUp(millis)))
      call.stream = this.#connection.request(this.#unaryHead(path, Math.max(1, Math.ceil(millis))), request, call)
    })
  }

  /** A stream of messages in both directions, until either side ends it. Unavailable if it cannot begin. */
  stream(path: string, metadata: Readonly<Record<string, string>>): MessageStream {
    if (!this.open) throw new GantryError('Unavailable', 'etcd: the member takes no more calls')
    const stream = new MessageStream(MESSAGE_LIMIT, () => {
      this.#streams--
      this.#endIfDone()
    })
    this.#begin(false)
    const head = encodeHeaderFields({ ':path': path, ...this.#fields, ...metadata })
    stream.begin(this.#connection.request(head, undefined, stream))
    return stream
  }

  /** No call begins any more; the connection ends with the last one that is open. */
  close(): void {
    this.#isClosing = true
    this.#endIfDone()
  }

  /** For who listens to the connection: bytes have come. */
  onWord(): void {
    this.#heard = this.#clock.monotonic()
  }

  /** For who listens to the connection: it has ended. */
  onEnd(): void {
    this.#isEnded = true
    this.#look?.cancel()
    this.#look = undefined
    this.#pinging?.cancel()
    this.#pinging = undefined
  }

  #unaryHead(path: string, millis: number): Buffer {
    const known = this.#heads.get(path)
    if (known?.millis === millis) return known.head
    const head = encodeHeaderFields({ ':path': path, ...this.#fields, 'grpc-timeout': `${millis}m` })
    this.#heads.set(path, { millis, head })
    return head
  }

  #begin(answer: boolean): void {
    const now = this.#clock.monotonic()
    if (this.#answers + this.#streams === 0) this.#heard = now
    if (answer) this.#answers++
    else this.#streams++
    this.#lookWithin(answer ? SILENCE_OF_ANSWER_MS : SILENCE_OF_STREAM_MS, now)
  }

  #endIfDone(): void {
    if (this.#isClosing && this.#answers + this.#streams === 0)
      this.#connection.destroy(new GantryError('Unavailable', 'the connection to etcd is closed'))
  }

  #lookWithin(millis: number, now: number): void {
    if (this.#look !== undefined && this.#lookAt <= now + millis) return
    this.#look?.cancel()
    this.#lookAt = now + millis
    this.#look = this.#clock.after(millis, () => {
      this.#look = undefined
      this.#lookWhetherSilent()
    })
  }

  #lookWhetherSilent(): void {
    if (this.#answers + this.#streams === 0 || this.#pinging !== undefined || this.#isEnded) return
    const now = this.#clock.monotonic()
    const silence = this.#answers > 0 ? SILENCE_OF_ANSWER_MS : SILENCE_OF_STREAM_MS
    const due = Math.max(this.#heard + silence, this.#pinged + PING_INTERVAL_MS)
    if (due > now) this.#lookWithin(due - now, now)
    else this.#ping(now)
  }

  #ping(now: number): void {
    this.#pinged = now
    // The answer may be here and wait for its turn: only what has not come after one more is missing.
    const timer = this.#clock.after(PING_TIMEOUT_MS, () =>
      setImmediate(() => {
        if (this.#pinging === timer)
          this.#connection.destroy(new GantryError('Unavailable', 'the member does not answer'))
      }),
    )
    this.#pinging = timer
    this.#connection.ping(() => {
      timer.cancel()
      this.#pinging = undefined
      this.#lookWhetherSilent()
    })
  }
}
