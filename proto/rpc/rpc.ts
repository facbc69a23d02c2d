/**
 * The services of the schema over gRPC (see contract.ts). An error travels as gRPC status plus an ErrorStatus in the
 * trailing metadata `gantry-error-bin`.
 */
import { isIP } from 'node:net'
import * as grpc from '@grpc/grpc-js'
import { Channel } from '../base/channel.ts'
import { systemClock } from '../base/clock.ts'
import type { Services } from '../gen/types.ts'
import { GantryError, GRPC_STATUS } from '../base/errors.ts'
import {
  CONTROLLER_HOST,
  type AuthorizeCall,
  type CallContext,
  type CallOptions,
  type Client,
  type Connection,
  type Handlers,
  type KeepaliveOptions,
  type RpcServer,
} from './contract.ts'
import { cancelled, codeOfStatus, ERROR_KEY, packError, unpackError } from './error-status.ts'
import { MESSAGE_LIMIT, methodsOf, WINDOW } from './methods.ts'

export { CONTROLLER_HOST }
export type { CallContext, CallOptions, Client, Connection, Handlers, KeepaliveOptions }

const CHANNEL_OPTIONS: grpc.ChannelOptions = {
  'grpc.max_receive_message_length': MESSAGE_LIMIT,
  'grpc.max_send_message_length': MESSAGE_LIMIT,
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 5_000,
  'grpc.keepalive_permit_without_calls': 1,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1_000,
}

function definition(service: keyof Services): grpc.ServiceDefinition {
  const methods = methodsOf(service).map((method): [string, grpc.MethodDefinition<unknown, unknown>] => [
    method.name,
    {
      path: method.path,
      requestStream: method.requestStream,
      responseStream: method.responseStream,
      requestSerialize: (value) => Buffer.from(method.encodeRequest(value)),
      requestDeserialize: method.decodeRequest,
      responseSerialize: (value) => Buffer.from(method.encodeResponse(value)),
      responseDeserialize: method.decodeResponse,
    },
  ])
  return Object.fromEntries(methods)
}

/** What a failed call throws. */
function fromService(error: grpc.ServiceError): GantryError {
  const packed = error.metadata?.get(ERROR_KEY)[0]
  if (packed instanceof Buffer) return unpackError(packed, error)
  return new GantryError(codeOfStatus(error.code), withoutFrame(error.details || error.message), { cause: error })
}

/**
 * "connect ECONNREFUSED 10.0.0.1:7443" out of the sentences that the library puts around the reason for having no
 * connection, and of a deadline only how long it was.
 */
function withoutFrame(text: string): string {
  const passed = /^Deadline exceeded after ([\d.]+)s/.exec(text)?.[1]
  if (passed !== undefined) return `${passed} s have passed`
  return /^No connection established\. Last error: (?:Error: )?(.*?)\.? ?Resolution note: *$/s.exec(text)?.[1] ?? text
}

/** What a handler's error is on the wire. */
function toService(thrown: unknown): Partial<grpc.StatusObject> & Error {
  const error = GantryError.from(thrown)
  const metadata = new grpc.Metadata()
  metadata.set(ERROR_KEY, Buffer.from(packError(error)))
  return Object.assign(new Error(error.message), {
    code: GRPC_STATUS[error.code] as grpc.status,
    details: error.message,
    metadata,
  })
}

/**
 * Connects lazily: the first call dials. PEM texts; without `tls` the connection is in the clear (tests on loopback).
 * `liveness` is 10 s and 5 s if not given.
 */
