/** The service Cluster: the cluster as a whole. */
import { GantryError } from '../../proto/base/errors.ts'
import type { CallContext, Handlers } from '../../proto/rpc/rpc.ts'
import { parseTime } from '../../proto/base/time.ts'
import { encode, type Input } from '../../proto/codec/wire.ts'
import type {
  ClusterService,
  EventsRequest,
  NetCheckInput,
  NetCheckOutput,
  NetCheckRequest,
  NetCheckResult,
  NetworkConfirmedRequest,
  NodePageRequest,
  NodeUsage,
  NodeUsageRequest,
  ObjectBytes,
  Page,
  VersionRequest,
  VersionResponse,
  WhyRequest,
  WhyResponse,
} from '../../proto/gen/types.ts'
import { DEFAULT_NAMESPACE } from '../objects/identity.ts'
import type { Backends } from '../requests/backends.ts'
import type { RequestInfo } from '../requests/request-info.ts'
import type { Requests } from '../requests/requests.ts'
import { isForwarded, userOf } from './caller.ts'

/** Milliseconds that the leader has for its answer. */
const LEADER_TIMEOUT = 3_000
const METRICS_GROUP = 'metrics.k8s.io'

export class ClusterHandlers implements Handlers<ClusterService> {
  readonly #requests: Requests

  constructor(requests: Requests) {
    this.#requests = requests
  }

  /** A path that everybody may read, as on the Kubernetes face. */
  version(_request: VersionRequest, call: CallContext): Promise<Input<VersionResponse>> {
    return this.#requests.handle(
      infoOf(call, { verb: 'get', path: '/version', open: true }),
      call,
      async ({ backends }) => {
        const { version, controller, leader } = backends.cluster
        return { version, controller, leader: leader(), nodeVersion: process.version }
      },
    )
  }

  networkConfirmed({ revision }: NetworkConfirmedRequest, call: CallContext): Promise<Record<string, never>> {
    const info = infoOf(call, { verb: 'get', path: '/gantry/networkconfirmed' })
    return this.#requests.handle(info, call, async ({ backends }) => {
      await backends.cluster.waitForNetwork(revision, call.signal)
      return {}
    })
  }

  nodePage({ node, path }: NodePageRequest, call: CallContext): Promise<Page> {
    const info = infoOf(call, { verb: 'get', group: '', resource: 'nodes', subresource: 'proxy', name: node })
    return this.#requests.handle(info, call, ({ backends, caller: user }) =>
      backends.nodePages.read(node, path, { user, signal: call.signal }),
    )
  }

  nodeUsage({ node }: NodeUsageRequest, call: CallContext): Promise<NodeUsage> {
    const info = infoOf(call, { verb: 'get', group: METRICS_GROUP, resource: 'nodes', name: node })
    return this.#requests.handle(info, call, async ({ backends, caller }) => {
      try {
        return await backends.usage.of(node, caller)
      } catch (thrown) {
        // To a person "unavailable" is this controller, which another one could stand in for.
        if (isForwarded(call) || !GantryError.is(thrown, 'Unavailable')) throw thrown
        throw new GantryError('FailedPrecondition', thrown.message, { cause: thrown })
      }
    })
  }

  netCheck(request: NetCheckRequest, call: CallContext): AsyncIterable<Input<NetCheckResult>> {
    const info = infoOf(call, { verb: 'create', group: '', resource: 'nodes', subresource: 'netcheck' })
    return this.#requests.stream(info, call, ({ backends, caller: user }) =>
      backends.cluster.netCheck.run(request, { ...call, user }),
    )
  }

  netCheckNode(inputs: AsyncIterable<NetCheckInput>, call: CallContext): AsyncIterable<Input<NetCheckOutput>> {
    const info = infoOf(call, { verb: 'create', group: '', resource: 'nodes', subresource: 'netcheck' })
    return this.#requests.stream(info, call, ({ backends, caller: user }) =>
      backends.cluster.netCheck.node(inputs, { ...call, user }),
    )
  }

  async *events(request: EventsRequest, call: CallContext): AsyncGenerator<Input<ObjectBytes>, void, undefined> {
    const { namespace, follow } = request
    const info = infoOf(call, { verb: follow ? 'watch' : 'list', group: '', resource: 'events', namespace })
    for await (const event of this.#requests.stream(info, call, ({ backends }) =>
      eventsOf(request, backends, call.signal),
    ))
      yield { apiVersion: event.apiVersion, kind: event.kind, raw: encode('Event', event) }
  }

  /** Answered by the leader, whichever controller is asked. Unavailable while none leads. */
  why(request: WhyRequest, call: CallContext): Promise<Input<WhyResponse>> {
    const { pod } = request
    const namespace = request.namespace === '' ? DEFAULT_NAMESPACE : request.namespace
    const info = infoOf(call, { verb: 'get', group: '', resource: 'pods', subresource: 'why', namespace, name: pod })
    return this.#requests.handle(info, call, async ({ backends: { cluster } }) => {
      if (pod === '')
        throw new GantryError('InvalidArgument', 'the request names no pod', {
          details: [{ field: 'pod', message: 'is empty' }],
        })
      const leader = cluster.leader()
      if (leader === '')
        throw new GantryError('Unavailable', 'no controller leads at this moment', {
          details: [{ remedy: 'ask again in some seconds' }],
        })
      if (leader === cluster.controller) return cluster.why(namespace, pod)
      if (isForwarded(call))
        throw new GantryError('Unavailable', `controller ${cluster.controller} leads no more: ${leader} does`)
      return (await cluster.peers.client(leader, 'Cluster')).why(request, {
        signal: call.signal,
        timeout: LEADER_TIMEOUT,
      })
    })
  }
}

function eventsOf(
  { namespace, kind, name, since, follow, type }: EventsRequest,
  { events }: Backends,
  signal: AbortSignal,
): ReturnType<Backends['events']['read']> {
  if (type !== '' && type !== 'Normal' && type !== 'Warning')
    throw new GantryError('InvalidArgument', `there are no events of type ${type}`, {
      details: [{ field: 'type', value: type, message: 'is neither Normal nor Warning' }],
    })
  const query = { namespace, kind, name, type, ...(since !== '' && { since: parseTime(since) }) }
  return events.read(query, follow, signal)
}

function infoOf(call: CallContext, asked: Omit<RequestInfo, 'face' | 'user' | 'forwarded'>): RequestInfo {
  return { face: 'grpc', user: userOf(call), forwarded: isForwarded(call), ...asked }
}
