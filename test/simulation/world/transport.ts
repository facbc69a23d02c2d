/**
 * gRPC between processes, without gRPC: handlers are called as the server calls them, and every message goes through
 * its encoding, so that no object is shared. What a connection is told and how it ends is what TCP and gRPC's keepalive
 * make of the network: messages of one call arrive in order, a process that ends closes its connections, and a host
 * that is out of reach is found out after a while by each side for itself.
 */
import { decode, encode } from '../../../proto/codec/wire.ts'
import { Channel } from '../../../proto/base/channel.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import type { Random } from '../../../proto/base/random.ts'
import type { Messages, Services } from '../../../proto/gen/types.ts'
import type {
  CallContext,
  CallOptions,
  Client,
  Connection,
  Handlers,
  KeepaliveOptions,
} from '../../../proto/rpc/rpc.ts'
import { schema } from '../../../proto/schema/schema.ts'
import type { Network, Pipe } from './network.ts'
import type { Host, Process } from './process.ts'
import { between, type World } from './world.ts'

export type Served = { readonly [S in keyof Services]?: Partial<Handlers<Services[S]>> }

/** What goes wrong with the messages of streams towards nodes, which number them: shares of all. */
export interface Disorder {
  lost: number
  doubled: number
  swapped: number
}

/** As servers look whether a client lives (proto/rpc). */
const SERVER_LIVENESS: KeepaliveOptions = { time: 10_000, timeout: 5_000 }
const CLIENT_LIVENESS: KeepaliveOptions = { time: 10_000, timeout: 5_000 }

/** Milliseconds at most from the loss of a message to the end of its connection, and that a swapped one waits. */
const LOST_FOUND_OUT = 1_500
const SWAPPED = 50

interface Listener {
  readonly process: Process
  readonly served: Served
}

/** One side of a call, as the network can end it. */
interface Side {
  readonly process: Process
  readonly peer: Process
  readonly liveness: KeepaliveOptions
  readonly broken: () => void
}

export class Transport {
  readonly #world: World
  readonly #network: Network
  readonly #random: Random
  readonly #listeners = new Map<string, Listener>()
  /** Where an address is, also while nobody listens there. */
  readonly #hosts = new Map<string, Host>()
  readonly #sides = new Set<Side>()
  readonly disorder: Disorder = { lost: 0, doubled: 0, swapped: 0 }

