/**
 * Calls to an etcd cluster. It takes the stubs of the package etcd3 and none of its fault handling, which trips a
 * breaker for seconds and classifies errors by their text: here a call waits, within its bound, for a connection to any
 * endpoint; errors go by their gRPC status.
 */
import * as grpc from '@grpc/grpc-js'
import type { ILeaseKeepAliveRequest, ILeaseKeepAliveResponse } from 'etcd3'
import { Host } from 'etcd3/lib/connection-pool.js'
import { GantryError } from '../../proto/base/errors.ts'
import { delay, elapsed, systemClock, type Clock } from '../../proto/base/clock.ts'
import { errorOfStatus } from './grpc/status.ts'

export interface EtcdOptions {
  /**
   * host:port of each member; a scheme http(s) in front is not looked at, `tls` decides. A member on a socket:
   * unix:PATH.
   */
  readonly endpoints: readonly string[]
  /** PEM. The certificate is the client's. */
  readonly tls?: { readonly ca: Uint8Array; readonly cert: Uint8Array; readonly key: Uint8Array }
  /** Milliseconds within which a call succeeds or fails, waiting for a connection included (default 3000). */
  readonly timeout?: number
  /** What time limits are measured with. */
  readonly clock: Clock
}

export const DEFAULT_TIMEOUT_MS = 3_000

type Service = 'KV' | 'Lease' | 'Maintenance'

/** 500 objects of ordinary size fit; EtcdStore asks for less where they do not. */
const MESSAGE_LIMIT = 64 * 1024 * 1024
const CHANNEL_OPTIONS: grpc.ChannelOptions = {
  'grpc.max_receive_message_length': MESSAGE_LIMIT,
  'grpc.max_send_message_length': MESSAGE_LIMIT,
  // etcd ends connections that ping more often than every 5 s (its flag --grpc-keepalive-min-time).
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 3_000,
  'grpc.initial_reconnect_backoff_ms': 50,
  'grpc.min_reconnect_backoff_ms': 50,
  'grpc.max_reconnect_backoff_ms': 500,
}

/**
 * Milliseconds for the answer to a renewal, which between members far apart takes more than a second; and until it is
 * asked for once more beside the first: one that a dead leader holds up must not take the lease's time. Who asks counts
 * the lease from the first.
 */
const RENEWAL_TIMEOUT = 2_000
const RENEWAL_AGAIN = 1_000

/** Milliseconds until a read that failed is tried again. */
const READ_AGAIN = 50

type UnaryCall = (
  request: unknown,
  metadata: grpc.Metadata,
  options: grpc.CallOptions,
  done: (error: grpc.ServiceError | null, response: unknown) => void,
) => void
type StreamCall = (metadata: grpc.Metadata, options?: grpc.CallOptions) => grpc.ClientDuplexStream<unknown, unknown>

export class EtcdConnection {
  readonly timeout: number
  readonly #clock: Clock
  readonly #hosts: Host[]
  /** The endpoint that answered last stays the choice while it can be reached. */
  #preferred = 0
  #closed = false

  constructor({ endpoints, tls, timeout = DEFAULT_TIMEOUT_MS, clock }: EtcdOptions) {
    if (endpoints.length === 0) throw new GantryError('InvalidArgument', 'etcd needs at least one endpoint')
    this.timeout = timeout
    this.#clock = clock
    const credentials =
      tls === undefined
        ? grpc.credentials.createInsecure()
        : grpc.credentials.createSsl(Buffer.from(tls.ca), Buffer.from(tls.key), Buffer.from(tls.cert))
    this.#hosts = endpoints.map((endpoint) => new Host(endpoint, credentials, CHANNEL_OPTIONS))
  }

