/** A server of HTTP/2 that says what a test tells it to, frame by frame. */
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { Channel } from '../../../../proto/base/channel.ts'
import { encodeFrame, FLAG, FRAME, FrameReader, PREFACE, type Frame } from '../../../../proto/rpc/light/frames.ts'
import { encodeHeaders, type Header } from '../../../../proto/rpc/light/hpack.ts'

const OK: readonly Header[] = [
  [':status', '200'],
  ['content-type', 'application/grpc'],
]

/** One connection of a client. */
export class Peer {
  readonly socket: Socket
  readonly #frames = new Channel<Frame>()
  readonly #iterator = this.#frames[Symbol.asyncIterator]()

  constructor(socket: Socket) {
    this.socket = socket
    const reader = new FrameReader(2 ** 24)
    let greeting = PREFACE.length
    socket.on('error', () => socket.destroy())
    socket.on('close', () => this.#frames.close())
    socket.on('data', (chunk: Buffer) => {
      const rest = chunk.subarray(Math.min(greeting, chunk.length))
      greeting -= chunk.length - rest.length
      for (const frame of reader.push(rest)) this.#frames.push(frame)
    })
  }

  /** The client's next frame of that type; those before it are passed over. Fails when there is none any more. */
  async next(type: number): Promise<Frame> {
    for (;;) {
      const { value, done } = await this.#iterator.next()
      if (done === true) throw new Error(`the connection ended without a frame of type ${type}`)
      if (value.type === type) return value
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

  private constructor() {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket)
      const peer = new Peer(socket)
      peer.send(settings())
      this.#peers.push(peer)
    })
  }

  static async start(): Promise<ScriptedServer> {
    const server = new ScriptedServer()
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

export function settings(payload: Uint8Array = Buffer.alloc(0)): Buffer {
  return encodeFrame(FRAME.settings, 0, 0, payload)
}

export function headers(stream: number, list: readonly Header[] = OK, flags: number = FLAG.endHeaders): Buffer {
  return encodeFrame(FRAME.headers, flags, stream, encodeHeaders(list))
}

export function data(stream: number, payload: Uint8Array): Buffer {
  return encodeFrame(FRAME.data, 0, stream, payload)
}

/** Ends the call. */
export function trailers(stream: number, ...list: readonly Header[]): Buffer {
  const status: readonly Header[] = list.length > 0 ? list : [['grpc-status', '0']]
  return headers(stream, status, FLAG.endHeaders | FLAG.endStream)
}

/** As gRPC has messages. */
export function message(bytes: Uint8Array, compressed = 0, length = bytes.length): Buffer {
  const head = Buffer.alloc(5)
  head[0] = compressed
  head.writeUInt32BE(length, 1)
  return Buffer.concat([head, bytes])
}
