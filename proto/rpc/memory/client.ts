/** A client's connection in memory: dials as the first call or `ready` needs it, and again after it was lost. */
import { Channel } from '../../base/channel.ts'
import type { Clock } from '../../base/clock.ts'
import { GantryError } from '../../base/errors.ts'
import type { Services } from '../../gen/types.ts'
import type { CallContext, CallOptions, Client, Connection, KeepaliveOptions } from '../contract.ts'
import { cancelled, unpackError } from '../error-status.ts'
import { MESSAGE_LIMIT, methodsOf, type RpcMethod } from '../methods.ts'
import { Credit, taken, type Frame } from './frames.ts'
import type { Socket } from './socket.ts'

/** Milliseconds until a host that does not answer counts as not to be reached. */
const DIAL_TIMEOUT = 20_000

export interface ClientParts {
  readonly address: string
  readonly user: CallContext['user']
  readonly clock: Clock
  /** Undefined on a network that loses nothing. */
  readonly liveness: KeepaliveOptions | undefined
  /** A socket towards the server with the own address; undefined if the program that dials is no more. */
  readonly dial: () => { readonly socket: Socket<Frame>; readonly peer: string } | undefined
}

type State =
  | { readonly is: 'idle' }
  | { readonly is: 'dialing'; readonly opened: Promise<ClientEnd>; readonly give: (error: GantryError) => void }
  | { readonly is: 'open'; readonly end: ClientEnd }
  | { readonly is: 'closed' }

export class MemoryConnection implements Connection {
  readonly #parts: ClientParts
  #state: State = { is: 'idle' }

  constructor(parts: ClientParts) {
    this.#parts = parts
  }

  get address(): string {
    return this.#parts.address
  }

  readonly client = <S extends keyof Services>(service: S): Client<Services[S]> => {
    const calls = methodsOf(service).map((method) => [
      method.name,
      method.responseStream
        ? (request: unknown, options: CallOptions = {}) => this.#stream(method, request, options)
        : (request: unknown, options: CallOptions = {}) => this.#unary(method, request, options),
    ])
    return Object.fromEntries(calls) as Client<Services[S]>
  }

