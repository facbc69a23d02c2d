/**
 * A SPDY/3.1 session, from the server's side: the client opens streams. There are no windows, as in Kubernetes' own
 * implementation: whoever is too fast is slowed down by TCP, so a stream that nobody reads holds up the others of its
 * session.
 */
import type { Duplex } from 'node:stream'
import { GantryError } from '../../../../proto/base/errors.ts'
import { Channel } from '../../../../proto/base/channel.ts'
import type { Clock } from '../../../../proto/base/clock.ts'
import { waitForDrain } from '../../../../proto/base/wait-for-drain.ts'
import { FrameReader, FrameWriter, RESET, type Frame } from './frames.ts'

/** Pieces of a stream that wait to be read at most; then nothing more is read from the client. */
const MAX_UNREAD_CHUNKS = 16
/** Bytes that wait to be sent at most before anything more is read: a client that takes no answers asks no more. */
const MAX_UNSENT_BYTES = 1024 * 1024
/** Milliseconds between pings, so that whatever stands in between sees the connection in use. */
const PING = 30_000
/** Milliseconds for the client to close a connection that is over. */
const CLOSE_TIMEOUT_MS = 5_000

export interface SpdySessionParts {
  readonly socket: Duplex
  /** Came with the upgrade already. */
  readonly head: Buffer
  readonly clock: Clock
  /** Streams open at a time; more are refused. */
  readonly limit: number
  /** A stream was opened; it is to be accepted or reset at once. */
  readonly opened: (stream: SpdyStream) => void
}

export class SpdySession {
  readonly #parts: SpdySessionParts
  readonly #reader = new FrameReader()
  readonly #writer = new FrameWriter()
  readonly #streams = new Map<number, SpdyStream>()
  #last = 0
  #over = false
  #drained: Promise<void> | undefined

  constructor(parts: SpdySessionParts) {
    this.#parts = parts
  }