  constructor(world: World, network: Network) {
    this.#world = world
    this.#network = network
    this.#random = world.random('transport')
    network.onChange(() => this.#look())
  }

  listen(address: string, process: Process, served: Served): void {
    const listener = { process, served }
    this.#listeners.set(address, listener)
    this.#hosts.set(address, process.host)
    process.onEnd(() => {
      if (this.#listeners.get(address) === listener) this.#listeners.delete(address)
      // The kernel closes what the process had open, where there is still one.
      for (const side of [...this.#sides])
        if (side.peer === process)
          this.#network.send(process.host, side.process.host, `reset ${side.process.name}`, () => this.#break(side))
    })
  }

  connect(process: Process, user: CallContext['user'], address: string, liveness = CLIENT_LIVENESS): Connection {
    return new SimulatedConnection({
      transport: this,
      network: this.#network,
      world: this.#world,
      random: this.#random,
      process,
      user,
      address,
      liveness,
    })
  }

  hostAt(address: string): Host | undefined {
    return this.#hosts.get(address)
  }

  listener(address: string): Listener | undefined {
    return this.#listeners.get(address)
  }

  /** A side of a call that the network may break; the call that this answers with ends that. */
  open(side: Side): () => void {
    this.#sides.add(side)
    return () => void this.#sides.delete(side)
  }

  #break(side: Side): void {
    if (!this.#sides.delete(side)) return
    side.process.enter(side.broken)
  }

  /** Hosts reach each other no more, or again: each side finds out when nothing has come for long enough. */
  #look(): void {
    for (const side of this.#sides) {
      if (this.#reaches(side)) continue
      const { time, timeout } = side.liveness
      const { host } = side.peer
      const boots = host.boots
      this.#world.after(between(this.#random, timeout, time + timeout), `keepalive ${side.process.name}`, () => {
        // A peer that has booted again answers with a reset.
        if (!this.#reaches(side) || host.boots !== boots || !side.peer.alive) this.#break(side)
      })
    }
  }

  #reaches({ process, peer }: Side): boolean {
    return this.#network.reaches(process.host, peer.host) && this.#network.reaches(peer.host, process.host)
  }

  static readonly serverLiveness = SERVER_LIVENESS
}

interface ConnectionParts {
  readonly transport: Transport
  readonly network: Network
  readonly world: World
  readonly random: Random
  readonly process: Process
  readonly user: CallContext['user']
  readonly address: string
  readonly liveness: KeepaliveOptions
}

class SimulatedConnection implements Connection {
  readonly #parts: ConnectionParts
  #lost = new Set<() => void>()

  constructor(parts: ConnectionParts) {
    this.#parts = parts
  }

  get address(): string {
    return this.#parts.address
  }

  ready(timeout: number, signal?: AbortSignal): Promise<void> {
    const { transport, network, process, address } = this.#parts
    return new Promise((resolve, reject) => {
      const settle = (act: () => void): void => {
        late.cancel()
        signal?.removeEventListener('abort', abort)
        act()
      }
      const abort = (): void => settle(() => reject(GantryError.from(signal!.reason, 'Cancelled')))
      const late = process.clock.after(timeout, () =>
        settle(() => reject(new GantryError('Unavailable', `${address} does not answer within ${timeout} ms`))),
      )
      if (signal?.aborted === true) return abort()
      signal?.addEventListener('abort', abort, { once: true })
      const host = transport.hostAt(address)
      if (host === undefined) return
      network.send(process.host, host, `dial ${process.name} ${address}`, () => {
        const accepted = transport.listener(address) !== undefined
        network.send(host, process.host, `dialled ${process.name} ${address}`, () =>
          process.enter(() =>
            settle(() =>
              accepted ? resolve() : reject(new GantryError('Unavailable', `${address} cannot be connected to`)),
            ),
          ),
        )
      })
    })
  }

  client<S extends keyof Services>(service: S): Client<Services[S]> {
    const calls = schema.services[service]!.methods.map((method): [string, unknown] => {
      const name = method.name[0]!.toLowerCase() + method.name.slice(1)
      const types = { request: method.request as keyof Messages, response: method.response as keyof Messages }
      const shape = method.requestStream ? 'Duplex' : method.responseStream ? 'ServerStream' : 'Unary'
      const call = { ...this.#parts, service, method: name, shape, ...types } as const
      return [
        name,
        (input: unknown, options: CallOptions = {}) =>
          shape === 'Unary'
            ? first(new SimulatedCall(call).run(input, options))
            : new SimulatedCall(call).run(input, options),
      ]
    })
    return Object.fromEntries(calls) as Client<Services[S]>
  }

  onLost(told: () => void): void {
    this.#lost.add(told)
  }

  close(): void {
    for (const told of this.#lost) told()
    this.#lost = new Set()
  }
}

interface CallParts extends ConnectionParts {
  readonly service: keyof Services
  readonly method: string
  readonly shape: 'Unary' | 'ServerStream' | 'Duplex'
  readonly request: keyof Messages
  readonly response: keyof Messages
}

/** What travels from the server to the client. */
type Down = { readonly message: Uint8Array } | { readonly end: GantryError | undefined }
/** What travels from the client to the server. */
type Up = { readonly message: Uint8Array } | { readonly end: 'sent' | 'cancelled' }

class SimulatedCall {
  readonly #parts: CallParts

  constructor(parts: CallParts) {
    this.#parts = parts
  }

  async *run(input: unknown, { signal, timeout }: CallOptions): AsyncGenerator<unknown, void, undefined> {
    const { transport, network, process, address, liveness, request, response, shape } = this.#parts
    if (signal?.aborted === true) throw GantryError.from(signal.reason, 'Cancelled')
    const listener = transport.listener(address)
    if (listener === undefined) throw new GantryError('Unavailable', `${address} cannot be connected to`)
    const server = listener.process
    const received = new Channel<unknown>()
    const broken = (): void => received.fail(new GantryError('Unavailable', `the connection to ${address} is lost`))
    const up = network.pipe<Up>(process.host, server.host, this.#label('up'), (item) => far.take(item))
    const down = network.pipe<Down>(server.host, process.host, this.#label('down'), (item) =>
      process.enter(() => {
        if ('message' in item) received.push(decode(response, item.message))
        else received.close(item.end)
      }),
    )
    const far = new ServerSide({ ...this.#parts, listener, down: this.#disorderly(down, broken) })
    const closed = transport.open({ process, peer: server, liveness, broken })
    const abort = (): void => received.fail(GantryError.from(signal!.reason, 'Cancelled'))
    signal?.addEventListener('abort', abort, { once: true })
    const late =
      timeout === undefined
        ? undefined
        : process.clock.after(timeout, () =>
            received.fail(new GantryError('DeadlineExceeded', `${timeout} ms have passed`)),
          )
    try {
      if (shape === 'Duplex') void this.#sendAll(input as AsyncIterable<unknown>, up)
      else {
        up.send({ message: encode(request, input as never) })
        up.send({ end: 'sent' })
      }
      yield* received
    } finally {
      late?.cancel()
      signal?.removeEventListener('abort', abort)
      closed()
      down.close()
      up.send({ end: 'cancelled' })
    }
  }

  async #sendAll(messages: AsyncIterable<unknown>, up: Pipe<Up>): Promise<void> {
    for await (const message of messages) up.send({ message: encode(this.#parts.request, message as never) })
    up.send({ end: 'sent' })
  }

  /**
   * Messages of a stream are lost, doubled or swapped on the way, while the world is so. TCP loses nothing without
   * losing the connection, so a lost message ends it soon after.
   */
  #disorderly(pipe: Pipe<Down>, broken: () => void): Pick<Pipe<Down>, 'send'> {
    const { random, transport, method, world, process } = this.#parts
    if (method !== 'session') return pipe
    let held: Down | undefined
    const release = (): void => {
      if (held !== undefined) pipe.send(held)
      held = undefined
    }
    return {
      send: (item) => {
        const { lost, doubled, swapped } = transport.disorder
        const chance = lost + doubled + swapped > 0 && 'message' in item ? random.next() : 1
        if (chance < lost)
          return void world.after(between(random, 0, LOST_FOUND_OUT), `lost ${process.name}`, () =>
            process.enter(broken),
          )
        if (chance < lost + doubled) pipe.send(item)
        else if (held === undefined && chance < lost + doubled + swapped) {
          held = item
          return void world.after(SWAPPED, `swapped ${process.name}`, release)
        }
        pipe.send(item)
        release()
      },
    }
  }

  #label(direction: string): string {
    const { process, address, service, method } = this.#parts
    return `${direction} ${process.name} ${address} ${service}.${method}`
  }
}

interface ServerParts extends CallParts {
  readonly listener: Listener
  readonly down: Pick<Pipe<Down>, 'send'>
}

/** The call as the server has it: begins with the first message that arrives. */
class ServerSide {
  readonly #parts: ServerParts
  readonly #received = new Channel<unknown>()
  readonly #ending = new AbortController()
  #begun = false
  #close: (() => void) | undefined

  constructor(parts: ServerParts) {
    this.#parts = parts
  }

  take(item: Up): void {
    const { listener, request, transport, process } = this.#parts
    listener.process.enter(() => {
      if (!this.#begun) {
        this.#begun = true
        this.#close = transport.open({
          process: listener.process,
          peer: process,
          liveness: Transport.serverLiveness,
          broken: () => this.#gone(),
        })
        void this.#serve()
      }
      if ('message' in item) this.#received.push(decode(request, item.message))
      else if (item.end === 'sent') this.#received.close()
      else this.#gone()
    })
  }

  /** The caller went away. */
  #gone(): void {
    this.#close?.()
    this.#ending.abort(new GantryError('Cancelled', 'the caller went away'))
    this.#received.close()
  }

  async #serve(): Promise<void> {
    const { listener, service, method, shape, response, user, down, process } = this.#parts
    const handler = (listener.served[service] as Record<string, unknown> | undefined)?.[method] as
      ((request: unknown, call: CallContext) => unknown) | undefined
    const call: CallContext = { signal: this.#ending.signal, user, peer: `${process.host.address}:40000` }
    try {
      if (handler === undefined) throw new GantryError('Unsupported', `${service}.${method} is not served`)
      const served = listener.served[service]
      const input = shape === 'Duplex' ? this.#received : await first(this.#received)
      const answer = handler.call(served, input, call)
      if (shape === 'Unary') down.send({ message: encode(response, (await answer) as never) })
      else
        for await (const message of answer as AsyncIterable<unknown>) {
          if (this.#ending.signal.aborted) return
          down.send({ message: encode(response, message as never) })
        }
      down.send({ end: undefined })
    } catch (thrown) {
      down.send({ end: GantryError.from(thrown) })
    } finally {
      this.#close?.()
    }
  }
}

async function first<T>(items: AsyncIterable<T>): Promise<T> {
  for await (const item of items) return item
  throw new GantryError('Internal', 'the call ended without an answer')
}
