/**
 * The client's side of one connection of HTTP/2 (https://www.rfc-editor.org/rfc/rfc9113), as far as calls of gRPC need
 * it: for those Node's own takes ten times as much of the processor. No priorities, no pushes, no table of header
 * fields.
 *
 *   what is sent:      request, send ─▶ windows, frames ─▶ one write for all of a turn ─▶ socket
 *   what is received:  socket ─▶ frames ─▶ receiver of the stream
 */
import type { Socket } from 'node:net'
import { GantryError } from '../../base/errors.ts'
import { FrameReader } from './frame-reader.ts'
import {
  ERROR_CODE,
  FLAG,
  FRAME,
  FRAME_HEADER_LENGTH,
  FRAME_SIZE,
  frame,
  goaway,
  INITIAL_WINDOW,
  PREFACE,
  readSettings,
  reset,
  SETTING,
  settings,
  unpadded,
  windowUpdate,
  writeFrameHead,
} from './frames.ts'
import { HeaderDecoder } from './header-fields.ts'
import { Http2Stream, type Receiver, type StreamOwner } from './stream.ts'

/** Bytes that may come of one stream, and of all together, before more are asked for. */
const STREAM_WINDOW = 4 * 1024 * 1024
const CONNECTION_WINDOW = 16 * 1024 * 1024
/** The numbers of streams end at 2 ** 31: whoever needs more needs another connection. */
const LAST_STREAM = 2 ** 30
const LARGEST_WINDOW = 2 ** 31 - 1
/** As many bytes a frame's length can say at most (https://www.rfc-editor.org/rfc/rfc9113#section-4.1). */
const LARGEST_FRAME = 2 ** 24 - 1
/** Answers to pings and settings that wait for the other side to read them: more would fill the memory. */
const ANSWERS_LIMIT = 10_000
/** Frames in which one block of header fields may come. */
const HEADER_FRAMES_LIMIT = 8

export interface ConnectionEvents {
  /** The other side has sent its settings: it is there and speaks HTTP/2. Once, before anything else. */
  ready(): void
  /** Bytes have come, of whatever kind. */
  word(): void
  /** No stream begins any more; those that are open go on. Once. */
  draining(): void
  /** All is over. Once; the receivers of open streams have heard of it before. */
  ended(error: GantryError): void
}

export class Http2Connection implements StreamOwner {
  readonly #socket: Socket
  readonly #events: ConnectionEvents
  readonly #lastStream: number
  readonly #streams = new Map<number, Http2Stream>()
  readonly #frames = new FrameReader((type, flags, stream, payload) => this.#onFrame(type, flags, stream, payload))
  readonly #headers = new HeaderDecoder()
  /** Of a block of header fields that goes on in the next frame. */
  #block: { readonly stream: number; readonly last: boolean; readonly pieces: Buffer[] } | undefined
  #state: 'beginning' | 'open' | 'draining' | 'ended' = 'beginning'
  #next = 1
  #sendWindow = INITIAL_WINDOW
  #streamSendWindow = INITIAL_WINDOW
  #frameSize = FRAME_SIZE
  #mostStreams = Infinity
  #uncredited = 0
  /** Answers since the socket had last sent all that it was given. */
  #answers = 0
  /** Streams that wait for a larger window, in the order in which they began to. */
  readonly #waiting = new Set<Http2Stream>()
  #out: Buffer[] = []
  #flushing = false
  readonly #pongs: (() => void)[] = []

