/**
 * The local server of `gantry proxy`: requests and upgraded connections (websockets) go on to pods, chosen for each
 * anew, so that a Service is reached as long as it has a pod.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { GantryError, type ErrorCode } from '../../proto/base/errors.ts'
import { connectPod } from '../../proto/rpc/port-forward.ts'
import { forwardRequest, forwardUpgrade, type ForwardTarget } from '../../proto/base/http-forward.ts'
import type { Pod } from '../../proto/gen/types.ts'
import type { ClusterClient } from '../../proto/client/cluster.ts'
import type { Environment } from '../../proto/terminal/environment.ts'
import { resolveForwardTarget } from '../forward/forward-target.ts'
import { parsePorts, portsOfPod, portsOfService } from '../forward/ports.ts'
import { indexPage } from './index-page.ts'
import { parseRoute, type Route } from './route.ts'

export interface ProxyOptions {
  /** Host names that a request may be for. */
  readonly acceptHosts: RegExp
  readonly acceptPaths: RegExp
  readonly rejectPaths: RegExp | undefined
}

/** Milliseconds for a pod to be there. */
const POD_PATIENCE = 5_000
const STATUS: Readonly<Partial<Record<ErrorCode, number>>> = {
  NotFound: 404,
  InvalidArgument: 400,
  Forbidden: 403,
  Unsupported: 501,
  DeadlineExceeded: 504,
}

export function createProxyServer(
  cluster: ClusterClient,
  environment: Environment,
  options: ProxyOptions,
  signal: AbortSignal,
): Server {
  const server = createServer((request, response) => {
    answer(cluster, environment, options, signal, request, response).catch((thrown: unknown) =>
      refuse(response, thrown),
    )
  })
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => socket.destroy())
    upgrade(cluster, environment, options, signal, request, socket, head).catch((thrown: unknown) => {
      const { status, text } = refusal(thrown)
      socket.end(
        `HTTP/1.1 ${status} ${text.replaceAll(/[\r\n]/g, ' ')}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`,
      )
    })
  })
  return server
}

async function answer(
  cluster: ClusterClient,
  environment: Environment,
  options: ProxyOptions,
  signal: AbortSignal,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  check(options, request)
  if (request.url === '/' && (request.method === 'GET' || request.method === 'HEAD')) {
    const page = await indexPage(cluster)
    response
      .writeHead(200, { 'content-type': 'text/html; charset=utf-8' })
      .end(request.method === 'HEAD' ? undefined : page)
    return
  }
  await forwardRequest(request, response, await onwardFor(cluster, environment, signal, request))
}

async function upgrade(
  cluster: ClusterClient,
  environment: Environment,
  options: ProxyOptions,
  signal: AbortSignal,
  request: IncomingMessage,
  client: Duplex,
  head: Buffer,
): Promise<void> {
  check(options, request)
  await forwardUpgrade(request, client, head, await onwardFor(cluster, environment, signal, request))
}

/**
 * Pages of others must not reach in by way of a name that leads here (DNS rebinding), so the host asked for is looked
 * at.
 */
function check({ acceptHosts, acceptPaths, rejectPaths }: ProxyOptions, { headers, url = '/' }: IncomingMessage): void {
  const host = (headers.host ?? '').replace(/:\d+$/, '')
  if (!acceptHosts.test(host))
    throw new GantryError('Forbidden', `requests for the host "${host}" are not taken; --accept-hosts allows more`)
  if (!acceptPaths.test(url) || rejectPaths?.test(url) === true)
    throw new GantryError('Forbidden', 'requests for this path are not taken; see --accept-paths and --reject-paths')
}

async function onwardFor(
  cluster: ClusterClient,
  environment: Environment,
  signal: AbortSignal,
  { url = '/' }: IncomingMessage,
): Promise<ForwardTarget> {
  const route = parseRoute(url)
  if (route === undefined)
    throw new GantryError(
      'NotFound',
      'only /api/v1/namespaces/NAMESPACE/services|pods/[SCHEME:]NAME[:PORT]/proxy/… is served; / lists what there is',
    )
  const { pod, port } = await resolveTarget(cluster, environment, route)
  const { namespace, name, uid } = pod.metadata
  return {
    ...route,
    socket: connectPod(
      (inputs, ended) => cluster.portForward(inputs, ended),
      { namespace, pod: name, uid, port },
      route.tls,
      signal,
    ),
  }
}

async function resolveTarget(
  cluster: ClusterClient,
  environment: Environment,
  { kind, namespace, name, port }: Route,
): Promise<{ pod: Pod; port: number }> {
  const { pod, service } = await resolveForwardTarget(cluster, environment, `${kind}/${name}`, namespace, POD_PATIENCE)
  const asked =
    port !== ''
      ? port
      : service !== undefined
        ? only(
            service.spec.ports?.map((one) => one.port),
            `service "${name}"`,
          )
        : (only(
            pod.spec.containers[0]?.ports?.map((one) => one.containerPort),
            `pod "${name}"`,
          ) ?? '80')
  const specs = parsePorts([asked])
  const [found] = service === undefined ? portsOfPod(specs, pod) : portsOfService(specs, service, pod)
  return { pod, port: found!.remote }
}

/** The first of a pod's ports, the only one of a Service. */
function only(ports: readonly number[] | undefined, what: string): string {
  if (ports === undefined || ports.length === 0) {
    if (what.startsWith('pod')) return '80'
    throw new GantryError('InvalidArgument', `${what} has no ports`)
  }
  if (ports.length > 1 && what.startsWith('service'))
    throw new GantryError(
      'InvalidArgument',
      `${what} has several ports: say which, as NAME:PORT; it has ${ports.join(', ')}`,
    )
  return String(ports[0])
}

function refuse(response: ServerResponse, thrown: unknown): void {
  if (response.headersSent) return void response.destroy()
  const { status, text } = refusal(thrown)
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(`${text}\n`)
}

function refusal(thrown: unknown): { status: number; text: string } {
  const { code, message, details } = GantryError.from(thrown, 'Unavailable')
  return {
    status: STATUS[code] ?? 502,
    text: [message, ...details.flatMap(({ remedy }) => (remedy === '' ? [] : [remedy]))].join('; '),
  }
}