export function connect(
  address: string,
  tls?: { ca: string; cert: string; key: string; serverName?: string },
  liveness?: KeepaliveOptions,
): Connection {
  const credentials =
    tls === undefined
      ? grpc.credentials.createInsecure()
      : grpc.credentials.createSsl(Buffer.from(tls.ca), Buffer.from(tls.key), Buffer.from(tls.cert))
  const host = address.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1')
  const serverName = tls?.serverName ?? (isIP(host) === 0 ? undefined : CONTROLLER_HOST)
  const options: grpc.ChannelOptions = {
    ...CHANNEL_OPTIONS,
    ...(serverName === undefined ? {} : { 'grpc.ssl_target_name_override': serverName }),
    ...(liveness === undefined
      ? {}
      : { 'grpc.keepalive_time_ms': liveness.time, 'grpc.keepalive_timeout_ms': liveness.timeout }),
  }
  // The scheme of an address spares gRPC the making of a DNS resolver.
  const raw = new grpc.Client(isIP(host) === 0 ? address : `ipv${isIP(host)}:${address}`, credentials, options)
  return {
    address,
    client: (service) => makeClient(raw, service),
    ready: (timeout, signal) => untilReady(raw.getChannel(), address, timeout, signal),
    onLost: (told) => {
      const channel = raw.getChannel()
      const { READY } = grpc.connectivityState
      if (channel.getConnectivityState(false) === READY) channel.watchConnectivityState(READY, Infinity, told)
      else told()
    },
    close: () => raw.close(),
  }
}

async function untilReady(
  channel: ReturnType<grpc.Client['getChannel']>,
  address: string,
  timeout: number,
  signal?: AbortSignal,
): Promise<void> {
  const deadline = systemClock.now() + timeout
  for (
    let state = channel.getConnectivityState(true);
    state !== grpc.connectivityState.READY;
    state = channel.getConnectivityState(true)
  ) {
    if (signal?.aborted === true) throw cancelled(signal)
    if (state === grpc.connectivityState.TRANSIENT_FAILURE)
      throw new GantryError('Unavailable', `${address} cannot be connected to`)
    if (state === grpc.connectivityState.SHUTDOWN)
      throw new GantryError('Unavailable', `the connection to ${address} is closed`)
    await new Promise<void>((resolve, reject) => {
      const abort = (): void => reject(cancelled(signal!))
      signal?.addEventListener('abort', abort, { once: true })
      channel.watchConnectivityState(state, deadline, (error) => {
        signal?.removeEventListener('abort', abort)
        if (error === undefined) resolve()
        else reject(new GantryError('Unavailable', `${address} does not answer within ${timeout} ms`, { cause: error }))
      })
    })
  }
}

function makeClient<S extends keyof Services>(raw: grpc.Client, service: S): Client<Services[S]> {
  const calls = Object.entries(definition(service)).map(([name, method]) => {
    const shape = method.requestStream ? 'Duplex' : method.responseStream ? 'ServerStream' : 'Unary'
    switch (shape) {
      case 'Unary':
        return [name, (request: unknown, options: CallOptions = {}) => callUnary(raw, method, request, options)]
      case 'ServerStream':
        return [
          name,
          (request: unknown, options: CallOptions = {}) =>
            readCall(
              () =>
                raw.makeServerStreamRequest(
                  method.path,
                  method.requestSerialize,
                  method.responseDeserialize,
                  request,
                  deadline(options),
                ),
              options,
            ),
        ]
      case 'Duplex':
        return [
          name,
          (requests: AsyncIterable<unknown>, options: CallOptions = {}) =>
            readCall(() => {
              const call = raw.makeBidiStreamRequest(
                method.path,
                method.requestSerialize,
                method.responseDeserialize,
                deadline(options),
              )
              writeAll(call, requests).then(
                () => call.end(),
                (thrown: unknown) => call.destroy(GantryError.from(thrown)),
              )
              return call
            }, options),
        ]
    }
  })
  return Object.fromEntries(calls) as Client<Services[S]>
}

function deadline(options: CallOptions): grpc.CallOptions {
  return options.timeout === undefined ? {} : { deadline: new Date(systemClock.now() + options.timeout) }
}

/** A call on a connection that was closed does not begin: the library throws a plain error then. */
function begin<T>(open: () => T): T {
  try {
    return open()
  } catch (thrown) {
    throw GantryError.from(thrown, 'Unavailable')
  }
}