  /** Streams have odd numbers up to `lastStream`. */
  constructor(socket: Socket, events: ConnectionEvents, lastStream = LAST_STREAM) {
    this.#lastStream = lastStream
    this.#socket = socket
    this.#events = events
    socket.setNoDelay(true)
    socket.on('data', (bytes: Buffer) => this.#onBytes(bytes))
    socket.on('error', (cause) => this.#end(new GantryError('Unavailable', cause.message, { cause })))
    socket.on('end', () => this.#end(new GantryError('Unavailable', 'the other side ended the connection')))
    socket.on('close', () => this.#end(new GantryError('Unavailable', 'the connection is closed')))
    this.#write(PREFACE)
    this.#write(
      settings([
        [SETTING.headerTableSize, 0],
        [SETTING.enablePush, 0],
        [SETTING.initialWindowSize, STREAM_WINDOW],
      ]),
    )
    this.#write(windowUpdate(0, CONNECTION_WINDOW - INITIAL_WINDOW))
  }

  /** Streams that are open. */
  get streams(): number {
    return this.#streams.size
  }

  /** Whether a stream may begin: not while the other side takes no more at a time. */
  get isOpen(): boolean {
    return this.#state === 'open' && this.#streams.size < this.#mostStreams
  }

  /**
   * Begins a stream by encoded header fields, when the connection is open; also before that, by who knows that HTTP/2
   * is spoken. With a body that is all there is to send; without, more may be sent.
   */
  request(head: Buffer, body: Buffer | undefined, receiver: Receiver): Http2Stream {
    const stream = new Http2Stream(this.#next, receiver, this, this.#streamSendWindow)
    this.#next += 2
    this.#streams.set(stream.id, stream)
    if (this.#next > this.#lastStream) this.#drain()
    if (body !== undefined && body.length <= Math.min(this.#sendWindow, stream.sendWindow, this.#frameSize)) {
      this.#writeWhole(stream, head, body)
      return stream
    }
    this.#write(frame(FRAME.headers, FLAG.endHeaders, stream.id, head))
    if (body !== undefined) {
      stream.unsent.push(body)
      stream.isSendingOver = true
      this.pump(stream)
    }
    return stream
  }

  /** Calls back when the other side has answered; never, if the connection ends before. */
  ping(answered: () => void): void {
    this.#pongs.push(answered)
    this.#write(frame(FRAME.ping, 0, 0, Buffer.alloc(8)))
  }

  /** Ends all at once. */
  destroy(error: GantryError): void {
    if (this.#state === 'ended') return
    this.#write(goaway(0, ERROR_CODE.none))
    this.#flush()
    this.#end(error)
  }

  pump(stream: Http2Stream): void {
    const { unsent } = stream
    while (unsent.length > 0) {
      const bytes = unsent[0]!
      const size = Math.min(bytes.length, this.#sendWindow, stream.sendWindow, this.#frameSize)
      if (size <= 0 && bytes.length > 0) {
        this.#waiting.add(stream)
        return
      }
      const isAll = size === bytes.length
      if (isAll) unsent.shift()
      else unsent[0] = bytes.subarray(size)
      const last = isAll && unsent.length === 0 && stream.isSendingOver
      this.#sendWindow -= size
      stream.sendWindow -= size
      this.#write(frame(FRAME.data, last ? FLAG.endStream : 0, stream.id, bytes.subarray(0, size)))
      if (last && stream.isReceivingOver) return this.#close(stream)
    }
    this.#waiting.delete(stream)
    stream.onEmpty()
  }

  credit(stream: Http2Stream, bytes: number): void {
    stream.uncredited += bytes
    if (stream.uncredited < STREAM_WINDOW / 2 || stream.isReceivingOver) return
    this.#write(windowUpdate(stream.id, stream.uncredited))
    stream.received -= stream.uncredited
    stream.uncredited = 0
  }

  reset(stream: Http2Stream, code: number): void {
    this.#write(reset(stream.id, code))
    this.#close(stream)
  }

  /** The most usual request: one small frame of each kind, in one piece. */
  #writeWhole(stream: Http2Stream, head: Buffer, body: Buffer): void {
    const bytes = Buffer.allocUnsafe(2 * FRAME_HEADER_LENGTH + head.length + body.length)
    const { id } = stream
    let at = writeFrameHead(bytes, 0, { length: head.length, type: FRAME.headers, flags: FLAG.endHeaders, stream: id })
    bytes.set(head, at)
    at += head.length
    at = writeFrameHead(bytes, at, { length: body.length, type: FRAME.data, flags: FLAG.endStream, stream: id })
    bytes.set(body, at)
    this.#sendWindow -= body.length
    stream.isSendingOver = true
    this.#write(bytes)
  }

  /** All that is written in a turn goes to the socket together. */
  #write(bytes: Buffer): void {
    this.#out.push(bytes)
    if (this.#flushing) return
    this.#flushing = true
    process.nextTick(() => this.#flush())
  }

  /** Writes what the other side makes this one say. */
  #answer(bytes: Buffer): void {
    if (this.#socket.writableLength === 0) this.#answers = 0
    if (++this.#answers > ANSWERS_LIMIT) throw new RangeError('pings or settings, of which no answer is read')
    this.#write(bytes)
  }

  #flush(): void {
    this.#flushing = false
    const out = this.#out
    this.#out = []
    if (this.#state !== 'ended' && out.length > 0) this.#socket.write(out.length === 1 ? out[0]! : Buffer.concat(out))
  }

  #onBytes(bytes: Buffer): void {
    if (this.#state === 'ended') return
    this.#events.word()
    try {
      this.#frames.push(bytes)
    } catch (cause) {
      if (!(cause instanceof RangeError)) throw cause
      this.#write(goaway(0, ERROR_CODE.protocol))
      this.#flush()
      this.#end(new GantryError('Unavailable', `the other side does not speak HTTP/2: ${cause.message}`, { cause }))
    }
  }

  #onFrame(type: number, flags: number, id: number, payload: Buffer): void {
    if (this.#state === 'ended') return
    if (this.#state === 'beginning' && type !== FRAME.settings) throw new RangeError('settings must come first')
    const continued = this.#block?.stream
    if (continued === undefined ? type === FRAME.continuation : type !== FRAME.continuation || id !== continued)
      throw new RangeError('header fields are not continued as they should be')
    switch (type) {
      case FRAME.data:
        return this.#onData(flags, id, payload)
      case FRAME.headers:
        return this.#onHeaders(flags, id, unpadded(payload, flags, true), (flags & FLAG.endStream) !== 0)
      case FRAME.continuation:
        return this.#onHeaders(flags, id, payload, this.#block!.last)
      case FRAME.reset:
        return this.#onReset(id, payload.readUInt32BE(0))
      case FRAME.settings:
        return this.#onSettings(flags, payload)
      case FRAME.ping:
        if ((flags & FLAG.ack) === 0) this.#answer(frame(FRAME.ping, FLAG.ack, 0, payload))
        else this.#pongs.shift()?.()
        return
      case FRAME.goaway:
        return this.#onGoaway(payload.readUInt32BE(0) & 0x7fff_ffff, payload.readUInt32BE(4))
      case FRAME.windowUpdate:
        return this.#onWindowUpdate(id, payload.readUInt32BE(0) & 0x7fff_ffff)
      case FRAME.pushPromise:
        throw new RangeError('a push, which nobody takes')
      default: // Priorities, and what this version of HTTP/2 does not know.
    }
  }

  #onData(flags: number, id: number, payload: Buffer): void {
    // What fills a frame counts, too, also of a stream that is closed.
    this.#uncredited += payload.length
    if (this.#uncredited >= CONNECTION_WINDOW / 2) {
      this.#write(windowUpdate(0, this.#uncredited))
      this.#uncredited = 0
    }
    const stream = this.#receivingStream(id)
    if (stream === undefined) return
    stream.received += payload.length
    if (stream.received > STREAM_WINDOW) throw new RangeError('more data than there is room for')
    const bytes = unpadded(payload, flags, false)
    if (bytes.length < payload.length) this.credit(stream, payload.length - bytes.length)
    const last = (flags & FLAG.endStream) !== 0
    if (last) this.#receivedAll(stream)
    stream.receiver.data(bytes, last)
  }

  #onHeaders(flags: number, id: number, piece: Buffer, last: boolean): void {
    const pieces = [...(this.#block?.pieces ?? []), piece]
    if ((flags & FLAG.endHeaders) === 0) {
      if (pieces.length === HEADER_FRAMES_LIMIT) throw new RangeError('header fields without end')
      this.#block = { stream: id, last, pieces }
      return
    }
    this.#block = undefined
    const fields = this.#headers.decode(pieces.length === 1 ? piece : Buffer.concat(pieces))
    const stream = this.#receivingStream(id)
    if (stream === undefined) return
    if (last) this.#receivedAll(stream)
    stream.receiver.headers(fields, last)
  }

  #onReset(id: number, code: number): void {
    const stream = this.#streamOf(id)
    if (stream === undefined) return
    this.#close(stream)
    // After all that comes it only says that the rest of the request is of no use.
    if (stream.isReceivingOver) return
    const error = new GantryError('Unavailable', `the stream was reset with code ${code}`)
    stream.receiver.broke({ refused: code === ERROR_CODE.refusedStream, error })
  }

  #onSettings(flags: number, payload: Buffer): void {
    if ((flags & FLAG.ack) !== 0) return
    for (const [setting, value] of readSettings(payload)) {
      if (setting === SETTING.maxConcurrentStreams) this.#mostStreams = value
      else if (setting === SETTING.maxFrameSize) this.#frameSize = Math.min(Math.max(FRAME_SIZE, value), LARGEST_FRAME)
      else if (setting === SETTING.initialWindowSize) {
        if (value > LARGEST_WINDOW) throw new RangeError('a window that is too large')
        for (const stream of this.#streams.values()) stream.sendWindow += value - this.#streamSendWindow
        this.#streamSendWindow = value
      }
    }
    this.#answer(frame(FRAME.settings, FLAG.ack, 0))
    this.#pumpAll()
    if (this.#state !== 'beginning') return
    this.#state = 'open'
    this.#events.ready()
  }

  #onWindowUpdate(id: number, increment: number): void {
    if (id === 0) {
      this.#sendWindow += increment
      if (this.#sendWindow > LARGEST_WINDOW) throw new RangeError('a window that is too large')
      return this.#pumpAll()
    }
    const stream = this.#streamOf(id)
    if (stream === undefined) return
    stream.sendWindow += increment
    if (this.#waiting.has(stream)) this.pump(stream)
  }

  #onGoaway(last: number, code: number): void {
    if (code !== ERROR_CODE.none)
      return this.#end(new GantryError('Unavailable', `the other side ended the connection with code ${code}`))
    this.#drain()
    const error = new GantryError('Unavailable', 'the other side ends the connection')
    for (const stream of [...this.#streams.values()].filter(({ id }) => id > last)) {
      this.#close(stream)
      stream.receiver.broke({ refused: true, error })
    }
  }

  /** Undefined for a stream that is closed already. */
  #streamOf(id: number): Http2Stream | undefined {
    const stream = this.#streams.get(id)
    if (stream === undefined && (id % 2 === 0 || id >= this.#next)) throw new RangeError(`there is no stream ${id}`)
    return stream
  }

  /** A stream on which something may come; undefined for one that is closed already. */
  #receivingStream(id: number): Http2Stream | undefined {
    const stream = this.#streamOf(id)
    if (stream?.isReceivingOver === true) throw new RangeError(`something comes after the end of stream ${id}`)
    return stream
  }

  #receivedAll(stream: Http2Stream): void {
    stream.isReceivingOver = true
    if (stream.isSendingOver && stream.unsent.length === 0) this.#close(stream)
  }

  #close(stream: Http2Stream): void {
    stream.isClosed = true
    stream.unsent.length = 0
    this.#streams.delete(stream.id)
    this.#waiting.delete(stream)
    stream.onEmpty()
  }

  #pumpAll(): void {
    for (const stream of [...this.#waiting]) {
      if (this.#sendWindow <= 0) return
      this.pump(stream)
    }
  }

  #drain(): void {
    if (this.#state !== 'open') return
    this.#state = 'draining'
    this.#events.draining()
  }

  #end(error: GantryError): void {
    if (this.#state === 'ended') return
    this.#state = 'ended'
    this.#pongs.length = 0
    this.#out.length = 0
    const open = [...this.#streams.values()]
    for (const stream of open) this.#close(stream)
    this.#socket.destroy()
    for (const { receiver } of open) receiver.broke({ refused: false, error })
    this.#events.ended(error)
  }
}
