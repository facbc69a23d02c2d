/**
 * pods/proxy and services/proxy: HTTP handed on to a pod, by way of its node. The answer is the pod's own.
 * https://kubernetes.io/docs/tasks/access-application-cluster/access-cluster-services/
 */
import type { IncomingMessage } from 'node:http'
import { GantryError } from '../../../proto/base/errors.ts'
import type { Input } from '../../../proto/codec/wire.ts'
import type { PortForwardInput, PortForwardOutput } from '../../../proto/gen/types.ts'
import { connectPod } from '../../../proto/rpc/port-forward.ts'
import { forwardRequest, forwardUpgrade, type ForwardTarget } from '../../../proto/base/http-forward.ts'
import type { Answer, ResourceRequest, Target, UpgradedConnection } from '../contract.ts'
import { HttpError } from '../status.ts'
import { protocolsOf } from '../web-socket-protocols.ts'
import { callOf } from './pod-target.ts'
import { podBackend, serviceBackend, type Backend, type BackendParts } from './proxy-backend.ts'

export type ProxyParts = Pick<BackendParts, 'random'>

export type FindBackend = (parts: BackendParts, target: Target) => Promise<Backend>
/** By what is proxied. A node has pages of its own: see node-proxy.ts. */
export const BACKEND_FINDERS: Readonly<Record<string, FindBackend>> = { pods: podBackend, services: serviceBackend }

export class Proxy {
  readonly #parts: ProxyParts
  readonly #find: FindBackend

  constructor(parts: ProxyParts, find: FindBackend) {
    this.#parts = parts
    this.#find = find
  }

  /**
   * The pod's answer. Before there is one, errors are a Status. A request for nothing below is sent to the root, so
   * that relative links hold.
   */
  async answer(request: ResourceRequest): Promise<Answer> {
    const { prefix, path } = pathsOf(request)
    if (request.target.rest === '' && (request.method === 'GET' || request.method === 'HEAD')) {
      return { is: 'bytes', code: 301, type: 'text/plain', body: '', headers: { Location: `${prefix}${path}` } }
    }
    const backend = await this.#backend(request)
    return {
      is: 'raw',
      serve: ({ request: message, response }) =>
        reached(response, () => forwardRequest(message, response, this.#onward(request, backend, message))),
    }
  }

  async upgrade(request: ResourceRequest, { request: message, socket, head }: UpgradedConnection): Promise<void> {
    const backend = await this.#backend(request)
    await reached(socket, () => forwardUpgrade(message, socket, head, this.#onward(request, backend, message)))
  }

  /** Forbidden for a pod that the caller may not reach. */
  async #backend({ target, authorized }: ResourceRequest): Promise<Backend> {
    const backend = await this.#find({ ...this.#parts, backends: authorized.backends }, target)
    authorized.reach(backend.start.pod)
    return backend
  }

  #onward(request: ResourceRequest, { start, tls }: Backend, message: IncomingMessage): ForwardTarget {
    const socket = connectPod((inputs, signal) => forwardInto(request, inputs, signal), start, tls, request.signal)
    const protocols = protocolsOf(message.headers)
    // The links of a page can be rewritten only if it comes as it is.
    const wantsPage = (message.headers.accept ?? '').includes('text/html')
    return {
      ...pathsOf(request),
      socket,
      strippedHeaders: credentials(message),
      addedHeaders: {
        ...(protocols.length > 0 && { 'sec-websocket-protocol': protocols.join(', ') }),
        ...(wantsPage && { 'accept-encoding': 'identity' }),
      },
    }
  }
}

async function* forwardInto(
  request: ResourceRequest,
  inputs: AsyncIterable<PortForwardInput>,
  signal: AbortSignal,
): AsyncGenerator<Input<PortForwardOutput>, void, undefined> {
  const rest = inputs[Symbol.asyncIterator]()
  const start = await rest.next()
  if (start.done !== true) yield* request.authorized.pods.portForward(start.value, rest, callOf(request, signal))
}

function pathsOf({ url, target: { rest } }: ResourceRequest): { prefix: string; path: string } {
  const mark = url.indexOf('?')
  const [whole, query] = mark === -1 ? [url, ''] : [url.slice(0, mark), url.slice(mark)]
  return { prefix: whole.slice(0, whole.length - rest.length), path: `${rest === '' ? '/' : rest}${query}` }
}

/** What says to this server who the caller is, or wants to be taken for, is not for a pod to see. */
function credentials({ headers }: IncomingMessage): string[] {
  return [
    'authorization',
    'sec-websocket-protocol',
    ...Object.keys(headers).filter((name) => name.startsWith('impersonate-')),
  ]
}

async function reached(client: { readonly destroyed: boolean }, forward: () => Promise<void>): Promise<void> {
  try {
    await forward()
  } catch (thrown) {
    if (client.destroyed) return
    throw new HttpError(
      503,
      'ServiceUnavailable',
      `error trying to reach service: ${GantryError.from(thrown).message}`,
      'Unavailable',
    )
  }
}
