/** The way to one member: a connection, made anew when it is asked for after an end. */
import { backoffDelay } from '../../../proto/base/backoff.ts'
import { delay, type Clock } from '../../../proto/base/clock.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import type { Random } from '../../../proto/base/random.ts'
import { openSocket, type MemberAddress, type TlsKeys } from './address.ts'
import { Http2Connection } from '../../../proto/rpc/http2/connection.ts'
import { GrpcTransport } from './transport.ts'

const RECONNECT = { first: 50, max: 500 }
/** Milliseconds until a member must have sent its settings. */
const CONNECT_TIMEOUT_MS = 5_000

type State =
  /** After `failures` in a row a pause comes before the next try. */
  | { readonly is: 'idle'; readonly failures: number }
  | { readonly is: 'connecting'; readonly attempt: Promise<GrpcTransport>; readonly end: AbortController }
  | { readonly is: 'ready'; readonly transport: GrpcTransport }
  | { readonly is: 'closed' }

export interface SubchannelOptions {
  readonly address: MemberAddress
  readonly tls: TlsKeys | undefined
  readonly clock: Clock
  readonly random: Random
}

export class Subchannel {
  readonly #options: SubchannelOptions
  #state: State = { is: 'idle', failures: 0 }

  constructor(options: SubchannelOptions) {
    this.#options = options
  }

  /** The connection, if calls may begin on it now. */
  get ready(): GrpcTransport | undefined {
    return this.#state.is === 'ready' && this.#state.transport.open ? this.#state.transport : undefined
  }

  /** The connection, or one more try to make it, which all share who ask meanwhile. Unavailable if that fails. */
  connect(): Promise<GrpcTransport> {
    const state = this.#state
    switch (state.is) {
      case 'ready':
        return state.transport.open ? Promise.resolve(state.transport) : this.#begin(0)
      case 'connecting':
        return state.attempt
      case 'idle':
        return this.#begin(state.failures)
      case 'closed':
        return Promise.reject(closed())
    }
  }

  /** Calls that are open still get their answers. */
  close(): void {
    const state = this.#state
    this.#state = { is: 'closed' }
    if (state.is === 'connecting') state.end.abort(closed())
    if (state.is === 'ready') state.transport.close()
  }

  #begin(failures: number): Promise<GrpcTransport> {
    const end = new AbortController()
    const attempt = this.#try(failures, end.signal)
    this.#state = { is: 'connecting', attempt, end }
    return attempt
  }

  async #try(failures: number, signal: AbortSignal): Promise<GrpcTransport> {
    const { clock, random } = this.#options
    try {
      if (failures > 0) await delay(clock, backoffDelay(RECONNECT, failures, random), signal)
      const transport = await this.#open(signal)
      this.#state = { is: 'ready', transport }
      return transport
    } catch (thrown) {
      if (this.#state.is === 'connecting') this.#state = { is: 'idle', failures: failures + 1 }
      throw GantryError.from(thrown, 'Unavailable')
    }
  }

  /** Resolves when the member has sent its settings: one that hangs may take a connection all the same. */
  #open(signal: AbortSignal): Promise<GrpcTransport> {
    const { address, tls, clock } = this.#options
    const { authority } = address
    return new Promise((resolve, reject) => {
      let transport: GrpcTransport | undefined
      const settle = (): void => {
        timer.cancel()
        signal.removeEventListener('abort', abort)
      }
      const abort = (): void => connection.destroy(closed())
      const connection = new Http2Connection(openSocket(address, tls), {
        ready: () => {
          settle()
          resolve((transport = new GrpcTransport(connection, tls === undefined ? 'http' : 'https', authority, clock)))
        },
        word: () => transport?.onWord(),
        draining: () => transport?.close(),
        ended: (error) => {
          settle()
          transport?.onEnd()
          reject(new GantryError('Unavailable', `etcd at ${authority}: ${error.message}`, { cause: error }))
        },
      })
      const timer = clock.after(CONNECT_TIMEOUT_MS, () =>
        connection.destroy(new GantryError('Unavailable', 'it does not answer')),
      )
      signal.addEventListener('abort', abort, { once: true })
    })
  }
}

function closed(): GantryError {
  return new GantryError('Unavailable', 'the connection to etcd is closed')
}
