/** A server in memory: the handlers of services, called with what comes over its connections. */
import { Channel } from '../../base/channel.ts'
import type { Clock, Timer } from '../../base/clock.ts'
import { GantryError } from '../../base/errors.ts'
import type { Services } from '../../gen/types.ts'
import type { AuthorizeCall, CallContext, Handlers, KeepaliveOptions, RpcServer } from '../contract.ts'
import { packError } from '../error-status.ts'
import { methodsOf, type RpcMethod } from '../methods.ts'
import { encoded } from './client.ts'
import { Credit, taken, type Frame } from './frames.ts'
import type { Socket } from './socket.ts'

/** Milliseconds that handlers have to end when the server stops. */
const GRACE = 500

type Handler = (request: unknown, call: CallContext) => unknown

interface Served {
  readonly service: keyof Services
  readonly method: RpcMethod
  readonly handler: Handler
}

export interface MemoryServerParts {
  readonly clock: Clock
  readonly authorize: AuthorizeCall | undefined
  /** Undefined on a network that loses nothing. */
  readonly liveness: KeepaliveOptions | undefined
  /** Begins to listen: answers with the address. Unavailable if it is taken. */
  readonly listen: (server: MemoryServer) => string
  readonly unlisten: (server: MemoryServer) => void
}

export class MemoryServer implements RpcServer {
  readonly #parts: MemoryServerParts
  readonly #methods = new Map<string, Served>()
  readonly #ends = new Set<ServerEnd>()
  #stopping: GantryError | undefined

  constructor(parts: MemoryServerParts) {
    this.#parts = parts
  }

  add<S extends keyof Services>(service: S, handlers: Handlers<Services[S]>): void {
    for (const method of methodsOf(service)) {
      const handler = (handlers as unknown as Record<string, Handler>)[method.name]!.bind(handlers)
      this.#methods.set(method.path, { service, method, handler })
    }
  }