  /**
   * One call. Unavailable when no endpoint answers in time; a write may then have happened all the same. Calls that
   * only read say so and are tried again, within the time, when the connection breaks under them or the member has no
   * leader.
   */
  async call<Response>(service: Service, method: string, request: unknown, kind: 'read' | 'write'): Promise<Response> {
    const deadline = this.#clock.monotonic() + this.timeout
    for (;;) {
      const client = await this.#connected(service, deadline)
      try {
        return (await this.#unary(client, method, request, deadline)) as Response
      } catch (error) {
        if (
          kind === 'read' &&
          GantryError.is(error, 'Unavailable') &&
          !this.#closed &&
          this.#clock.monotonic() < deadline
        ) {
          this.#preferred = (this.#preferred + 1) % this.#hosts.length
          // A member without leader answers at once: it is not asked as fast as it can say so.
          await delay(this.#clock, READ_AGAIN)
          continue
        }
        // Too many requests, or no space for what is written: nothing happened, and it passes. Whoever waits for a
        // store that is away waits for this, too.
        if (kind === 'write' && GantryError.is(error, 'ResourceExhausted'))
          throw new GantryError('Unavailable', error.message, { cause: error })
        throw error
      }
    }
  }

  /** Renews a lease: the seconds it then has left, 0 if it is gone. Unavailable after two seconds. */
  async keepAlive(leaseId: string): Promise<number> {
    const deadline = this.#clock.monotonic() + Math.min(this.timeout, RENEWAL_TIMEOUT)
    const over = new AbortController()
    const again = async (): Promise<number> => {
      if (!(await elapsed(this.#clock, RENEWAL_AGAIN, over.signal)))
        throw new GantryError('Cancelled', 'the renewal has its answer')
      return this.#renew(leaseId, deadline, over.signal)
    }
    try {
      return await Promise.race([this.#renew(leaseId, deadline, over.signal), again()])
    } finally {
      over.abort()
    }
  }

  close(): void {
    this.#closed = true
    for (const host of this.#hosts) host.close()
  }

  /** A client whose channel is connected. */
  async #connected(service: Service, deadline: number): Promise<grpc.Client> {
    if (this.#closed) throw new GantryError('Unavailable', 'the connection to etcd is closed')
    const clients = this.#hosts.map((host) => host.getServiceClient(service))
    const isReady = (client: grpc.Client): boolean =>
      client.getChannel().getConnectivityState(true) === grpc.connectivityState.READY
    const preferred = clients[this.#preferred]!
    if (isReady(preferred)) return preferred
    const ready = clients.findIndex(isReady)
    if (ready >= 0) {
      this.#preferred = ready
      return clients[ready]!
    }
    const until = this.#date(deadline)
    try {
      return await Promise.any(
        clients.map(
          (client, index) =>
            new Promise<grpc.Client>((resolve, reject) => {
              client.waitForReady(until, (error) => {
                if (error !== undefined) return reject(error)
                this.#preferred = index
                resolve(client)
              })
            }),
        ),
      )
    } catch (cause) {
      throw new GantryError('Unavailable', 'no etcd endpoint can be reached', { cause })
    }
  }

  /** Asks for a renewal once, until the signal is aborted. */
  async #renew(leaseId: string, deadline: number, signal: AbortSignal): Promise<number> {
    const client = await this.#connected('Lease', deadline)
    const call = stream(client, 'leaseKeepAlive', new grpc.Metadata(), this.#optionsUntil(deadline))
    const cancel = (): void => call.cancel()
    signal.addEventListener('abort', cancel, { once: true })
    try {
      return await new Promise<number>((resolve, reject) => {
        call.on('data', (response: ILeaseKeepAliveResponse) => resolve(Number(response.TTL)))
        call.on('error', (error: grpc.ServiceError) => reject(fromGrpc(error)))
        call.on('end', () =>
          reject(new GantryError('Unavailable', 'etcd ended the renewal of a lease without an answer')),
        )
        if (signal.aborted) cancel()
        else call.write({ ID: leaseId } satisfies ILeaseKeepAliveRequest)
      })
    } finally {
      signal.removeEventListener('abort', cancel)
      call.cancel()
    }
  }

  #unary(client: grpc.Client, method: string, request: unknown, deadline: number): Promise<unknown> {
    const call = (client as unknown as Record<string, UnaryCall>)[method]!
    return new Promise((resolve, reject) => {
      call.call(client, request, new grpc.Metadata(), this.#optionsUntil(deadline), (error, response) => {
        if (error === null) resolve(response)
        else reject(fromGrpc(error))
      })
    })
  }

  #optionsUntil(deadline: number): grpc.CallOptions {
    return { deadline: this.#date(deadline) }
  }

  #date(deadline: number): number {
    // gRPC compares it with the system's time, whatever this program takes the time for.
    return systemClock.now() + Math.max(1, deadline - this.#clock.monotonic())
  }
}

function stream(
  client: grpc.Client,
  method: string,
  metadata: grpc.Metadata,
  options?: grpc.CallOptions,
): grpc.ClientDuplexStream<unknown, unknown> {
  return (client as unknown as Record<string, StreamCall>)[method]!.call(client, metadata, options)
}

function fromGrpc(error: grpc.ServiceError): GantryError {
  return errorOfStatus(error.code, error.details || error.message, error)
}
