/** A server of HTTP/2 that says what a test tells it to, frame by frame. */
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { Channel } from '../../../../proto/base/channel.ts'
import { FrameReader } from '../../../../proto/rpc/http2/frame-reader.ts'
import { FLAG, FRAME, frame, PREFACE, settings } from '../../../../proto/rpc/http2/frames.ts'
import { encodeHeaderFields } from '../../../../proto/rpc/http2/header-fields.ts'

const OK = { ':status': '200', 'content-type': 'application/grpc' }

interface Frame {
  readonly type: number
  readonly flags: number
  readonly stream: number
  readonly payload: Buffer
}

/** One connection of a client. */
export class Peer {
  readonly socket: Socket
  readonly #frames = new Channel<Frame>()
  readonly #iterator = this.#frames[Symbol.asyncIterator]()

  constructor(socket: Socket) {
    this.socket = socket
    const reader = new FrameReader(
      (type, flags, stream, payload) => void this.#frames.push({ type, flags, stream, payload }),
    )
    let greeting = PREFACE.length
    socket.on('error', () => socket.destroy())
    socket.on('close', () => this.#frames.close())
    socket.on('data', (chunk: Buffer) => {
      const rest = chunk.subarray(Math.min(greeting, chunk.length))
      greeting -= chunk.length - rest.length
      reader.push(rest)
    })
  }

  /** The client's next frame, or the next of a type; those before it are passed over. Fails when there is none. */
  async next(type?: number): Promise<Frame> {
    for (;;) {
      const { value, done } = await this.#iterator.next()
      if (done === true) throw new Error(`the connection ended without a frame of type ${type}`)
      if (type === undefined || value.type === type) return value
    }
  }

  /** Resolves once the client has asked its question, with the stream that it is on. */
  async asked(): Promise<number> {
    const { stream } = await this.next(FRAME.headers)
    return stream
  }

  send(...frames: readonly Buffer[]): void {
    this.socket.write(Buffer.concat(frames))
  }
}

export class ScriptedServer {
  readonly #server: Server
  readonly #peers = new Channel<Peer>()
  readonly #iterator = this.#peers[Symbol.asyncIterator]()
  readonly #sockets = new Set<Socket>()

  private constructor(first: Buffer) {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket)
      const peer = new Peer(socket)
      peer.send(first)
      this.#peers.push(peer)
    })
  }

  /** `first`: what each client is told at once. */
  static async start(first = settings([])): Promise<ScriptedServer> {
    const server = new ScriptedServer(first)
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve))
    return server
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** The next client that connects. */
  async peer(): Promise<Peer> {
    return (await this.#iterator.next()).value!
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

export function headers(stream: number, fields: Record<string, string> = OK, flags: number = FLAG.endHeaders): Buffer {
  return frame(FRAME.headers, flags, stream, encodeHeaderFields(fields))
}

export function data(stream: number, payload: Uint8Array, flags = 0): Buffer {
  return frame(FRAME.data, flags, stream, payload)
}

/** Ends the call. */
export function trailers(stream: number, fields: Record<string, string> = { 'grpc-status': '0' }): Buffer {
  return headers(stream, fields, FLAG.endHeaders | FLAG.endStream)
}

/** As gRPC has messages. */
export function message(bytes: Uint8Array, compressed = 0, length = bytes.length): Buffer {
  const head = Buffer.alloc(5)
  head[0] = compressed
  head.writeUInt32BE(length, 1)
  return Buffer.concat([head, bytes])
}