function callUnary(
  raw: grpc.Client,
  method: grpc.MethodDefinition<unknown, unknown>,
  request: unknown,
  options: CallOptions,
): Promise<unknown> {
  const { signal } = options
  const gaveUp = (): boolean => signal?.aborted === true
  return new Promise((resolve, reject) => {
    if (gaveUp()) return reject(cancelled(signal!))
    const abort = (): void => call.cancel()
    const call = begin(() =>
      raw.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        deadline(options),
        (error, response) => {
          signal?.removeEventListener('abort', abort)
          if (error === null) resolve(response)
          else reject(gaveUp() ? cancelled(signal!) : fromService(error))
        },
      ),
    )
    signal?.addEventListener('abort', abort, { once: true })
  })
}

async function* readCall(
  open: () => grpc.ClientReadableStream<unknown> | grpc.ClientDuplexStream<unknown, unknown>,
  options: CallOptions,
): AsyncGenerator<unknown, void, undefined> {
  const { signal } = options
  const gaveUp = (): boolean => signal?.aborted === true
  if (gaveUp()) throw cancelled(signal!)
  const call = begin(open)
  const abort = (): void => call.cancel()
  signal?.addEventListener('abort', abort, { once: true })
  try {
    for await (const message of call) yield message
  } catch (thrown) {
    if (gaveUp()) throw cancelled(signal!)
    throw typeof (thrown as grpc.ServiceError).code === 'number'
      ? fromService(thrown as grpc.ServiceError)
      : GantryError.from(thrown)
  } finally {
    signal?.removeEventListener('abort', abort)
    call.cancel()
  }
}

/** Writes with the stream's backpressure; ends quietly when the other side has gone. */
async function writeAll(
  stream: {
    write(message: unknown): boolean
    once(event: string, call: () => void): unknown
    off(event: string, call: () => void): unknown
    destroyed: boolean
  },
  messages: AsyncIterable<unknown>,
  signal?: AbortSignal,
): Promise<void> {
  for await (const message of messages) {
    if (stream.destroyed || signal?.aborted === true) return
    if (stream.write(message)) continue
    await new Promise<void>((resolve) => {
      const done = (): void => {
        for (const event of ['drain', 'close', 'error']) stream.off(event, done)
        signal?.removeEventListener('abort', done)
        resolve()
      }
      for (const event of ['drain', 'close', 'error']) stream.once(event, done)
      signal?.addEventListener('abort', done, { once: true })
    })
  }
}

export interface ServerOptions {
  /** host:port; port 0 chooses one. */
  readonly address: string
  /** host:port where it listens as well. */
  readonly also?: string | undefined
  /** PEM texts; clients must show a certificate of `ca`. Without it in the clear (tests on loopback). */
  readonly tls?: { readonly ca: string; readonly cert: string; readonly key: string }
  readonly authorize?: AuthorizeCall
}

export class Server implements RpcServer {
  readonly #server = new grpc.Server(CHANNEL_OPTIONS)
  readonly #options: ServerOptions
  /** Those under way, and whether each is a stream. */
  readonly #calls = new Map<AbortController, boolean>()
  #stopping: GantryError | undefined

  constructor(options: ServerOptions) {
    this.#options = options
  }

  add<S extends keyof Services>(service: S, handlers: Handlers<Services[S]>): void {
    const methods = definition(service)
    const implementation: grpc.UntypedServiceImplementation = {}
    for (const [name, method] of Object.entries(methods)) {
      const handler = (handlers as unknown as Record<string, (request: unknown, call: CallContext) => unknown>)[
        name
      ]!.bind(handlers)
      implementation[name] = method.responseStream
        ? this.#stream(service, handler, method.requestStream)
        : this.#unary(service, handler)
    }
    this.#server.addService(methods, implementation)
  }

  async start(): Promise<string> {
    const { address, also, tls } = this.#options
    const credentials =
      tls === undefined
        ? grpc.ServerCredentials.createInsecure()
        : grpc.ServerCredentials.createSsl(
            Buffer.from(tls.ca),
            [{ cert_chain: Buffer.from(tls.cert), private_key: Buffer.from(tls.key) }],
            true,
          )
    if (also !== undefined) await this.#listen(also, credentials)
    return this.#listen(address, credentials)
  }

