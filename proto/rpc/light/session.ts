/**
 * The client's end of a connection of HTTP/2 (RFC 9113): streams side by side, each with its share of flow control.
 * What breaks a rule of the protocol ends the connection.
 */
import type { Socket } from 'node:net'
import type { Clock, Timer } from '../../base/clock.ts'
import { GantryError, type ErrorCode } from '../../base/errors.ts'
import type { KeepaliveOptions } from '../contract.ts'
import {
  encodeFrame,
  FAULT,
  FLAG,
  FRAME,
  frameHead,
  FrameReader,
  PREFACE,
  SETTING,
  settingsPayload,
  uint32,
  withoutPadding,
  type Frame,
} from './frames.ts'
import { decodeHeaders, encodeHeaders, type Header } from './hpack.ts'

/** What the server may send before it has to wait, on a stream and on all together, and in one frame. */
const STREAM_WINDOW = 1024 * 1024
const CONNECTION_WINDOW = 2 ** 31 - 1
const LONGEST_FRAME = 1024 * 1024
/** What either may send until the other says otherwise (section 6.9.2), and in one frame (6.5.2). */
const FIRST_WINDOW = 65_535
const FIRST_FRAME_SIZE = 16_384
/** Bytes of the headers of one answer at most. */
const HEADERS_LIMIT = 1024 * 1024

/** What comes on a stream. After `ended` or `lost` nothing does. */
export interface StreamListener {
  /** Those that begin an answer, and those that trail it. */
  onHeaders(headers: readonly Header[]): void
  onData(chunk: Buffer): void
  /** The server has said all. */
  onEnded(): void
  /** The server gave the stream up, or the connection is gone. */
  onLost(error: GantryError): void
}

export interface SessionOptions {
  readonly socket: Socket
  /** The server, as in ":scheme" and ":authority". */
  readonly scheme: 'http' | 'https'
  readonly authority: string
  readonly keepalive: KeepaliveOptions
  readonly clock: Clock
  /** Called once, when no further stream can be opened. */
  readonly onClosing: () => void
}

/**
 * What a fault that a server gives a stream up for is to a caller.
 * https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#errors
 */
const CODES: Readonly<Record<number, ErrorCode>> = {
  [FAULT.refusedStream]: 'Unavailable',
  [FAULT.cancel]: 'Cancelled',
  [FAULT.enhanceYourCalm]: 'ResourceExhausted',
}

interface Greeting {
  readonly resolve: () => void
  readonly reject: (error: GantryError) => void
}

export class ClientSession {
  /** Resolves once the server has spoken HTTP/2; rejects if the connection ends before. */
  readonly greeted: Promise<void>
  readonly #options: SessionOptions
  readonly #reader = new FrameReader(LONGEST_FRAME)
  readonly #streams = new Map<number, ClientStream>()
  #greet!: Greeting
  #next = 1
  #isClosing = false
  #isGone = false
  /** The block of headers that is coming: no other frame may stand between its frames (section 6.10). */
  #block: { readonly stream: number; readonly endStream: boolean; readonly parts: Buffer[]; length: number } | undefined
  /** Bytes that the server takes now, of all streams; and what a new stream begins with. */
  #room = FIRST_WINDOW
  #streamRoom = FIRST_WINDOW
  #frameSize = FIRST_FRAME_SIZE
  /** Bytes of all streams that have come since the server was last given more room. */
  #received = 0
  #timer: Timer | undefined

