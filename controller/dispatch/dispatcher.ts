/**
 * Every node session that this controller holds: what it is told, and where what it says goes. Who may open one has
 * been decided at the door (controller/requests).
 */
import { GantryError } from '../../proto/base/errors.ts'
import type { CallContext } from '../../proto/rpc/rpc.ts'
import type { Input } from '../../proto/codec/wire.ts'
import type { Clock, Timer } from '../../proto/base/clock.ts'
import type { Logger } from '../../proto/base/logger.ts'
import { randomUuid, type Random } from '../../proto/base/random.ts'
import { RunGroup } from '../../proto/base/run-group.ts'
import type {
  ClusterNetwork,
  ControllerMessage,
  Event,
  Hello,
  Node,
  NodeMessage,
  StreamDown,
  StreamUp,
} from '../../proto/gen/types.ts'
import type { EventSink, ObjectApi } from '../api/contract.ts'
import type { Peers } from '../election/peers.ts'
import type { Change, Informer } from '../informer/contract.ts'
import { isMissed } from '../nodehealth/health.ts'
import { NodeHealthWriter } from '../nodehealth/node-health-writer.ts'
import { HeartbeatMonitor } from '../nodehealth/heartbeat-monitor.ts'
import { LOST_TIMEOUT_MS, type Liveness } from '../nodehealth/liveness.ts'
import { NetworkAckTracker } from './network/network-ack-tracker.ts'
import { NetworkFeed } from './network/feed.ts'
import type { ExternalAddresses } from '../traffic/external-addresses.ts'
import { networkSources } from './network/sources.ts'
import { EndpointDrain } from './network/endpoint-drain.ts'
import { NodeWarningRecorder } from './node-warning-recorder.ts'
import type { NodeAddressParts } from './node-address-table.ts'
import { peerAddress } from './node-address-validation.ts'
import { NodeEventFilter } from './node-event-filter.ts'
import { NodeStatusWriter } from './node-status-writer.ts'
import type { TokenIssuer } from './pod-tokens.ts'
import { DISPATCH_CONTEXT, NodeRegistry } from './registration.ts'
import { controllerOf, sessionOf } from '../nodehealth/node-session.ts'
import { NodeSession } from './node-session.ts'
import { PodStatusWriter } from './pod-status-writer.ts'
import { Streams } from './streams.ts'

/** Milliseconds within which a call must say which node it is of. */
const HELLO_TIMEOUT = 5_000

export interface DispatcherParts {
  readonly api: ObjectApi
  readonly informer: Informer
  /** Takes the events that nodes send, complete as they are, and the dispatcher's own. */
  readonly events: EventSink & { publish(event: Event): void }
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** This controller's name: nodes whose sessions it holds carry it. */
  readonly controller: string
  /** True while this controller is cut off from the store (see controller/election/replicas.ts). */
  readonly cutOff?: () => boolean
  readonly cluster: ClusterNetwork
  /** Which addresses Services may have beside their own; without it nodes are told of all that they say. */
  readonly external?: ExternalAddresses
  readonly peers: Pick<Peers, 'client'>
  /** host:port of each controller that is present: no node has their addresses that is not on their machine. */
  readonly controllers?: () => readonly string[]
  /**
   * Ranges from which nodes may have addresses that their sessions do not come from, as those behind NAT; none if not
   * given.
   */
  readonly nodeAddresses?: readonly string[]
  /** Makes the tokens of pods; without it they get none. */
  readonly tokens?: TokenIssuer['tokens']
}

