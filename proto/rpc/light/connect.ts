/**
 * The services of the schema over gRPC, for clients that live for a call or two: without the library that rpc.ts stands
 * on, and Node.js's own HTTP/2, since loading them takes longer than the calls. What servers see is the same.
 */
import { systemClock } from '../../base/clock.ts'
import { GantryError } from '../../base/errors.ts'
import type { Services } from '../../gen/types.ts'
import type { CallOptions, Client, Connection, KeepaliveOptions } from '../contract.ts'
import { cancelled } from '../error-status.ts'
import { methodsOf } from '../methods.ts'
import { call, callUnary, type CallParts } from './call.ts'
import { noCheckedCertificates, type CheckedCertificates } from './checked-certificates.ts'
import { dial, type TlsOptions } from './dial.ts'
import { Session } from './session.ts'

const KEEPALIVE: KeepaliveOptions = { time: 10_000, timeout: 5_000 }

/**
 * As `connect` of rpc.ts: lazily, the first call dials, and one after the connection was lost does so again. `liveness`
 * is 10 s and 5 s if not given.
 */
export function connect(
  address: string,
  tls?: TlsOptions,
  liveness: KeepaliveOptions = KEEPALIVE,
  checked: CheckedCertificates = noCheckedCertificates,
): Connection {
  return new LightConnection(address, tls, liveness, checked)
}

class LightConnection implements Connection {
  readonly address: string
  readonly #tls: TlsOptions | undefined
  readonly #liveness: KeepaliveOptions
  readonly #checked: CheckedCertificates
  /** Open, or being dialled. */
  #session: Promise<Session> | undefined
  #open: Session | undefined
  /** Calls that wait for it. */
  #waiting = 0
  readonly #dialling = new AbortController()
  #isClosed = false
  #onLost: (() => void)[] = []

  constructor(address: string, tls: TlsOptions | undefined, liveness: KeepaliveOptions, checked: CheckedCertificates) {
    this.address = address
    this.#tls = tls
    this.#liveness = liveness
    this.#checked = checked
  }

  readonly client = <S extends keyof Services>(service: S): Client<Services[S]> => {
    const parts: CallParts = { session: () => this.#current(), clock: systemClock }
    const calls = methodsOf(service).map((method) => [
      method.name,
      method.requestStream || method.responseStream
        ? (requests: unknown, options?: CallOptions) =>
            call(parts, method, method.requestStream ? (requests as AsyncIterable<unknown>) : [requests], options)
        : (request: unknown, options?: CallOptions) => callUnary(parts, method, request, options),
    ])
    return Object.fromEntries(calls) as Client<Services[S]>
  }

  async ready(timeout: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true) throw cancelled(signal)
    if (this.#isClosed) throw this.#closedError()
    let giveUp: (error: GantryError) => void = () => undefined
    const givenUp = new Promise<never>((_, reject) => (giveUp = reject))
    const timer = systemClock.after(timeout, () =>
      giveUp(new GantryError('Unavailable', `${this.address} does not answer within ${timeout} ms`)),
    )
    const abort = (): void => giveUp(cancelled(signal!))
    signal?.addEventListener('abort', abort, { once: true })
    const greeted = this.#current()
      .then((session) => session.greeted)
      .catch((cause: unknown) => {
        throw new GantryError('Unavailable', `${this.address} cannot be connected to`, { cause })
      })
    try {
      await Promise.race([greeted, givenUp])
    } finally {
      timer.cancel()
      signal?.removeEventListener('abort', abort)
    }
  }

  onLost(told: () => void): void {
    if (this.#open === undefined) told()
    else this.#onLost.push(told)
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    if (this.#open !== undefined) this.#open.finish()
    else if (this.#waiting === 0) this.#dialling.abort(this.#closedError())
    // Those who wait for it begin their calls first.
    else void this.#session?.then((session) => setImmediate(() => session.finish())).catch(() => undefined)
  }

  async #current(): Promise<Session> {
    if (this.#isClosed) throw this.#closedError()
    this.#waiting++
    try {
      return await (this.#session ??= this.#dial())
    } finally {
      this.#waiting--
    }
  }

  async #dial(): Promise<Session> {
    try {
      const socket = await dial({
        address: this.address,
        tls: this.#tls,
        checked: this.#checked,
        clock: systemClock,
        signal: this.#dialling.signal,
      })
      const session: Session = new Session({
        socket,
        scheme: this.#tls === undefined ? 'http' : 'https',
        authority: this.#tls?.serverName ?? this.address,
        keepalive: this.#liveness,
        clock: systemClock,
        onClosing: () => this.#lost(session),
      })
      return (this.#open = session)
    } catch (thrown) {
      this.#session = undefined
      throw thrown
    }
  }

  #lost(session: Session): void {
    if (this.#open !== session) return
    this.#open = undefined
    this.#session = undefined
    for (const told of this.#onLost.splice(0)) told()
  }

  #closedError(): GantryError {
    return new GantryError('Unavailable', `the connection to ${this.address} is closed`)
  }
}