  start(): Promise<string> {
    return new Promise((resolve) => resolve(this.#parts.listen(this)))
  }

  interrupt(reason: GantryError): void {
    for (const end of [...this.#ends]) end.interrupt(reason)
  }

  async stop(): Promise<void> {
    const { clock, unlisten } = this.#parts
    this.#stopping = new GantryError('Unavailable', 'the server is stopping')
    unlisten(this)
    const stopping = this.#stopping
    for (const end of [...this.#ends]) end.interruptStreams(stopping)
    let forced: Timer | undefined
    const late = new Promise<void>((resolve) => {
      forced = clock.after(GRACE, () => {
        this.interrupt(stopping)
        resolve()
      })
    })
    await Promise.race([late, Promise.all([...this.#ends].map((end) => end.idle()))])
    forced?.cancel()
    for (const end of [...this.#ends]) end.close()
  }

  /** A connection that was dialed to this server. */
  accept(socket: Socket<Frame>, user: CallContext['user'], peer: string): void {
    const { clock, authorize, liveness } = this.#parts
    const end: ServerEnd = new ServerEnd({
      socket,
      clock,
      user,
      peer,
      method: (path) => this.#methods.get(path),
      authorize,
      stopping: () => this.#stopping,
      gone: () => void this.#ends.delete(end),
    })
    this.#ends.add(end)
    socket.send({ is: 'accepted' })
    if (liveness !== undefined) socket.watch(liveness)
  }
}

interface ServerEndParts {
  readonly socket: Socket<Frame>
  readonly clock: Clock
  readonly user: CallContext['user']
  readonly peer: string
  readonly method: (path: string) => Served | undefined
  readonly authorize: AuthorizeCall | undefined
  readonly stopping: () => GantryError | undefined
  readonly gone: () => void
}

/** The server's end of a connection. */
class ServerEnd {
  readonly #parts: ServerEndParts
  readonly #calls = new Map<number, ServedCall>()

  constructor(parts: ServerEndParts) {
    this.#parts = parts
    parts.socket.listen({ received: (frame) => this.#received(frame), lost: () => this.#lost() })
  }

  interrupt(reason: GantryError): void {
    for (const call of this.#calls.values()) call.interrupt(reason)
  }

  interruptStreams(reason: GantryError): void {
    for (const call of this.#calls.values()) if (call.isStream) call.interrupt(reason)
  }

  /** Resolves when the calls that are under way now have ended. */
  async idle(): Promise<void> {
    await Promise.all([...this.#calls.values()].map(({ done }) => done))
  }

  close(): void {
    this.#parts.socket.close()
    this.#lost()
  }

  #lost(): void {
    for (const call of this.#calls.values()) call.cancel()
    this.#calls.clear()
    this.#parts.gone()
  }

  #received(frame: Frame): void {
    const call = 'call' in frame ? this.#calls.get(frame.call) : undefined
    switch (frame.is) {
      case 'call':
        return this.#begin(frame.call, frame.path, frame.timeout)
      case 'message':
        return call?.received(frame.bytes)
      case 'credit':
        return call?.credit.give(frame.messages)
      case 'sent':
        return call?.sent()
      case 'cancel':
        call?.cancel()
        this.#calls.delete(frame.call)
        return
      case 'connect':
      case 'accepted':
      case 'end':
        return
    }
  }

  #begin(number: number, path: string, timeout: number | undefined): void {
    const { socket, clock, user, peer, authorize, stopping } = this.#parts
    const end = (error?: GantryError): void => {
      if (!this.#calls.delete(number)) return
      socket.send({ is: 'end', call: number, error: error && packError(error) })
    }
    const served = this.#parts.method(path)
    const call = new ServedCall(number, served?.method, (frame, bytes) => socket.send(frame, bytes))
    this.#calls.set(number, call)
    if (served === undefined)
      return end(new GantryError('Unsupported', `the server does not implement the method ${path}`))
    const late =
      timeout === undefined
        ? undefined
        : clock.after(timeout, () => {
            call.cancel()
            this.#calls.delete(number)
          })
    const reason = stopping()
    if (call.isStream && reason !== undefined) call.interrupt(reason)
    call.done = Promise.resolve()
      .then(() => {
        authorize?.(served.service, user)
        return call.serve(served.handler, { user, peer })
      })
      .then(
        () => end(),
        (thrown: unknown) => end(GantryError.from(thrown)),
      )
      .finally(() => late?.cancel())
  }
}

class ServedCall {
  readonly credit = new Credit()
  readonly #number: number
  readonly #method: RpcMethod | undefined
  readonly #send: (frame: Frame, bytes?: number) => void
  readonly #requests = new Channel<unknown>()
  readonly #controller = new AbortController()
  done: Promise<void> = Promise.resolve()

  constructor(number: number, method: RpcMethod | undefined, send: (frame: Frame, bytes?: number) => void) {
    this.#number = number
    this.#method = method
    this.#send = send
  }

  get isStream(): boolean {
    return this.#method?.responseStream === true
  }

  received(bytes: Uint8Array): void {
    try {
      this.#requests.push(this.#method?.decodeRequest(bytes))
    } catch (thrown) {
      this.#requests.fail(new GantryError('Internal', 'the request cannot be decoded', { cause: thrown }))
    }
  }

  sent(): void {
    this.#requests.close()
  }

  /** Whoever handles it learns why; the caller too, when that has ended. */
  interrupt(reason: GantryError): void {
    this.#controller.abort(reason)
  }

  /** The caller is gone, or will wait no longer. */
  cancel(): void {
    this.#requests.close()
    this.credit.end()
    this.#controller.abort(new GantryError('Cancelled', 'the caller went away'))
  }

  /** Rejects with what the handler throws. */
  async serve(handler: Handler, { user, peer }: Omit<CallContext, 'signal'>): Promise<void> {
    const { signal } = this.#controller
    const context: CallContext = { signal, user, peer }
    const { requestStream, responseStream, encodeResponse } = this.#method!
    const requests = taken(this.#requests, (messages) => this.#send({ is: 'credit', call: this.#number, messages }))
    const request = requestStream ? requests : await single(requests)
    if (!responseStream) {
      const response = await (handler(request, context) as Promise<unknown>)
      await this.#respond(encoded(() => encodeResponse(response)))
      return
    }
    for await (const response of handler(request, context) as AsyncIterable<unknown>) {
      if (signal.aborted || !(await this.#respond(encoded(() => encodeResponse(response))))) break
    }
    if (signal.aborted) throw signal.reason
  }

  async #respond(bytes: Uint8Array): Promise<boolean> {
    if (!(await this.#mayRespond())) return false
    this.#send({ is: 'message', call: this.#number, bytes }, bytes.length)
    return true
  }

  /** An interrupted handler is not held up by a caller who takes nothing. */
  #mayRespond(): Promise<boolean> {
    const { signal } = this.#controller
    if (signal.aborted) return this.credit.take()
    return new Promise((resolve) => {
      const abort = (): void => this.credit.end()
      signal.addEventListener('abort', abort, { once: true })
      void this.credit.take().then((may) => {
        signal.removeEventListener('abort', abort)
        resolve(may)
      })
    })
  }
}

/** The one request of a call that has no more. */
async function single(requests: AsyncIterable<unknown>): Promise<unknown> {
  for await (const request of requests) return request
  throw new GantryError('Cancelled', 'the caller went away')
}