  constructor(options: SessionOptions) {
    this.#options = options
    const { socket } = options
    this.greeted = new Promise((resolve, reject) => (this.#greet = { resolve, reject }))
    this.greeted.catch(() => undefined) // whoever waits is told
    socket.on('data', (chunk: Buffer) => this.#take(chunk))
    socket.on('drain', () => this.#flush())
    socket.on('error', (error) => this.#lose(GantryError.from(error, 'Unavailable')))
    socket.on('close', () => this.#lose(new GantryError('Unavailable', 'the server closed the connection')))
    socket.write(
      Buffer.concat([
        PREFACE,
        encodeFrame(
          FRAME.settings,
          0,
          0,
          settingsPayload([
            [SETTING.headerTableSize, 0],
            [SETTING.enablePush, 0],
            [SETTING.initialWindowSize, STREAM_WINDOW],
            [SETTING.maxFrameSize, LONGEST_FRAME],
          ]),
        ),
        encodeFrame(FRAME.windowUpdate, 0, 0, uint32(CONNECTION_WINDOW - FIRST_WINDOW)),
      ]),
    )
    this.#rest()
  }

  /** No further stream can be opened. */
  get isClosing(): boolean {
    return this.#isClosing
  }

  /**
   * A stream for a request of that method, path and further headers; what is sent on it before the next turn goes out
   * with them.
   */
  open(method: string, path: string, headers: readonly Header[], listener: StreamListener): ClientStream {
    const { socket, scheme, authority } = this.#options
    const id = this.#next
    this.#next += 2
    const stream = new ClientStream(id, listener, this.#streamRoom, {
      write: (type, flags, payload) => this.#write(type, flags, id, payload),
      flush: () => this.#flush(),
      closed: () => this.#forget(id),
    })
    this.#streams.set(id, stream)
    socket.cork()
    process.nextTick(() => socket.uncork())
    const target: Header[] = [
      [':method', method],
      [':scheme', scheme],
      [':path', path],
      [':authority', authority],
    ]
    this.#write(FRAME.headers, FLAG.endHeaders, id, encodeHeaders([...target, ...headers]))
    return stream
  }

  /** Opens no further stream, and ends when those that there are have ended. */
  finish(): void {
    this.#closing()
    if (this.#streams.size === 0) this.#end()
  }

  #closing(): void {
    if (this.#isClosing) return
    this.#isClosing = true
    this.#options.onClosing()
  }

  #end(): void {
    this.#timer?.cancel()
    this.#options.socket.end()
    // A server that does not close its side is not waited for.
    this.#options.socket.unref()
  }

  #forget(id: number): void {
    this.#streams.delete(id)
    if (this.#isClosing && this.#streams.size === 0) this.#end()
  }

  #lose(error: GantryError): void {
    if (this.#isGone) return
    this.#isGone = true
    this.#timer?.cancel()
    this.#greet.reject(error)
    this.#closing()
    for (const stream of [...this.#streams.values()]) stream.lose(error)
    this.#options.socket.destroy()
  }

  /** From time to time the server is asked whether it is there. */
  #ask(): void {
    const { clock, keepalive } = this.#options
    this.#write(FRAME.ping, 0, 0, Buffer.alloc(8))
    const lost = (): void => this.#lose(new GantryError('Unavailable', 'the server does not answer any more'))
    this.#timer = clock.after(keepalive.timeout, lost)
  }

  #rest(): void {
    const { clock, keepalive } = this.#options
    this.#timer?.cancel()
    if (!this.#isGone && !this.#options.socket.writableEnded)
      this.#timer = clock.after(keepalive.time, () => this.#ask())
  }

  #take(chunk: Buffer): void {
    try {
      for (const frame of this.#reader.push(chunk)) {
        if (this.#isGone) return
        this.#handle(frame)
      }
    } catch (thrown) {
      if (!(thrown instanceof RangeError)) throw thrown
      this.#fail(FAULT.protocol, thrown.message)
    }
  }

  #handle(frame: Frame): void {
    const { type, flags, stream, payload } = frame
    if (this.#block !== undefined && (type !== FRAME.continuation || stream !== this.#block.stream))
      throw new RangeError('headers are cut off by another frame')
    switch (type) {
      case FRAME.data:
        return this.#data(frame)
      case FRAME.headers: {
        const fragment = withoutPadding(frame).subarray((flags & FLAG.priority) === 0 ? 0 : 5)
        this.#block = { stream, endStream: (flags & FLAG.endStream) !== 0, parts: [], length: 0 }
        return this.#fragment(fragment, (flags & FLAG.endHeaders) !== 0)
      }
      case FRAME.continuation:
        return this.#fragment(payload, (flags & FLAG.endHeaders) !== 0)
      case FRAME.resetStream:
        this.#streams.get(stream)?.lose(resetError(fieldOf(payload, 0)))
        return
      case FRAME.settings:
        return this.#settings(flags, payload)
      case FRAME.ping:
        if ((flags & FLAG.acknowledged) === 0) this.#write(FRAME.ping, FLAG.acknowledged, 0, payload)
        else this.#rest()
        return
      case FRAME.goAway:
        return this.#goAway(fieldOf(payload, 0) & CONNECTION_WINDOW)
      case FRAME.windowUpdate: {
        const more = fieldOf(payload, 0) & CONNECTION_WINDOW
        if (stream === 0) this.#room += more
        else this.#streams.get(stream)?.addRoom(more)
        return this.#flush()
      }
      case FRAME.pushPromise:
        throw new RangeError('the server pushes, which was not allowed')
      default: // priorities, and what is not known (section 5.5)
    }
  }

  #data(frame: Frame): void {
    const { flags, stream: id, payload } = frame
    this.#received += payload.length
    // The streams' own windows hold the server back.
    if (this.#received > CONNECTION_WINDOW / 2) {
      this.#write(FRAME.windowUpdate, 0, 0, uint32(this.#received))
      this.#received = 0
    }
    const stream = this.#streams.get(id)
    if (stream === undefined) return // given up meanwhile
    const data = withoutPadding(frame)
    stream.receive(data, payload.length)
    if ((flags & FLAG.endStream) !== 0) stream.receiveEnd()
  }

  #fragment(fragment: Buffer, isLast: boolean): void {
    const block = this.#block
    if (block === undefined) throw new RangeError('headers are continued that were not begun')
    block.parts.push(fragment)
    block.length += fragment.length
    if (block.length > HEADERS_LIMIT) throw new RangeError(`headers have more than ${HEADERS_LIMIT} bytes`)
    if (!isLast) return
    this.#block = undefined
    const headers = decodeHeaders(block.parts.length === 1 ? block.parts[0]! : Buffer.concat(block.parts))
    const stream = this.#streams.get(block.stream)
    stream?.receiveHeaders(headers)
    if (block.endStream) stream?.receiveEnd()
  }

  #settings(flags: number, payload: Buffer): void {
    if ((flags & FLAG.acknowledged) !== 0) return
    for (let at = 0; at + 6 <= payload.length; at += 6) {
      const [setting, value] = [payload.readUInt16BE(at), payload.readUInt32BE(at + 2)]
      if (setting === SETTING.initialWindowSize) {
        for (const stream of this.#streams.values()) stream.addRoom(value - this.#streamRoom)
        this.#streamRoom = value
      } else if (setting === SETTING.maxFrameSize) this.#frameSize = value
    }
    this.#write(FRAME.settings, FLAG.acknowledged, 0)
    this.#greet.resolve()
    this.#flush()
  }

  /** Streams behind the last that the server has seen were not begun: elsewhere they can be. */
  #goAway(last: number): void {
    const error = new GantryError('Unavailable', 'the server is going away')
    this.#closing()
    for (const [id, stream] of [...this.#streams]) if (id > last) stream.lose(error)
    if (this.#streams.size === 0) this.#end()
  }

  #fail(fault: number, message: string): void {
    this.#write(FRAME.goAway, 0, 0, Buffer.concat([uint32(0), uint32(fault)]))
    this.#lose(new GantryError('Unavailable', `the server breaks the rules of HTTP/2: ${message}`))
  }

  #write(type: number, flags: number, stream: number, payload?: Uint8Array): void {
    if (!this.#options.socket.destroyed) this.#options.socket.write(encodeFrame(type, flags, stream, payload))
  }

  /** Sends what waits, as far as the server and the socket have room for it. */
  #flush(): void {
    const { socket } = this.#options
    for (const stream of this.#streams.values()) {
      while (!socket.writableNeedDrain && !socket.destroyed) {
        const piece = stream.take(Math.min(this.#room, this.#frameSize))
        if (piece === undefined) break
        this.#room -= piece.bytes.length
        socket.write(frameHead(FRAME.data, piece.isLast ? FLAG.endStream : 0, stream.id, piece.bytes.length))
        if (piece.bytes.length > 0) socket.write(piece.bytes)
      }
    }
  }
}

/** What a stream has of its session. */
interface StreamOutput {
  write(type: number, flags: number, payload: Uint8Array): void
  flush(): void
  closed(): void
}

export class ClientStream {
  readonly id: number
  readonly #listener: StreamListener
  readonly #output: StreamOutput
  #isOver = false
  /** Bytes that the server takes now. */
  #room: number
  #waiting: Buffer[] = []
  #isLast = false
  #isSent = false
  #onSent: (() => void)[] = []
  /** Bytes that have come and that the server has not been given new room for; those of them that have been taken. */
  #held = 0
  #taken = 0

  constructor(id: number, listener: StreamListener, room: number, output: StreamOutput) {
    this.id = id
    this.#listener = listener
    this.#room = room
    this.#output = output
  }

  /** Nothing more comes or goes. */
  get isOver(): boolean {
    return this.#isOver
  }

  /** Resolves once it is on its way, or the stream is over. */
  send(bytes: Buffer): Promise<void> {
    if (this.#isOver) return Promise.resolve()
    this.#waiting.push(bytes)
    this.#output.flush()
    if (this.#waiting.length === 0) return Promise.resolve()
    return new Promise((resolve) => this.#onSent.push(resolve))
  }

  /** Sends nothing more after what waits. */
  end(): void {
    if (this.#isOver) return
    this.#isLast = true
    this.#output.flush()
  }

  /** Gives the stream up, if it is not over. */
  reset(): void {
    if (this.#isOver) return
    this.#output.write(FRAME.resetStream, 0, uint32(FAULT.cancel))
    this.#close()
  }

  /** So many bytes of data have been taken: the server may send as many more. */
  credit(bytes: number): void {
    this.#taken += bytes
    if (this.#isOver || this.#taken < STREAM_WINDOW / 4) return
    this.#output.write(FRAME.windowUpdate, 0, uint32(this.#taken))
    this.#held -= this.#taken
    this.#taken = 0
  }

  // What follows is the session's.

  addRoom(bytes: number): void {
    this.#room += bytes
  }

  /** The next bytes to send, `most` at most; undefined if there is nothing, or no room. */
  take(most: number): { readonly bytes: Buffer; readonly isLast: boolean } | undefined {
    const [first] = this.#waiting
    if (first === undefined) {
      if (!this.#isLast || this.#isSent) return undefined
      this.#isSent = true
      return { bytes: Buffer.alloc(0), isLast: true }
    }
    const length = Math.min(first.length, most, this.#room)
    if (length <= 0) return undefined
    this.#room -= length
    if (length === first.length) this.#waiting.shift()
    else this.#waiting[0] = first.subarray(length)
    if (this.#waiting.length === 0) for (const sent of this.#onSent.splice(0)) sent()
    this.#isSent = this.#isLast && this.#waiting.length === 0
    return { bytes: first.subarray(0, length), isLast: this.#isSent }
  }

  receiveHeaders(headers: readonly Header[]): void {
    this.#listener.onHeaders(headers)
  }

  /** `length`: with padding. */
  receive(data: Buffer, length: number): void {
    this.#held += length
    if (this.#held > STREAM_WINDOW) throw new RangeError('the server sends more than was allowed')
    if (length > data.length) this.credit(length - data.length)
    if (data.length > 0) this.#listener.onData(data)
  }

  receiveEnd(): void {
    if (this.#isOver) return
    // What the server does not want to hear any more is not sent.
    if (!this.#isSent) this.#output.write(FRAME.resetStream, 0, uint32(FAULT.cancel))
    this.#close()
    this.#listener.onEnded()
  }

  lose(error: GantryError): void {
    if (this.#isOver) return
    this.#close()
    this.#listener.onLost(error)
  }

  #close(): void {
    this.#isOver = true
    this.#waiting = []
    for (const sent of this.#onSent.splice(0)) sent()
    this.#output.closed()
  }
}

function resetError(fault: number): GantryError {
  return new GantryError(CODES[fault] ?? 'Internal', `the server gave up the call (HTTP/2 error ${fault})`)
}

/** RangeError for a payload that is too short. */
function fieldOf(payload: Buffer, at: number): number {
  if (payload.length < at + 4) throw new RangeError('a frame is cut off')
  return payload.readUInt32BE(at)
}
