/**
 * A network within one process: programs on hosts serve and call each other as over gRPC, without sockets. For tests
 * and simulation.
 *
 *   host c1 ── server c1:7443 ◀──┐   connections: frames in order each way,
 *   host n1 ── connect c1:7443 ──┘   as late as `transit` says, lost when it says so
 *
 * Time is the clock's. Without `transit` nothing takes time and nothing is lost. All that happens is decided by the
 * clock, `transit` and the order of calls: the same again is the same again.
 */
import type { Clock } from '../../base/clock.ts'
import { GantryError } from '../../base/errors.ts'
import type { AuthorizeCall, CallContext, Connection, KeepaliveOptions, RpcServer } from '../contract.ts'
import { MemoryConnection } from './client.ts'
import type { Frame } from './frames.ts'
import { MemoryServer } from './server.ts'
import { Socket } from './socket.ts'

/** How ends that were told nothing else find out that the other is gone, as with gRPC. */
const LIVENESS: KeepaliveOptions = { time: 10_000, timeout: 5_000 }
/** The first port that is chosen for who asks for none, and of clients. */
const FIRST_PORT = 32_768

export interface MemoryNetworkParts {
  readonly clock: Clock
  /** Of each frame, between hosts by their names: milliseconds until it arrives, or lost (see wire.ts). */
  readonly transit?: (from: string, to: string, bytes: number) => number | 'lost'
}

interface Open {
  readonly client: MemoryHost
  /** The name of the server's host. */
  readonly to: string
  /** Undefined until it has accepted. */
  server: MemoryHost | undefined
  /** The client's and the server's. */
  readonly ends: readonly [Socket<Frame>, Socket<Frame>]
}

export class MemoryNetwork {
  readonly #clock: Clock
  readonly #transit: MemoryNetworkParts['transit']
  readonly #servers = new Map<string, { readonly host: MemoryHost; readonly server: MemoryServer }>()
  /** Hosts without power: nothing there answers that nobody listens. */
  readonly #dark = new Set<string>()
  readonly #open = new Set<Open>()
  #port = FIRST_PORT

  constructor({ clock, transit }: MemoryNetworkParts) {
    this.#clock = clock
    this.#transit = transit
  }

  /** A program on the host of this name, which has power from now on. A host may have several programs. */
  host(name: string): MemoryHost {
    this.#dark.delete(name)
    const liveness = this.#transit && LIVENESS
    return new MemoryHost({
      name,
      clock: this.#clock,
      liveness,
      listen: (host, port, server) => this.#listen(host, port, server),
      unlisten: (server) => this.#unlisten((listening) => listening.server === server),
      dial: (host, address) => this.#dial(host, address),
      ended: (host, power) => this.#ended(host, power),
    })
  }

  /** Breaks connections at once for both of their ends, as a firewall's reset does; what is under way is lost. */
  reset(concerns: (client: string, server: string) => boolean): void {
    for (const { client, to, ends } of [...this.#open])
      if (concerns(client.name, to)) for (const end of ends) end.break()
  }

  #listen(host: MemoryHost, port: number, server: MemoryServer): string {
    const address = addressOf(host.name, port === 0 ? this.#port++ : port)
    if (this.#servers.has(address)) throw new GantryError('Unavailable', `cannot listen on ${address}: it is in use`)
    this.#servers.set(address, { host, server })
    return address
  }

  #unlisten(gone: (listening: { readonly host: MemoryHost; readonly server: MemoryServer }) => boolean): void {
    for (const [address, listening] of this.#servers) if (gone(listening)) this.#servers.delete(address)
  }

  #dial(client: MemoryHost, address: string): { readonly socket: Socket<Frame>; readonly peer: string } {
    const [from, to] = [client.name, hostOf(address)]
    const transit = this.#transit ?? (() => 0)
    const ends = Socket.pair<Frame>(
      this.#clock,
      (bytes) => transit(from, to, bytes),
      (bytes) => transit(to, from, bytes),
    )
    const open: Open = { client, to, server: undefined, ends }
    for (const other of this.#open) if (other.ends.every((end) => !end.open)) this.#open.delete(other)
    this.#open.add(open)
    const [socket, far] = ends
    far.listen({
      received: (frame) => {
        const listening = this.#servers.get(address)
        if (this.#dark.has(to)) return far.break()
        if (listening === undefined || frame.is !== 'connect') return far.close()
        open.server = listening.host
        listening.server.accept(far, frame.user, frame.peer)
      },
      lost: () => undefined,
    })
    return { socket, peer: addressOf(from, this.#port++) }
  }

  #ended(host: MemoryHost, power: boolean): void {
    this.#unlisten((listening) => listening.host === host)
    if (!power) this.#dark.add(host.name)
    for (const { client, server, ends } of [...this.#open]) {
      const own = [client === host ? ends[0] : undefined, server === host ? ends[1] : undefined]
      for (const end of own) {
        if (end?.open !== true) continue
        if (power) end.kill()
        else end.break()
      }
    }
  }
}

interface HostParts {
  readonly name: string
  readonly clock: Clock
  readonly liveness: KeepaliveOptions | undefined
  readonly listen: (host: MemoryHost, port: number, server: MemoryServer) => string
  readonly unlisten: (server: MemoryServer) => void
  readonly dial: (host: MemoryHost, address: string) => { readonly socket: Socket<Frame>; readonly peer: string }
  /** `power`: of the machine, which then still tells the other ends. */
  readonly ended: (host: MemoryHost, power: boolean) => void
}

/** A program's place in the network. */
export class MemoryHost {
  readonly #parts: HostParts
  #ended = false

  constructor(parts: HostParts) {
    this.#parts = parts
  }

  get name(): string {
    return this.#parts.name
  }

  /** A server that is to listen at NAME:PORT; port 0 chooses one. */
  server({ port = 0, authorize }: { readonly port?: number; readonly authorize?: AuthorizeCall } = {}): RpcServer {
    const { clock, liveness, unlisten } = this.#parts
    return new MemoryServer({
      clock,
      authorize,
      liveness,
      unlisten,
      listen: (server) => {
        if (this.#ended) throw new GantryError('Unavailable', `${this.name} has ended`)
        return this.#parts.listen(this, port, server)
      },
    })
  }

  /**
   * A connection to the server at host:port, dialed as it is needed. `user`: what the server would read in the
   * certificate; nobody if not given. `liveness` is 10 s and 5 s if not given; it matters only where frames may be
   * lost.
   */
  connect(
    address: string,
    { user = NOBODY, liveness }: { readonly user?: CallContext['user']; readonly liveness?: KeepaliveOptions } = {},
  ): Connection {
    const { clock, dial } = this.#parts
    return new MemoryConnection({
      address,
      user,
      clock,
      liveness: this.#parts.liveness && (liveness ?? this.#parts.liveness),
      dial: () => (this.#ended ? undefined : dial(this, address)),
    })
  }

  /**
   * The program ends as by SIGKILL. Nobody can reach it any more, nothing that it still does reaches anybody, and the
   * kernel closes its connections.
   */
  kill(): void {
    this.#end(true)
  }

  /** The machine loses power: the same, but the other ends are told nothing. `host` turns it on again. */
  powerOff(): void {
    this.#end(false)
  }

  #end(power: boolean): void {
    this.#ended = true
    this.#parts.ended(this, power)
  }
}

const NOBODY: CallContext['user'] = { name: '', groups: [] }

/** host:port, an IPv6 address in brackets. */
function addressOf(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

function hostOf(address: string): string {
  return address.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1')
}
