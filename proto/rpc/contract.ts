/**
 * Calls of the schema's services: promises, async iterables and AbortSignals outside, GantryErrors in both directions.
 * Transports: rpc.ts is gRPC between programs, memory/ a network within one process for tests and simulation;
 * test/contract/transport.ts is the suite both pass.
 *
 * Whatever the transport:
 * - Messages are encoded by the sender and decoded by the receiver: nothing is shared by reference.
 * - A call's messages arrive in order. Who sends more than the other side takes is made to wait.
 * - A handler's error reaches the caller with its code, message and details; messages before it that were not taken yet
 *   may be lost. What is no GantryError arrives as one (GantryError.from).
 * - A call that is given up (its signal, its deadline, a caller that iterates no further) throws at once for the caller
 *   (the signal's reason if that is a GantryError, else Cancelled; DeadlineExceeded) and aborts the handler's signal.
 * - When a connection breaks, its calls throw Unavailable for callers; handlers see their signal aborted and their
 *   requests end. Whether a call whose answer did not arrive has happened is not known.
 */
import type { GantryError } from '../base/errors.ts'
import type { Input } from '../codec/wire.ts'
import type { Services } from '../gen/types.ts'

interface Method {
  shape: 'Unary' | 'ServerStream' | 'ClientStream' | 'Duplex'
  request: unknown
  response: unknown
}

/** How a client calls: a deadline in milliseconds from now and a signal that cancels. */
export interface CallOptions {
  readonly timeout?: number
  readonly signal?: AbortSignal
}

type ClientCall<M extends Method> = M['shape'] extends 'Unary'
  ? (request: Input<M['request']>, options?: CallOptions) => Promise<M['response']>
  : M['shape'] extends 'ServerStream'
    ? (request: Input<M['request']>, options?: CallOptions) => AsyncIterable<M['response']>
    : M['shape'] extends 'Duplex'
      ? (requests: AsyncIterable<Input<M['request']>>, options?: CallOptions) => AsyncIterable<M['response']>
      : never

export type Client<S> = { readonly [K in keyof S]: S[K] extends Method ? ClientCall<S[K]> : never }

/** Who calls, as far as the transport knows. */
export interface CallContext {
  /** Aborted when the caller went away or the server stops. */
  readonly signal: AbortSignal
  /** Common name and organisations of the client certificate; empty over a connection without one. */
  readonly user: { readonly name: string; readonly groups: readonly string[] }
  /** The caller's address as host:port. */
  readonly peer: string
}

type Handler<M extends Method> = M['shape'] extends 'Unary'
  ? (request: M['request'], call: CallContext) => Promise<Input<M['response']>>
  : M['shape'] extends 'ServerStream'
    ? (request: M['request'], call: CallContext) => AsyncIterable<Input<M['response']>>
    : M['shape'] extends 'Duplex'
      ? (requests: AsyncIterable<M['request']>, call: CallContext) => AsyncIterable<Input<M['response']>>
      : never

export type Handlers<S> = { readonly [K in keyof S]: S[K] extends Method ? Handler<S[K]> : never }

/** A connection to a server, shared by the clients made on it. */
export interface Connection {
  /** host:port */
  readonly address: string
  readonly client: <S extends keyof Services>(service: S) => Client<Services[S]>
  /**
   * Dials, if it is not connected. Unavailable if that fails or takes longer than `timeout` milliseconds: no call has
   * been sent then. Cancelled.
   */
  ready(timeout: number, signal?: AbortSignal): Promise<void>
  /** Tells once that it is connected no more, be it lost or closed; at once if it is not connected. */
  onLost(told: () => void): void
  close(): void
}

/**
 * How a dead server is found out though it never says so: after `time` milliseconds without a word it is asked, and has
 * `timeout` to answer.
 */
export interface KeepaliveOptions {
  readonly time: number
  readonly timeout: number
}

/**
 * In every controller's certificate: what it is known by where an address, which TLS has no place for (RFC 6066), is
 * all there is.
 */
export const CONTROLLER_HOST = 'gantry-controller'

/** Serves services to whoever connects. Add services, then start. */
export interface RpcServer {
  add<S extends keyof Services>(service: S, handlers: Handlers<Services[S]>): void
  /** Listens; answers with the address in use, host:port. Unavailable if it cannot. */
  start(): Promise<string>
  /** Ends the calls under way with an error; what comes then is served. */
  interrupt(reason: GantryError): void
  /**
   * Stops listening and ends streams; what else is under way is answered first. A handler that does not end within half
   * a second is left behind.
   */
  stop(): Promise<void>
}

/**
 * Asked before every call: throws what refuses it, such as Unavailable while nothing can be served. What a caller may
 * do of it is decided by the handlers.
 */
export type AuthorizeCall = (service: keyof Services, user: CallContext['user']) => void