export class Dispatcher {
  readonly #controller: string
  readonly #informer: Informer
  readonly #events: DispatcherParts['events']
  readonly #clock: Clock
  readonly #random: Random
  readonly #logger: Logger
  readonly #registry: NodeRegistry
  readonly #reports: NodeStatusWriter
  readonly #statuses: PodStatusWriter
  readonly #health: NodeHealthWriter
  readonly #heartbeats: HeartbeatMonitor
  readonly #warnings: NodeWarningRecorder
  readonly #nodeEvents: NodeEventFilter
  readonly #cluster: ClusterNetwork
  readonly #issuer: TokenIssuer | undefined
  readonly #feed: NetworkFeed
  readonly #drain: EndpointDrain
  readonly confirmations: NetworkAckTracker
  readonly #sessions = new Map<string, NodeSession>()
  /** Nodes of which something has changed: "namespace/name" of pods, if it was only these. */
  readonly #dirty = new Map<string, Set<string> | 'anything'>()
  #group = new RunGroup()
  /** Resolves once changes are followed: before that nothing is known of address ranges. */
  readonly #following: Promise<void>
  #follow!: () => void
  readonly streams: Streams

  constructor(parts: DispatcherParts) {
    this.#controller = parts.controller
    this.#informer = parts.informer
    this.#events = parts.events
    this.#clock = parts.clock
    this.#random = parts.random
    this.#logger = parts.logger
    this.#health = new NodeHealthWriter({ ...parts, context: DISPATCH_CONTEXT })
    this.#warnings = new NodeWarningRecorder(parts)
    this.#nodeEvents = new NodeEventFilter(parts)
    const addresses: NodeAddressParts = {
      ...(parts.controllers !== undefined && { controllers: parts.controllers }),
      listed: parts.nodeAddresses ?? [],
      given: [...parts.cluster.podCidrs, ...parts.cluster.serviceCidrs],
    }
    this.#registry = new NodeRegistry({
      ...parts,
      addresses,
      refused: (node, reason, message) => this.#warnings.record(node, reason, message),
    })
    this.#heartbeats = new HeartbeatMonitor({
      ...parts,
      write: (node, session, liveness) => this.#health.write(node, session, liveness),
      changed: (node, session, liveness) => this.#judged(node, session, liveness),
    })
    this.#reports = new NodeStatusWriter(this.#registry, this.#warnings, parts)
    this.#statuses = new PodStatusWriter({ ...parts, warnings: this.#warnings })
    this.#following = new Promise((resolve) => (this.#follow = resolve))
    this.streams = new Streams(parts.clock, parts.random)
    this.#cluster = parts.cluster
    this.#feed = new NetworkFeed(networkSources(parts.external))
    this.#issuer = parts.tokens === undefined ? undefined : { tokens: parts.tokens, clock: parts.clock }
    this.confirmations = new NetworkAckTracker({ ...parts, feed: this.#feed })
    this.#drain = new EndpointDrain({
      ...parts,
      confirmations: this.confirmations,
      hasSession: (node) => this.#sessions.has(node),
      notifyDrained: (node, podUids) =>
        void this.tell(node, { message: { case: 'withdrawn', value: { podUids: [...podUids] } } }),
    })
  }

  /** Follows the cache and writes statuses until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#informer.synced()
    this.#group = new RunGroup(signal)
    const stops = [
      this.#informer.on('Node', (change) => this.#nodeChanged(change)),
      this.#informer.on('Pod', (change) => this.#podChanged(change)),
      this.#informer.on('ConfigMap', (change) => this.#configChanged(change)),
      this.#informer.on('Secret', (change) => this.#configChanged(change)),
      this.#informer.on('ServiceAccount', (change) => this.#configChanged(change)),
      // Before the pods' assignments: what a node is told of the network comes first.
      this.#feed.start(this.#informer),
      this.confirmations.start(),
      this.#drain.start(),
      this.#informer.onBatch(() => this.#refresh()),
    ]
    this.#group.add((inner) => this.#heartbeats.run(inner))
    this.#group.add((inner) => this.#statuses.run(inner))
    this.#group.add((inner) => this.#reports.run(inner))
    this.#follow()
    try {
      await this.#group.wait()
    } finally {
      for (const stop of stops) stop()
      for (const session of this.#sessions.values())
        session.end(new GantryError('Unavailable', 'the controller is stopping'))
    }
  }

  /**
   * The session of the node that the caller has been let in as (see proto/gantry/v1/node.proto). Forbidden for a hello
   * of another.
   */
  async *session(
    node: string,
    requests: AsyncIterable<NodeMessage>,
    call: Pick<CallContext, 'signal' | 'peer'>,
  ): AsyncGenerator<Input<ControllerMessage>, void, undefined> {
    const messages = requests[Symbol.asyncIterator]()
    const { node: reported, agentId } = await this.#hello(messages)
    if (reported.metadata.name !== node)
      throw new GantryError(
        'Forbidden',
        `the certificate of node ${node} cannot register node ${reported.metadata.name}`,
      )
    await this.#following
    const session = await this.#register(reported, agentId, peerAddress(call.peer))
    this.#open(session)
    const interrupted = (): void => session.end(GantryError.from(call.signal.reason, 'Cancelled'))
    call.signal.addEventListener('abort', interrupted, { once: true })
    if (call.signal.aborted) interrupted()
    session.receive(messages).then(
      () => session.end(),
      (thrown: unknown) => session.end(GantryError.from(thrown)),
    )
    try {
      yield* session.messages
    } finally {
      session.end()
      this.#close(session)
    }
  }

  /** A node's answer to a request for logs or a command. */
  stream(
    node: string,
    messages: AsyncIterable<StreamUp>,
    { signal }: Pick<CallContext, 'signal'>,
  ): AsyncIterable<Input<StreamDown>> {
    return this.streams.serve(node, messages, signal)
  }

  /** Puts a message on a node's session; false if this controller holds none. */
  tell(node: string, message: Input<ControllerMessage>): boolean {
    const session = this.#sessions.get(node)
    session?.send(message)
    return session !== undefined
  }

  /** The first message; DeadlineExceeded if none comes. */
  async #hello(messages: AsyncIterator<NodeMessage>): Promise<{ node: Node; agentId: string }> {
    let late: Timer | undefined
    const deadline = new Promise<never>((_, reject) => {
      late = this.#clock.after(HELLO_TIMEOUT, () =>
        reject(new GantryError('DeadlineExceeded', `there was no hello within ${HELLO_TIMEOUT / 1000} s`)),
      )
    })
    try {
      const first = await Promise.race([messages.next(), deadline])
      const hello: Hello | undefined =
        first.done !== true && first.value.message?.case === 'hello' ? first.value.message.value : undefined
      if (hello?.node === undefined)
        throw new GantryError('InvalidArgument', 'a session begins with a hello that describes the node')
      return { node: { ...hello.node, apiVersion: 'v1', kind: 'Node' }, agentId: hello.agentId }
    } finally {
      late?.cancel()
    }
  }

  async #register(reported: Node, agentId: string, peer: string | undefined): Promise<NodeSession> {
    const id = randomUuid(this.#random)
    const before = this.#informer.lister('Node').get('', reported.metadata.name)
    const node = await this.#registry.register(reported, id, peer)
    if (before !== undefined && isMissed(before)) this.#health.tell(node)
    await this.#informer.waitForRevision(Number(node.metadata.resourceVersion))
    return new NodeSession({
      id,
      agentId,
      node,
      cluster: this.#cluster,
      informer: this.#informer,
      feed: this.#feed,
      clock: this.#clock,
      issuer: this.#issuer,
      listener: {
        messageReceived: (from) => this.#heartbeats.messageReceived(from, id),
        observed: (from, pods) => this.#statuses.observe(from, pods, id),
        assigned: (pods) => pods.forEach((uid) => this.#statuses.assigned(uid)),
        events: (from, events) => this.#publish(from, events),
        reported: (from, status) => this.#reports.observe(from, { session: id, status, peer }),
        confirmed: () => this.confirmations.changed(),
      },
    })
  }

  #publish(node: string, events: readonly Event[]): void {
    for (const event of events) {
      const verdict = this.#nodeEvents.admit(event, node)
      if (verdict.is === 'accepted') this.#events.publish(verdict.event)
      else this.#warnings.record(node, 'EventRefused', `node ${node} ${verdict.why}`)
    }
  }

  #open(session: NodeSession): void {
    const { node } = session
    const older = this.#sessions.get(node)
    this.#sessions.set(node, session)
    this.#heartbeats.begin(node, session.id)
    older?.end(new GantryError('Conflict', `node ${node} has opened a newer session`))
    this.#logger.info({ node, session: session.id, agent: session.agentId }, 'node session opened')
    this.#drain.opened(node)
    this.#checkObject(session)
    // What changed while it was made was told to nobody.
    session.refresh()
  }

  #close(session: NodeSession): void {
    const { node } = session
    this.#logger.info({ node, session: session.id }, 'node session ended')
    if (this.#sessions.get(node) !== session) return
    this.#sessions.delete(node)
    this.streams.abandon(node)
    this.confirmations.changed()
  }

  /** A node that was silent for too long has no session any more; until it dials in again the clock has the word. */
  #judged(node: string, session: string | undefined, { is }: Liveness): void {
    const open = this.#sessions.get(node)
    if (is === 'lost' && open !== undefined && open.id === session)
      open.end(new GantryError('Unavailable', `node ${node} was silent for ${LOST_TIMEOUT_MS / 1000} s`))
  }

  /**
   * A node whose object was deleted is to register anew; one that has registered with another controller is that one's.
   */
  #nodeChanged(change: Change<'Node'>): void {
    this.#registry.note(change)
    if (change.type === 'deleted')
      for (const kept of [this.#warnings, this.#nodeEvents]) kept.forget(change.cached.object.metadata.name)
    this.#watch(change)
    const session = this.#sessions.get(change.cached.object.metadata.name)
    if (session !== undefined && change.revision > session.revision) this.#checkObject(session)
  }

  /**
   * Counts for every node that names this controller, also when its session has ended, did not come about, or was of an
   * earlier run of this controller: such a one has as long as any other until it is missed.
   */
  #watch({ type, cached: { object: node } }: Change<'Node'>): void {
    const { name } = node.metadata
    if (type === 'deleted' || controllerOf(node) !== this.#controller) this.#heartbeats.forget(name)
    else if (!this.#heartbeats.watches(name) || this.#heartbeats.sessionOf(name) !== sessionOf(node))
      this.#heartbeats.begin(name, sessionOf(node))
  }

  #checkObject(session: NodeSession): void {
    const { node, id } = session
    const stored = this.#informer.lister('Node').get('', node)
    if (stored === undefined)
      session.end(new GantryError('NotFound', `the object of node ${node} was deleted: it has to register again`))
    else if (sessionOf(stored) !== id)
      session.end(new GantryError('Conflict', `node ${node} has opened a newer session`))
  }

  #podChanged({ type, cached, previous }: Change<'Pod'>): void {
    if (type === 'deleted') {
      this.#statuses.forget(cached.object)
      this.#nodeEvents.podDeleted(cached.object)
    }
    const { namespace, name } = cached.object.metadata
    for (const node of [cached.object.spec.nodeName, previous?.object.spec.nodeName]) {
      if (node === undefined || !this.#sessions.has(node)) continue
      const pods = this.#dirty.get(node)
      if (pods === undefined) this.#dirty.set(node, new Set([`${namespace}/${name}`]))
      else if (pods !== 'anything') pods.add(`${namespace}/${name}`)
    }
  }

  /** Nodes with a pod in the namespace look whether it is theirs. */
  #configChanged({ cached }: Change<'ConfigMap'> | Change<'Secret'> | Change<'ServiceAccount'>): void {
    for (const pod of this.#informer.lister('Pod').list(cached.object.metadata.namespace)) {
      if (pod.spec.nodeName !== undefined) this.#dirty.set(pod.spec.nodeName, 'anything')
    }
  }

  #refresh(): void {
    for (const [node, pods] of this.#dirty) this.#sessions.get(node)?.refresh(pods === 'anything' ? undefined : pods)
    this.#dirty.clear()
  }
}