  async ready(timeout: number, signal?: AbortSignal): Promise<void> {
    if (this.#state.is === 'open') return
    if (signal?.aborted === true) throw cancelled(signal)
    await new Promise<void>((resolve, reject) => {
      const { clock, address } = this.#parts
      const settle = (settled: () => void) => (): void => {
        late.cancel()
        signal?.removeEventListener('abort', abort)
        settled()
      }
      const abort = settle(() => reject(cancelled(signal!)))
      const late = clock.after(
        timeout,
        settle(() => reject(new GantryError('Unavailable', `${address} does not answer within ${timeout} ms`))),
      )
      signal?.addEventListener('abort', abort, { once: true })
      this.#opened().then(settle(resolve), (thrown: unknown) => settle(() => reject(thrown as Error))())
    })
  }

  onLost(told: () => void): void {
    if (this.#state.is === 'open') this.#state.end.onLost(told)
    else told()
  }

  close(): void {
    const state = this.#state
    this.#state = { is: 'closed' }
    switch (state.is) {
      case 'dialing':
        return state.give(this.#unavailable('is closed'))
      case 'open':
        return state.end.close()
      case 'idle':
      case 'closed':
        return
    }
  }

  #unavailable(what: string): GantryError {
    return new GantryError('Unavailable', `the connection to ${this.#parts.address} ${what}`)
  }

  #opened(): Promise<ClientEnd> {
    switch (this.#state.is) {
      case 'open':
        return Promise.resolve(this.#state.end)
      case 'dialing':
        return this.#state.opened
      case 'closed':
        return Promise.reject(this.#unavailable('is closed'))
      case 'idle':
        return this.#dial()
    }
  }

  #dial(): Promise<ClientEnd> {
    const { clock, liveness, dial, address, user } = this.#parts
    const unreachable = new GantryError('Unavailable', `${address} cannot be connected to`)
    const dialed = dial()
    if (dialed === undefined) return Promise.reject(unreachable)
    const { socket, peer } = dialed
    let give!: (error: GantryError) => void
    const opened = new Promise<ClientEnd>((resolve, reject) => {
      give = (error) => {
        late.cancel()
        socket.close()
        if (this.#state.is === 'dialing') this.#state = { is: 'idle' }
        reject(error)
      }
      const late = clock.after(DIAL_TIMEOUT, () => give(unreachable))
      socket.listen({
        received: () => {
          late.cancel()
          const end = new ClientEnd(clock, socket, () => this.#unavailable('is lost'))
          if (liveness !== undefined) socket.watch(liveness)
          end.onLost(() => void (this.#state.is === 'open' && (this.#state = { is: 'idle' })))
          this.#state = { is: 'open', end }
          resolve(end)
        },
        lost: () => give(unreachable),
      })
      socket.send({ is: 'connect', user, peer })
    })
    opened.catch(() => undefined) // whoever waits learns it
    this.#state = { is: 'dialing', opened, give }
    return opened
  }

  async *#stream(method: RpcMethod, request: unknown, options: CallOptions): AsyncGenerator<unknown, void, undefined> {
    const call = this.#begin(method, method.requestStream ? (request as AsyncIterable<unknown>) : [request], options)
    try {
      yield* call.messages()
    } finally {
      call.giveUp(new GantryError('Cancelled', 'the caller went away'))
    }
  }

  async #unary(method: RpcMethod, request: unknown, options: CallOptions): Promise<unknown> {
    const responses: unknown[] = []
    for await (const response of this.#begin(method, [request], options).messages()) responses.push(response)
    if (responses.length !== 1)
      throw new GantryError('Internal', `${method.path} was answered with ${responses.length} messages`)
    return responses[0]
  }

  /** Answers at once; the call is sent when the connection is there. */
  #begin(
    method: RpcMethod,
    requests: AsyncIterable<unknown> | Iterable<unknown>,
    { timeout, signal }: CallOptions,
  ): ClientCall {
    const { clock } = this.#parts
    if (signal?.aborted === true) throw cancelled(signal)
    const abort = (): void => call.giveUp(cancelled(signal!))
    const late =
      timeout === undefined
        ? undefined
        : clock.after(timeout, () =>
            call.giveUp(new GantryError('DeadlineExceeded', `${(timeout / 1000).toFixed(3)} s have passed`)),
          )
    const call: ClientCall = new ClientCall(method, () => {
      late?.cancel()
      signal?.removeEventListener('abort', abort)
    })
    signal?.addEventListener('abort', abort, { once: true })
    this.#opened().then(
      (end) => end.begin(call, requests, timeout),
      (thrown: unknown) => call.end(GantryError.from(thrown)),
    )
    return call
  }
}

/** The client's end of a connection that stands. */
class ClientEnd {
  readonly #clock: Clock
  readonly #socket: Socket<Frame>
  readonly #calls = new Map<number, ClientCall>()
  readonly #listeners: (() => void)[] = []
  #last = 0
  #closing = false

  constructor(clock: Clock, socket: Socket<Frame>, lost: () => GantryError) {
    this.#clock = clock
    this.#socket = socket
    socket.listen({
      received: (frame) => this.#received(frame),
      lost: () => {
        this.#tell()
        for (const call of [...this.#calls.values()]) call.end(lost())
        this.#calls.clear()
      },
    })
  }

  onLost(told: () => void): void {
    this.#listeners.push(told)
  }

  begin(call: ClientCall, requests: AsyncIterable<unknown> | Iterable<unknown>, timeout: number | undefined): void {
    if (call.ended) return
    const number = ++this.#last
    this.#calls.set(number, call)
    this.#socket.send({ is: 'call', call: number, path: call.method.path, timeout })
    const send = (frame: Frame, bytes?: number): void => this.#socket.send(frame, bytes)
    call.begun(number, send, () => {
      this.#calls.delete(number)
      this.#closeUnused()
    })
    void call.write(requests)
  }

  /** Calls that are under way go on. */
  close(): void {
    this.#closing = true
    this.#tell()
    this.#closeUnused()
  }

  #closeUnused(): void {
    if (this.#closing && this.#calls.size === 0) this.#socket.close()
  }

  #tell(): void {
    for (const told of this.#listeners.splice(0)) told()
  }

  #received(frame: Frame): void {
    const call = 'call' in frame ? this.#calls.get(frame.call) : undefined
    switch (frame.is) {
      case 'message':
        return call?.received(frame.bytes)
      case 'credit':
        return call?.credit.give(frame.messages)
      case 'end':
        return call?.end(frame.error === undefined ? undefined : unpackError(frame.error))
      case 'connect':
      case 'accepted':
      case 'call':
      case 'sent':
      case 'cancel':
        return
    }
  }
}

class ClientCall {
  readonly method: RpcMethod
  readonly credit = new Credit()
  readonly #received = new Channel<unknown>()
  readonly #release: () => void
  #begun: { readonly number: number; readonly send: (frame: Frame, bytes?: number) => void } | undefined
  #over: (() => void) | undefined
  ended = false

  constructor(method: RpcMethod, release: () => void) {
    this.method = method
    this.#release = release
  }

  begun(number: number, send: (frame: Frame, bytes?: number) => void, over: () => void): void {
    this.#begun = { number, send }
    this.#over = over
  }

  messages(): AsyncGenerator<unknown, void, undefined> {
    return taken(this.#received, (messages) => this.#send({ is: 'credit', call: this.#begun!.number, messages }))
  }

  received(bytes: Uint8Array): void {
    try {
      this.#received.push(this.method.decodeResponse(bytes))
    } catch (thrown) {
      this.giveUp(
        new GantryError('Internal', `${this.method.path} was answered with what it has no message for`, {
          cause: thrown,
        }),
      )
    }
  }

  async write(requests: AsyncIterable<unknown> | Iterable<unknown>): Promise<void> {
    const { number } = this.#begun!
    try {
      for await (const request of requests) {
        if (this.ended) return
        const bytes = encoded(() => this.method.encodeRequest(request))
        if (!(await this.credit.take())) return
        this.#send({ is: 'message', call: number, bytes }, bytes.length)
      }
      this.#send({ is: 'sent', call: number })
    } catch (thrown) {
      this.giveUp(GantryError.from(thrown))
    }
  }

  /** The server's last word, or the connection's: what was received before is handed out yet. */
  end(error?: GantryError): void {
    if (this.ended) return
    this.#finish()
    this.#received.close(error)
  }

  /** The caller wants it no more, and is told so at once. */
  giveUp(error: GantryError): void {
    if (this.ended) return
    if (this.#begun !== undefined) this.#send({ is: 'cancel', call: this.#begun.number })
    this.#finish()
    this.#received.fail(error)
  }

  #finish(): void {
    this.ended = true
    this.credit.end()
    this.#release()
    this.#over?.()
  }

  #send(frame: Frame, bytes?: number): void {
    if (!this.ended) this.#begun!.send(frame, bytes)
  }
}

/** The bytes of a message. What cannot be encoded is a defect of the sender's. */
export function encoded(encode: () => Uint8Array): Uint8Array {
  let bytes: Uint8Array
  try {
    bytes = encode()
  } catch (thrown) {
    throw new GantryError('Internal', `the message cannot be encoded: ${GantryError.from(thrown).message}`, {
      cause: thrown,
    })
  }
  if (bytes.length > MESSAGE_LIMIT)
    throw new GantryError('ResourceExhausted', `a message of ${bytes.length} bytes is over ${MESSAGE_LIMIT}`)
  return bytes
}
