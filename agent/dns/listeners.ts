/**
 * The ports that queries come in at, UDP and TCP (RFC 7766: several on one connection, answered as they are ready),
 * each address with its own.
 */
import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { createServer, type Server, type Socket } from 'node:net'
import { GantryError } from '../../proto/base/errors.ts'
import type { Clock, Timer } from '../../proto/base/clock.ts'
import type { Responder } from './responder.ts'
import { frame, FrameReader } from './tcp-frames.ts'

export interface ListenAddress {
  readonly address: string
  /** 0: any that is free. */
  readonly port: number
}

/** Bytes that the kernel keeps of what has come in; it gives as much as net.core.rmem_max allows. */
const RECEIVE_BUFFER = 4 * 1024 * 1024
const MAX_CONNECTIONS = 512
const CONNECTIONS_PER_CLIENT = 64
/** Milliseconds without a query (RFC 7766, 6.2.3 wants some seconds at least). */
const IDLE_TIMEOUT_MS = 10_000
/** Queries of one connection that wait for an answer: no more is read before. */
const MAX_PIPELINED_QUERIES = 128
/** Bytes of answers that a client has not taken. */
const MAX_UNSENT_BYTES = 1024 * 1024

interface OpenListener {
  readonly udp: UdpSocket
  readonly tcp: Server
  readonly port: number
}

export class Listeners {
  readonly #responder: Responder
  readonly #clock: Clock
  readonly #open = new Map<string, OpenListener>()
  readonly #connections = new Set<Socket>()
  readonly #perClient = new Map<string, number>()
  readonly counts = { connections: 0, connectionsRefused: 0, sendFailures: 0 }

  constructor(responder: Responder, clock: Clock) {
    this.#responder = responder
    this.#clock = clock
  }

  /**
   * Exactly these from now on. Their ports, in order. A GantryError names the address that cannot be listened at; those
   * before it are open then.
   */
  async listen(endpoints: readonly ListenAddress[]): Promise<number[]> {
    const wanted = new Set(endpoints.map(endpointKey))
    for (const [key, listening] of this.#open) if (!wanted.has(key)) await this.#close(key, listening)
    const ports: number[] = []
    for (const endpoint of endpoints) {
      const key = endpointKey(endpoint)
      const listening = this.#open.get(key) ?? (await this.#listen(endpoint))
      this.#open.set(key, listening)
      ports.push(listening.port)
    }
    return ports
  }

  async close(): Promise<void> {
    for (const [key, listening] of this.#open) await this.#close(key, listening)
  }

  async #close(key: string, { udp, tcp }: OpenListener): Promise<void> {
    this.#open.delete(key)
    const closed = Promise.all([
      new Promise<void>((resolve) => udp.close(resolve)),
      new Promise<void>((resolve) => tcp.close(() => resolve())),
    ])
    for (const connection of this.#connections)
      if (this.#open.size === 0 || connection.localAddress === key.slice(0, key.lastIndexOf(' '))) connection.destroy()
    await closed
  }

  async #listen(endpoint: ListenAddress): Promise<OpenListener> {
    const udp = await this.#listenUdp(endpoint)
    try {
      const { port } = udp.address()
      return { udp, port, tcp: await this.#listenTcp({ ...endpoint, port }) }
    } catch (thrown) {
      udp.close()
      throw thrown
    }
  }

  #listenUdp({ address, port }: ListenAddress): Promise<UdpSocket> {
    const type = address.includes(':') ? 'udp6' : 'udp4'
    // Every destination is an address already.
    const lookup = (host: string, _: unknown, done: (error: null, address: string, family: number) => void): void =>
      done(null, host, type === 'udp6' ? 6 : 4)
    const socket = createSocket({ type, recvBufferSize: RECEIVE_BUFFER, lookup: lookup as never })
    const sent = (error: Error | null): void => void (error === null || this.counts.sendFailures++)
    socket.on('message', (packet, from) => {
      this.#responder.handle(packet, 'udp', from.address, (response) => {
        try {
          socket.send(response, 0, response.length, from.port, from.address, sent)
        } catch {
          this.counts.sendFailures++ // closed meanwhile, or port 0: nobody can be told
        }
      })
    })
    return new Promise((resolve, reject) => {
      const failed = (cause: Error): void =>
        reject(
          new GantryError('FailedPrecondition', `cannot answer at ${address} port ${port} (UDP): ${cause.message}`, {
            cause,
          }),
        )
      socket.once('error', failed)
      socket.bind({ address, port, exclusive: true }, () => {
        socket.off('error', failed)
        // What is said of packets sent before (ICMP): the client is gone.
        socket.on('error', () => this.counts.sendFailures++)
        resolve(socket)
      })
    })
  }

  #listenTcp({ address, port }: ListenAddress): Promise<Server> {
    const server = createServer({ allowHalfOpen: true }, (connection) => this.#accept(connection))
    return new Promise((resolve, reject) => {
      const failed = (cause: Error): void =>
        reject(
          new GantryError('FailedPrecondition', `cannot answer at ${address} port ${port} (TCP): ${cause.message}`, {
            cause,
          }),
        )
      server.once('error', failed)
      server.listen({ host: address, port, exclusive: true, backlog: MAX_CONNECTIONS }, () => {
        server.off('error', failed)
        server.on('error', () => this.counts.connectionsRefused++)
        resolve(server)
      })
    })
  }

  #accept(connection: Socket): void {
    const client = connection.remoteAddress ?? ''
    const own = this.#perClient.get(client) ?? 0
    connection.on('error', () => connection.destroy())
    if (this.#connections.size >= MAX_CONNECTIONS || own >= CONNECTIONS_PER_CLIENT) {
      this.counts.connectionsRefused++
      connection.destroy()
      return
    }
    this.counts.connections++
    this.#perClient.set(client, own + 1)
    this.#connections.add(connection)
    const frames = new FrameReader()
    let waiting = 0
    let ended = false
    let idle: Timer | undefined
    const rest = (): void => {
      idle?.cancel()
      idle = this.#clock.after(IDLE_TIMEOUT_MS, () => connection.destroy())
    }
    const answered = (): void => {
      if (--waiting < MAX_PIPELINED_QUERIES) connection.resume()
      if (ended && waiting === 0) connection.end()
    }
    rest()
    connection.setNoDelay(true)
    connection.on('close', () => {
      idle?.cancel()
      this.#connections.delete(connection)
      const left = this.#perClient.get(client)! - 1
      if (left === 0) this.#perClient.delete(client)
      else this.#perClient.set(client, left)
    })
    connection.on('end', () => {
      ended = true
      if (waiting === 0) connection.end()
    })
    connection.on('data', (chunk: Buffer) => {
      for (const packet of frames.take(chunk)) {
        rest()
        waiting++
        const taken = this.#responder.handle(packet, 'tcp', client, (response) => {
          if (!connection.destroyed) {
            connection.write(frame(response))
            if (connection.writableLength > MAX_UNSENT_BYTES) connection.destroy()
          }
          answered()
        })
        if (!taken) answered()
      }
      if (waiting >= MAX_PIPELINED_QUERIES) connection.pause()
    })
  }
}

function endpointKey({ address, port }: ListenAddress): string {
  return `${address} ${port}`
}
