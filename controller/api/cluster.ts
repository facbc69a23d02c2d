/** The service Cluster: the cluster as a whole. */
import { GantryError } from '../../proto/base/errors.ts'
import type { CallContext, Handlers } from '../../proto/rpc/rpc.ts'
import { parseTime } from '../../proto/base/time.ts'
import { encode, type Input } from '../../proto/codec/wire.ts'
import type {
  ClusterService,
  Event,
  EventsRequest,
  NetCheckInput,
  NetCheckOutput,
  NetCheckRequest,
  NetCheckResult,
  ObjectBytes,
  NetworkConfirmedRequest,
  NodePageRequest,
  NodeUsage,
  NodeUsageRequest,
  VersionResponse,
  WhyRequest,
  WhyResponse,
  Page,
} from '../../proto/gen/types.ts'
import type { Peers } from '../election/peers.ts'
import { isController } from './authorization.ts'
import { DEFAULT_NAMESPACE } from './identity.ts'

/** Milliseconds that the leader has for its answer. */
const LEADER_TIMEOUT = 3_000

/** Where events are read; see controller/events. */
export interface EventSource {
  read(
    query: { namespace?: string; kind?: string; name?: string; since?: number; type?: string },
    follow: boolean,
    signal: AbortSignal,
  ): AsyncIterable<Event>
}

export interface ClusterParts {
  /** Gantry's version and this controller's name. */
  readonly version: string
  readonly controller: string
  /** The leading controller's name, empty if none leads now. */
  readonly leader: () => string
  readonly events: EventSource
  /** The verdicts on a pod of this controller's scheduler, which looks at pods only while this one leads; NotFound. */
  readonly why: (namespace: string, pod: string) => Input<WhyResponse> | Promise<Input<WhyResponse>>
  readonly peers: Peers
  /** What a node and its containers use. */
  readonly usage: { of(node: string, user: CallContext['user']): Promise<NodeUsage> }
  readonly nodePages: { read(node: string, path: string, call: CallContext): Promise<Page> }
  /** Resolves once the nodes that name this controller follow a revision of the network. */
  readonly waitForNetwork: (revision: number, signal: AbortSignal) => Promise<void>
  /** Tries the network, and has one node do so; see controller/dispatch/netcheck. */
  readonly netCheck: {
    run(request: NetCheckRequest, call: CallContext): AsyncIterable<Input<NetCheckResult>>
    node(inputs: AsyncIterable<NetCheckInput>, call: CallContext): AsyncIterable<Input<NetCheckOutput>>
  }
}

export class ClusterHandlers implements Handlers<ClusterService> {
  readonly #parts: ClusterParts

  constructor(parts: ClusterParts) {
    this.#parts = parts
  }

  version(): Promise<Input<VersionResponse>> {
    const { version, controller, leader } = this.#parts
    return Promise.resolve({ version, controller, leader: leader(), nodeVersion: process.version })
  }

  async networkConfirmed({ revision }: NetworkConfirmedRequest, call: CallContext): Promise<Record<string, never>> {
    await this.#parts.waitForNetwork(revision, call.signal)
    return {}
  }

  nodePage({ node, path }: NodePageRequest, call: CallContext): Promise<Page> {
    return this.#parts.nodePages.read(node, path, call)
  }

  async nodeUsage({ node }: NodeUsageRequest, call: CallContext): Promise<NodeUsage> {
    try {
      return await this.#parts.usage.of(node, call.user)
    } catch (thrown) {
      // To a person "unavailable" is this controller, which another one could stand in for.
      if (isController(call.user) || !GantryError.is(thrown, 'Unavailable')) throw thrown
      throw new GantryError('FailedPrecondition', thrown.message, { cause: thrown })
    }
  }

  netCheck(request: NetCheckRequest, call: CallContext): AsyncIterable<Input<NetCheckResult>> {
    return this.#parts.netCheck.run(request, call)
  }

  netCheckNode(inputs: AsyncIterable<NetCheckInput>, call: CallContext): AsyncIterable<Input<NetCheckOutput>> {
    return this.#parts.netCheck.node(inputs, call)
  }

  async *events(request: EventsRequest, call: CallContext): AsyncGenerator<Input<ObjectBytes>, void, undefined> {
    const { namespace, kind, name, since, follow, type } = request
    if (type !== '' && type !== 'Normal' && type !== 'Warning')
      throw new GantryError('InvalidArgument', `there are no events of type ${type}`, {
        details: [{ field: 'type', value: type, message: 'is neither Normal nor Warning' }],
      })
    const query = { namespace, kind, name, type, ...(since !== '' && { since: parseTime(since) }) }
    for await (const event of this.#parts.events.read(query, follow, call.signal)) {
      yield { apiVersion: event.apiVersion, kind: event.kind, raw: encode('Event', event) }
    }
  }

  /** Answered by the leader, whichever controller is asked. Unavailable while none leads. */
  async why(request: WhyRequest, call: CallContext): Promise<Input<WhyResponse>> {
    if (request.pod === '')
      throw new GantryError('InvalidArgument', 'the request names no pod', {
        details: [{ field: 'pod', message: 'is empty' }],
      })
    const leader = this.#parts.leader()
    if (leader === '')
      throw new GantryError('Unavailable', 'no controller leads at this moment', {
        details: [{ remedy: 'ask again in some seconds' }],
      })
    if (leader !== this.#parts.controller) {
      if (isController(call.user))
        throw new GantryError('Unavailable', `controller ${this.#parts.controller} leads no more: ${leader} does`)
      return (await this.#parts.peers.client(leader, 'Cluster')).why(request, {
        signal: call.signal,
        timeout: LEADER_TIMEOUT,
      })
    }
    return this.#parts.why(request.namespace === '' ? DEFAULT_NAMESPACE : request.namespace, request.pod)
  }
}
