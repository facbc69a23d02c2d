/** Connections to webhooks, kept for the next question: to a URL, or to a pod of a Service by way of its node. */
import { Agent, type AgentOptions } from 'node:https'
import type { Duplex } from 'node:stream'
import { connect as connectTls, type ConnectionOptions } from 'node:tls'
import { GantryError } from '../../../proto/base/errors.ts'
import { connectPod, type PortForwardCall } from '../../../proto/rpc/port-forward.ts'
import type { Random } from '../../../proto/base/random.ts'
import type { ServiceReference, WebhookClientConfig } from '../../../proto/gen/types.ts'
import { readyPods } from '../../dispatch/service-pods.ts'
import type { Informer } from '../../informer/contract.ts'

/** Questions under way at one webhook; others wait, each for as long as it may take. */
const MAX_SOCKETS = 100
/** Connections kept while nothing is asked, and for how many milliseconds. */
const MAX_IDLE_SOCKETS = 4
const IDLE_TIMEOUT_MS = 60_000

export interface WebhookConnectionPoolParts {
  readonly informer: Informer
  readonly random: Random
  readonly portForward: PortForwardCall
}

/** Where a webhook is asked. */
export interface WebhookEndpoint {
  readonly url: URL
  readonly agent: Agent
}

export class WebhookConnectionPool {
  readonly #parts: WebhookConnectionPoolParts
  readonly #agents = new Map<string, Agent>()

  constructor(parts: WebhookConnectionPoolParts) {
    this.#parts = parts
  }

  endpointFor(client: WebhookClientConfig): WebhookEndpoint {
    const { url, service, caBundle = '' } = client
    const key = JSON.stringify([url, service, caBundle])
    let agent = this.#agents.get(key)
    if (agent === undefined) {
      const options: AgentOptions = {
        keepAlive: true,
        maxSockets: MAX_SOCKETS,
        maxFreeSockets: MAX_IDLE_SOCKETS,
        timeout: IDLE_TIMEOUT_MS,
        scheduling: 'lifo',
        ...(caBundle !== '' && { ca: Buffer.from(caBundle, 'base64') }),
      }
      agent = service === undefined ? new Agent(options) : new ServiceAgent(options, service, this.#parts)
      this.#agents.set(key, agent)
    }
    return {
      agent,
      url: new URL(url ?? `https://${service!.name}.${service!.namespace}.svc:${service!.port}${service!.path ?? '/'}`),
    }
  }

  /** Lets go of the connections to all but these. */
  retainOnly(clients: readonly WebhookClientConfig[]): void {
    const kept = new Set(clients.map(({ url, service, caBundle = '' }) => JSON.stringify([url, service, caBundle])))
    for (const [key, agent] of this.#agents) {
      if (kept.has(key)) continue
      this.#agents.delete(key)
      letGo(agent)
    }
  }
}

/** Questions under way are answered yet. */
function letGo(agent: Agent): void {
  agent.maxFreeSockets = 0
  for (const socket of Object.values(agent.freeSockets).flat()) socket?.destroy()
}

/** Each connection goes to one of the Service's ready pods, by chance. Its certificate is the Service's. */
class ServiceAgent extends Agent {
  readonly #service: ServiceReference
  readonly #parts: WebhookConnectionPoolParts

  constructor(options: AgentOptions, service: ServiceReference, parts: WebhookConnectionPoolParts) {
    super(options)
    this.#service = service
    this.#parts = parts
  }

  override createConnection(
    options: ConnectionOptions,
    connected: (error: Error | null, socket?: Duplex) => void,
  ): undefined {
    const { informer, random, portForward } = this.#parts
    const { namespace, name, port } = this.#service
    let socket: Duplex
    try {
      const pods = podsBehind(informer, namespace, name, port)
      const near = connectPod(
        portForward,
        pods[Math.floor(random.next() * pods.length)]!,
        false,
        new AbortController().signal,
      )
      socket = connectTls({
        ...options,
        host: undefined,
        port: undefined,
        socket: near,
        servername: `${name}.${namespace}.svc`,
      } as ConnectionOptions)
      near.on('error', (error) => socket.destroy(error))
    } catch (thrown) {
      queueMicrotask(() => connected(thrown as Error))
      return undefined
    }
    queueMicrotask(() => connected(null, socket))
    return undefined
  }
}

function podsBehind(informer: Informer, namespace: string, name: string, port: number): ReturnType<typeof readyPods> {
  const service = informer.lister('Service').get(namespace, name)
  if (service === undefined)
    throw new GantryError('Unavailable', `service "${name}" not found in namespace ${namespace}`)
  const found = (service.spec.ports ?? []).find((candidate) => candidate.port === port)
  if (found === undefined) throw new GantryError('Unavailable', `service "${name}" has no port ${port}`)
  const pods = readyPods(informer, namespace, name, found.name)
  if (pods.length === 0)
    throw new GantryError('Unavailable', `no endpoints available for service "${name}": no pod of it is ready`)
  return pods
}