  #listen(address: string, credentials: grpc.ServerCredentials): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#server.bindAsync(address, credentials, (error, port) => {
        if (error === null) resolve(address.replace(/:\d+$/, `:${port}`))
        else reject(new GantryError('Unavailable', `cannot listen on ${address}: ${error.message}`, { cause: error }))
      })
    })
  }

  interrupt(reason: GantryError): void {
    for (const call of [...this.#calls.keys()]) call.abort(reason)
  }

  /** Streams end at once. What else is under way is done first, within half a second. */
  async stop(): Promise<void> {
    const stopping = new GantryError('Unavailable', 'the server is stopping')
    this.#stopping = stopping
    for (const [call, isStream] of [...this.#calls]) if (isStream) call.abort(stopping)
    const gone = new Promise<void>((resolve) => this.#server.tryShutdown(() => resolve()))
    const forced = systemClock.after(500, () => {
      this.interrupt(stopping)
      this.#server.forceShutdown()
    })
    await gone
    forced.cancel()
  }

  #context(
    call:
      | grpc.ServerUnaryCall<unknown, unknown>
      | grpc.ServerWritableStream<unknown, unknown>
      | grpc.ServerDuplexStream<unknown, unknown>,
    service: keyof Services,
    isStream: boolean,
  ): { context: CallContext; release: () => void } {
    const subject = call.getAuthContext()?.sslPeerCertificate?.subject as
      | { CN?: string; O?: string | string[] }
      | undefined
    const user = { name: subject?.CN ?? '', groups: subject?.O === undefined ? [] : [subject.O].flat() }
    this.#options.authorize?.(service, user)
    const controller = new AbortController()
    const events: NodeJS.EventEmitter = call
    events.on('cancelled', () => controller.abort(new GantryError('Cancelled', 'the caller went away')))
    if (isStream && this.#stopping !== undefined) controller.abort(this.#stopping)
    this.#calls.set(controller, isStream)
    return {
      context: { signal: controller.signal, user, peer: call.getPeer() },
      release: () => void this.#calls.delete(controller),
    }
  }

  #unary(
    service: keyof Services,
    handler: (request: unknown, call: CallContext) => unknown,
  ): grpc.handleUnaryCall<unknown, unknown> {
    return (call, callback) => {
      void (async () => {
        const { context, release } = this.#context(call, service, false)
        try {
          return await (handler(call.request, context) as Promise<unknown>)
        } finally {
          release()
        }
      })().then(
        (response) => callback(null, response),
        (thrown: unknown) => callback(toService(thrown)),
      )
    }
  }

  #stream(service: keyof Services, handler: (request: unknown, call: CallContext) => unknown, duplex: boolean) {
    return (call: grpc.ServerWritableStream<unknown, unknown> | grpc.ServerDuplexStream<unknown, unknown>): void => {
      void (async () => {
        const { context, release } = this.#context(call, service, true)
        try {
          const requests = duplex
            ? received(call as grpc.ServerDuplexStream<unknown, unknown>)
            : (call as grpc.ServerWritableStream<unknown, unknown>).request
          await writeAll(call, handler(requests, context) as AsyncIterable<unknown>, context.signal)
          if (context.signal.aborted) throw context.signal.reason
        } finally {
          release()
        }
      })().then(
        () => call.end(),
        (thrown: unknown) => void call.emit('error', toService(thrown)),
      )
    }
  }
}

/**
 * The requests of a duplex call, read no faster than they are taken; the iteration ends when the caller ends its side
 * or goes away.
 */
function received(call: grpc.ServerDuplexStream<unknown, unknown>): AsyncIterable<unknown> {
  const channel = new Channel<unknown>()
  call.on('data', (message) => {
    channel.push(message)
    if (channel.length < WINDOW) return
    call.pause()
    void channel.waitForRoom(WINDOW / 2).then(() => call.resume())
  })
  for (const event of ['end', 'cancelled', 'error', 'close']) call.on(event, () => channel.close())
  return channel
}
