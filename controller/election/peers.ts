/** Calls to the other controllers: what only one of them knows, any of them can be asked. */
import { GantryError } from '../../proto/base/errors.ts'
import type { Client, Connection } from '../../proto/rpc/rpc.ts'
import type { Services } from '../../proto/gen/types.ts'
import type { Replicas } from './replicas.ts'

/** Milliseconds to reach another controller. */
const CONNECT_TIMEOUT = 1_000

export interface Peers {
  /**
   * A service of the controller of this name. Unavailable if it is not present or cannot be reached within a second.
   */
  client<S extends keyof Services>(name: string, service: S): Promise<Client<Services[S]>>
}

export class ReplicaPeers implements Peers {
  readonly #replicas: Pick<Replicas, 'addressOf' | 'on'>
  readonly #connect: (address: string) => Connection
  readonly #connections = new Map<string, Connection>()

  constructor(parts: { replicas: Pick<Replicas, 'addressOf' | 'on'>; connect: (address: string) => Connection }) {
    this.#replicas = parts.replicas
    this.#connect = parts.connect
  }

  async client<S extends keyof Services>(name: string, service: S): Promise<Client<Services[S]>> {
    const address = this.#replicas.addressOf(name)
    if (address === undefined) throw new GantryError('Unavailable', `controller ${name} is not present`)
    let connection = this.#connections.get(name)
    if (connection?.address !== address) {
      connection?.close()
      connection = this.#connect(address)
      this.#connections.set(name, connection)
    }
    try {
      await connection.ready(CONNECT_TIMEOUT)
    } catch (thrown) {
      const { code, message } = GantryError.from(thrown, 'Unavailable')
      throw new GantryError(code, `controller ${name}: ${message}`, { cause: thrown })
    }
    return connection.client(service)
  }

  /** Lets go of controllers that are gone, until the signal is aborted; then of all. */
  async run(signal: AbortSignal): Promise<void> {
    const stop = this.#replicas.on((name) => {
      if (this.#replicas.addressOf(name) === undefined) this.#drop(name)
    })
    if (!signal.aborted)
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
    stop()
    for (const name of [...this.#connections.keys()]) this.#drop(name)
  }

  #drop(name: string): void {
    this.#connections.get(name)?.close()
    this.#connections.delete(name)
  }
}
