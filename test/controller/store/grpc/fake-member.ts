/** A member of etcd for tests of the way to it: it speaks HTTP/2, and says and does what a test tells it to. */
import { once } from 'node:events'
import {
  createServer,
  createSecureServer,
  type Http2SecureServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type SecureServerOptions,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type Settings,
} from 'node:http2'
import { connect, createServer as createTcpServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { allocateFrame, PREFIX_LENGTH } from '../../../../controller/store/grpc/framing.ts'

/** A message as it travels. */
export function framed(message: Uint8Array | string): Buffer {
  const bytes = Buffer.from(message)
  const frame = allocateFrame(bytes.length)
  frame.set(bytes, PREFIX_LENGTH)
  return frame
}

export class FakeCall {
  readonly stream: ServerHttp2Stream
  readonly headers: IncomingHttpHeaders
  #pieces: Buffer[] = []

  constructor(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, reads: boolean) {
    this.stream = stream
    this.headers = headers
    stream.on('error', () => undefined)
    if (reads) this.read()
  }

  get path(): string {
    return String(this.headers[':path'])
  }

  /** What has come of the request, with its prefix. */
  get request(): Buffer {
    return Buffer.concat(this.#pieces)
  }

  /** The code with which the caller gave the call up, once it has. */
  get rstCode(): number | undefined {
    return this.stream.closed ? this.stream.rstCode : undefined
  }

  read(): void {
    this.stream.on('data', (piece: Buffer) => void this.#pieces.push(piece))
  }

  /** The answer's beginning. */
  begin(): void {
    this.stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
  }

  /** One message and OK. */
  answer(message: Uint8Array | string): void {
    this.begin()
    this.end(framed(message), { 'grpc-status': '0' })
  }

  /** The last bytes and the trailers. */
  end(bytes: Buffer, trailers: Record<string, string>): void {
    this.stream.once('wantTrailers', () => this.stream.sendTrailers(trailers))
    this.stream.end(bytes)
  }

  /** A failure as servers tell it that have nothing else to say: all in one head. */
  fail(status: number, message?: string): void {
    this.stream.respond(
      {
        ':status': 200,
        'content-type': 'application/grpc',
        'grpc-status': String(status),
        ...(message === undefined ? {} : { 'grpc-message': message }),
      },
      { endStream: true },
    )
  }
}

export interface FakeMemberOptions {
  readonly tls?: SecureServerOptions
  readonly settings?: Settings
  /** Of a socket, instead of a port. */
  readonly path?: string
  /** Whether requests are read as they come; a test may read them later. */
  readonly reads?: boolean
}

export class FakeMember {
  endpoint = ''
  readonly calls: FakeCall[] = []
  readonly sessions = new Set<ServerHttp2Session>()
  /** Connections so far, and those of them that the other side has not ended. */
  connections = 0
  readonly lines = new Set<Socket>()
  pings = 0
  readonly #handle: (call: FakeCall) => void
  readonly #options: FakeMemberOptions
  readonly #server: Http2Server | Http2SecureServer
  /** Stands between, so that the line can be held or cut. */
  readonly #line: Server
  readonly #sockets = new Set<Socket>()
  #held = false

  private constructor(handle: (call: FakeCall) => void, options: FakeMemberOptions) {
    this.#handle = handle
    this.#options = options
    const { tls, settings } = options
    this.#server = tls === undefined ? createServer({ settings }) : createSecureServer({ ...tls, settings })
    this.#server.on('session', (session: ServerHttp2Session) => this.#enter(session))
    this.#server.on('sessionError', () => undefined)
    this.#line = createTcpServer({ allowHalfOpen: true }, (near) => this.#join(near))
  }

  static async start(handle: (call: FakeCall) => void, options: FakeMemberOptions = {}): Promise<FakeMember> {
    const member = new FakeMember(handle, options)
    member.#server.listen(0, '127.0.0.1')
    await once(member.#server, 'listening')
    await member.open()
    return member
  }

  /** Takes connections, also again after `refuse`. */
  async open(): Promise<void> {
    const { path } = this.#options
    if (path === undefined) this.#line.listen(Number(this.endpoint.split(':')[1] ?? 0), '127.0.0.1')
    else this.#line.listen(path)
    await once(this.#line, 'listening')
    this.endpoint = path === undefined ? `127.0.0.1:${(this.#line.address() as AddressInfo).port}` : `unix:${path}`
  }

  /** Takes no connections any more; those that there are stay. */
  refuse(): void {
    this.#line.close()
  }

  /** Nothing passes in either direction, as if the member or its machine stood still; also on connections to come. */
  hold(): void {
    this.#held = true
    for (const socket of this.#sockets) socket.pause()
  }

  release(): void {
    this.#held = false
    for (const socket of this.#sockets) socket.resume()
  }

  /** Breaks all connections. */
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy()
  }

  /** The connection of the last call. */
  get session(): ServerHttp2Session {
    return this.calls.at(-1)!.stream.session as ServerHttp2Session
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    for (const session of this.sessions) session.destroy()
    if (this.#line.listening) this.#line.close()
    this.#server.close()
    await Promise.resolve()
  }

  #enter(session: ServerHttp2Session): void {
    this.sessions.add(session)
    session.on('error', () => undefined)
    session.on('close', () => void this.sessions.delete(session))
    session.on('ping', () => this.pings++)
    session.on('stream', (stream: ServerHttp2Stream, headers) => {
      const call = new FakeCall(stream, headers, this.#options.reads ?? true)
      this.calls.push(call)
      this.#handle(call)
    })
  }

  #join(near: Socket): void {
    this.connections++
    this.lines.add(near)
    for (const event of ['end', 'close']) near.on(event, () => void this.lines.delete(near))
    const far = connect((this.#server.address() as AddressInfo).port, '127.0.0.1')
    const pass = (from: Socket, to: Socket): void => {
      this.#sockets.add(from)
      from.setNoDelay(true)
      from.on('data', (bytes: Buffer) => void to.write(bytes))
      from.on('end', () => void to.end())
      from.on('error', () => undefined)
      from.on('close', () => {
        this.#sockets.delete(from)
        to.destroy()
      })
      if (this.#held) from.pause()
    }
    pass(near, far)
    pass(far, near)
  }
}