  /** Until the connection has ended. Never rejects: how it ended, every stream is told. */
  async run(signal: AbortSignal): Promise<void> {
    const { socket, head } = this.#parts
    const abort = (): void => void socket.destroy()
    signal.addEventListener('abort', abort, { once: true })
    if (signal.aborted) abort()
    const pings = this.#ping()
    let reason: unknown = new GantryError('Cancelled', 'the caller went away')
    try {
      await this.#take(head)
      for await (const chunk of socket as AsyncIterable<Buffer>) await this.#take(chunk)
    } catch (thrown) {
      reason = thrown
    } finally {
      pings()
      signal.removeEventListener('abort', abort)
      this.#over = true
      for (const stream of this.#streams.values()) stream.lost(reason)
      this.#streams.clear()
      socket.destroy()
    }
  }

  /** What has been written still arrives. */
  close(): void {
    if (this.#over) return
    this.#over = true
    const { socket, clock } = this.#parts
    socket.write(this.#writer.goAway(this.#last))
    socket.end()
    const late = clock.after(CLOSE_TIMEOUT_MS, () => socket.destroy())
    socket.once('close', () => late.cancel())
  }

  async #take(bytes: Buffer): Promise<void> {
    const { socket } = this.#parts
    for (const frame of this.#reader.push(bytes)) {
      this.#answer(frame)
      const stream = frame.is === 'data' ? this.#streams.get(frame.streamId) : undefined
      await stream?.incoming.waitForRoom(MAX_UNREAD_CHUNKS)
    }
    if (socket.writableLength > MAX_UNSENT_BYTES) await this.#room()
  }

  #answer(frame: Frame): void {
    switch (frame.is) {
      case 'syn-stream':
        return this.#open(frame.streamId, frame.headers, frame.fin)
      case 'data':
        return this.#streams.get(frame.streamId)?.received(frame.data, frame.fin)
      case 'headers':
      case 'syn-reply':
        return frame.fin ? this.#streams.get(frame.streamId)?.received(Buffer.alloc(0), true) : undefined
      case 'rst-stream': {
        this.#streams.get(frame.streamId)?.lost(new GantryError('Cancelled', 'the client reset the stream'))
        return void this.#streams.delete(frame.streamId)
      }
      case 'ping':
        return frame.id % 2 === 1 ? this.#send(this.#writer.ping(frame.id)) : undefined
      // What is open goes on to its end.
      case 'goaway':
        return undefined
    }
  }

  #open(id: number, headers: ReadonlyMap<string, string>, fin: boolean): void {
    if (this.#over) return
    if (id % 2 === 0 || id <= this.#last) return this.#send(this.#writer.rstStream(id, RESET.protocolError))
    this.#last = id
    if (this.#streams.size >= this.#parts.limit) return this.#send(this.#writer.rstStream(id, RESET.refusedStream))
    const stream = new SpdyStream(id, headers, {
      accept: () => this.#send(this.#writer.synReply(id)),
      data: async (data, last) => {
        while (this.#parts.socket.writableNeedDrain && !this.#over) await this.#room()
        this.#send(this.#writer.data(id, data, last))
      },
      reset: (status) => this.#send(this.#writer.rstStream(id, status)),
      done: () => void this.#streams.delete(id),
    })
    this.#streams.set(id, stream)
    this.#parts.opened(stream)
    if (fin) stream.received(Buffer.alloc(0), true)
  }

  #send(frame: Buffer): void {
    const { socket } = this.#parts
    if (!this.#over && socket.writable) socket.write(frame)
  }

  /** Resolves when the connection takes more, or is over. */
  #room(): Promise<void> {
    // One for all who wait.
    return (this.#drained ??= waitForDrain(this.#parts.socket).then(() => void (this.#drained = undefined)))
  }

  #ping(): () => void {
    let id = 2
    const tell = (): void => {
      this.#send(this.#writer.ping(id))
      id = id === 0x7fff_fffe ? 2 : id + 2
      timer = this.#parts.clock.after(PING, tell)
    }
    let timer = this.#parts.clock.after(PING, tell)
    return () => timer.cancel()
  }
}

interface StreamSide {
  readonly accept: () => void
  readonly data: (data: Uint8Array, last: boolean) => Promise<void>
  readonly reset: (status: number) => void
  readonly done: () => void
}

export class SpdyStream {
  readonly id: number
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>
  /**
   * What the client sends. Ends with the client's side of the stream; throws if the stream is reset or the connection
   * lost.
   */
  readonly incoming = new Channel<Uint8Array>()
  readonly #side: StreamSide
  readonly #gone = new AbortController()
  #ours = true
  #theirs = true

  constructor(id: number, headers: ReadonlyMap<string, string>, side: StreamSide) {
    this.id = id
    this.headers = headers
    this.#side = side
  }

  /** Aborted when the stream is reset, by whomever, or its connection lost: at once, whatever waits to be read. */
  get signal(): AbortSignal {
    return this.#gone.signal
  }

  /** Before anything is sent. */
  accept(): void {
    this.#side.accept()
  }

  /** Resolves when it is the connection's; what is written to a stream that is over is dropped. */
  async write(data: Uint8Array): Promise<void> {
    if (this.#ours && data.length > 0) await this.#side.data(data, false)
  }

  /** Nothing more is written. */
  async end(): Promise<void> {
    if (!this.#ours) return
    this.#ours = false
    await this.#side.data(Buffer.alloc(0), true)
    this.#settle()
  }

  /** Neither side sends anything any more. */
  reset(status: number = RESET.cancel): void {
    if (!this.#ours && !this.#theirs) return
    this.#ours = this.#theirs = false
    this.#side.reset(status)
    this.#side.done()
    this.lost(new GantryError('Cancelled', 'the stream was reset'))
  }

  /** For the session. */
  received(data: Buffer, fin: boolean): void {
    if (data.length > 0 && this.#theirs) this.incoming.push(data)
    if (!fin) return
    this.#theirs = false
    this.incoming.close()
    this.#settle()
  }

  /** For the session: it is gone, with what was not read yet. */
  lost(reason: unknown): void {
    this.#ours = this.#theirs = false
    this.incoming.fail(reason)
    this.#gone.abort(reason)
  }

  #settle(): void {
    if (!this.#ours && !this.#theirs) this.#side.done()
  }
}
