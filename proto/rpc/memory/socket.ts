/** Both ends of a connection in memory: frames either way, the end that one of them makes, keepalive. */
import type { Clock, Timer } from '../../base/clock.ts'
import type { KeepaliveOptions } from '../contract.ts'
import { Wire, type Transit } from './wire.ts'

type Packet<F> = { readonly is: 'frame'; readonly frame: F } | { readonly is: 'ping' | 'pong' | 'end' }

export interface SocketListener<F> {
  received(frame: F): void
  /** The connection is broken, or the other end has closed it: once, and nothing is received after it. */
  lost(): void
}

export class Socket<F> {
  readonly #clock: Clock
  #listener: SocketListener<F> | undefined
  #out!: Wire<Packet<F>>
  #open = true
  #heard = 0
  #keepAlive: Timer | undefined

  private constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The client's end and the server's. */
  static pair<F>(clock: Clock, toServer: Transit, toClient: Transit): [Socket<F>, Socket<F>] {
    const [client, server] = [new Socket<F>(clock), new Socket<F>(clock)]
    client.#out = new Wire(clock, toServer, (packet) => server.#take(packet))
    server.#out = new Wire(clock, toClient, (packet) => client.#take(packet))
    return [client, server]
  }

  get open(): boolean {
    return this.#open
  }

  listen(listener: SocketListener<F>): void {
    this.#listener = listener
  }

  send(frame: F, bytes = 0): void {
    if (this.#open) this.#out.send({ is: 'frame', frame }, bytes)
  }

  /** From now on an end that is silent is asked for a sign of life, and taken for dead without one. */
  watch({ time, timeout }: KeepaliveOptions): void {
    this.#heard = this.#clock.monotonic()
    const look = (): void => {
      const left = this.#heard + time - this.#clock.monotonic()
      if (left > 0) return void (this.#keepAlive = this.#clock.after(left, look))
      const asked = this.#clock.monotonic()
      this.#out.send({ is: 'ping' }, 0)
      this.#keepAlive = this.#clock.after(timeout, () => {
        if (this.#heard < asked) this.break()
        else look()
      })
    }
    if (this.#open) this.#keepAlive = this.#clock.after(time, look)
  }

  /** The other end learns it when what was sent before has arrived; the own listener is not told. */
  close(): void {
    if (!this.#open) return
    this.#end()
    this.#out.send({ is: 'end' }, 0)
  }

  /** Ends this end only: what it has sent is lost, the other end is told nothing, the own listener is. */
  break(): void {
    if (!this.#open) return
    this.#end()
    this.#out.cut()
    this.#listener?.lost()
  }

  /** As `close`, and the own listener is told. */
  kill(): void {
    this.close()
    this.#listener?.lost()
  }

  #take(packet: Packet<F>): void {
    if (!this.#open) return
    this.#heard = this.#clock.monotonic()
    switch (packet.is) {
      case 'frame':
        return this.#listener?.received(packet.frame)
      case 'ping':
        return this.#out.send({ is: 'pong' }, 0)
      case 'pong':
        return
      case 'end':
        return this.break()
    }
  }

  #end(): void {
    this.#open = false
    this.#keepAlive?.cancel()
  }
}
