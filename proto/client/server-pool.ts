/**
 * Which of a context's controllers is spoken to: any of them serves, so one that does not answer is left for the next.
 */
import type { Credentials } from './context.ts'
import { GantryError } from '../base/errors.ts'
import type { connect as connectFunction, Connection, KeepaliveOptions } from '../rpc/rpc.ts'
import type { Clock, Timer } from '../base/clock.ts'

/** Milliseconds that one has to answer its greeting, and after which the next is greeted as well. */
const DIAL_TIMEOUT_MS = 1_000
const STAGGER = 300
/** With others to go to, one that falls silent in the middle of a call is found out sooner. */
const LIVENESS: KeepaliveOptions = { time: 500, timeout: 1_500 }

/** What dials a controller. */
export type Connect = typeof connectFunction

export interface ServerPoolOptions {
  /** host:port of each, the first preferred. */
  readonly addresses: readonly string[]
  /** Undefined: in the clear. */
  readonly credentials: Credentials | undefined
  readonly connect: Connect
  readonly clock: Clock
}

export class ServerPool {
  readonly #options: ServerPoolOptions
  readonly #open = new Set<Connection>()
  #current: Promise<Connection> | undefined
  /** Index of the one that is greeted first. */
  #first = 0

  constructor(options: ServerPoolOptions) {
    this.#options = options
  }

  get count(): number {
    return this.#options.addresses.length
  }

  /**
   * The connection in use; else to the first that answers. Unavailable if none does. A single one is not greeted: the
   * call itself tells. One that is lost is left at once: calls that still wait for it fail as Unavailable, instead of
   * waiting for a machine that may be gone.
   */
  connection(): Promise<Connection> {
    if (this.#current !== undefined) return this.#current
    const found = this.count === 1 ? Promise.resolve(this.#dial(0)) : this.#find()
    this.#current = found
    found.catch(() => {
      if (this.#current === found) this.#current = undefined
    })
    return found
  }

  /** Does not use the connection for further calls: another controller is asked first. Calls under way on it go on. */
  async leave(connection: Connection): Promise<void> {
    if (this.count === 1 || this.#current === undefined || (await this.#current) !== connection) return
    this.#current = undefined
    this.#first = (this.#options.addresses.indexOf(connection.address) + 1) % this.count
    this.#close(connection)
  }

  close(): void {
    for (const connection of this.#open) this.#close(connection)
  }

  #dial(index: number): Connection {
    const { addresses, credentials, connect } = this.#options
    const connection = connect(addresses[index]!, credentials, this.count === 1 ? undefined : LIVENESS)
    this.#open.add(connection)
    return connection
  }

  #close(connection: Connection): void {
    this.#open.delete(connection)
    connection.close()
  }

  #find(): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const failures: GantryError[] = []
      const greeted: Connection[] = []
      let timer: Timer | undefined
      let won = false
      const greetNext = (): void => {
        timer?.cancel()
        if (won || greeted.length === this.count) return
        const connection = this.#dial((this.#first + greeted.length) % this.count)
        greeted.push(connection)
        greet(connection).then(
          () => {
            if (won) return
            won = true
            timer?.cancel()
            for (const other of greeted) if (other !== connection) this.#close(other)
            resolve(connection)
            connection.onLost(() => void this.leave(connection))
          },
          (thrown: unknown) => {
            if (won) return
            this.#close(connection)
            failures.push(GantryError.from(thrown, 'Unavailable'))
            if (greeted.length < this.count) greetNext()
            else if (failures.length === this.count)
              reject(
                new GantryError('Unavailable', failures.map(({ message }) => message).join('; '), {
                  cause: failures[0],
                }),
              )
          },
        )
        if (greeted.length < this.count) timer = this.#options.clock.after(STAGGER, greetNext)
      }
      greetNext()
    })
  }
}

/** Rejects unless it answers, and can serve: one that is cut off from the others says so. */
async function greet(connection: Connection): Promise<void> {
  await connection.ready(DIAL_TIMEOUT_MS)
  try {
    await connection.client('Cluster').version({}, { timeout: DIAL_TIMEOUT_MS })
  } catch (thrown) {
    // Whatever else it answers, it is there: the call itself will be told.
    if (GantryError.is(thrown, 'Unavailable')) throw thrown
    if (GantryError.is(thrown, 'DeadlineExceeded'))
      throw new GantryError('Unavailable', `${connection.address} does not answer within ${DIAL_TIMEOUT_MS} ms`, {
        cause: thrown,
      })
  }
}
