/**
 * Connections that are led here go on to where they were going, over lines that delay them. Bytes of a connection keep
 * their order. When either end resets, so does the other.
 */
import { connect, createServer, type Server, type Socket } from 'node:net'
import { pipeline } from 'node:stream'
import type { Clock } from '../../../../proto/base/clock.ts'
import type { Random } from '../../../../proto/base/random.ts'
import { DelayLine } from './delay-line.ts'
import { listen } from './listening.ts'
import type { StreamClient, StreamTask } from './task.ts'

export interface StreamProxyOptions {
  readonly clock: Clock
  readonly random: Random
}

export class StreamProxy {
  readonly #task: StreamTask
  readonly #options: StreamProxyOptions
  readonly #clients: ReadonlyMap<string, StreamClient>
  readonly #servers: Server[] = []
  readonly #sockets = new Set<Socket>()

  constructor(task: StreamTask, options: StreamProxyOptions) {
    this.#task = task
    this.#options = options
    this.#clients = new Map(task.clients.map((client) => [client.address, client]))
  }

  /** The ports that lead to the task's ports, in their order, once all listen. */
  async start(): Promise<number[]> {
    this.#servers.push(
      ...this.#task.ports.map((port) =>
        createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (socket) =>
          this.#serve(socket, port),
        ),
      ),
    )
    return Promise.all(this.#servers.map((server) => listen(server, '0.0.0.0')))
  }

  /** Cuts every connection. */
  stop(): void {
    for (const server of this.#servers) server.close()
    for (const socket of this.#sockets) socket.resetAndDestroy()
  }

  #serve(socket: Socket, port: number): void {
    const client = this.#clients.get(socket.remoteAddress ?? '')
    if (client === undefined) return void socket.resetAndDestroy()
    const onward = connect({
      host: this.#task.host,
      port,
      localAddress: client.via,
      allowHalfOpen: true,
      noDelay: true,
    })
    const ended = (error?: Error | null): void => {
      if (error === undefined || error === null) return
      for (const end of [socket, onward]) end.resetAndDestroy()
    }
    for (const end of [socket, onward]) {
      this.#sockets.add(end)
      end.once('close', () => this.#sockets.delete(end))
      end.on('error', ended)
    }
    const { clock, random } = this.#options
    pipeline(socket, new DelayLine(client.up, clock, random), onward, ended)
    pipeline(onward, new DelayLine(client.down, clock, random), socket, ended)
  }
}
