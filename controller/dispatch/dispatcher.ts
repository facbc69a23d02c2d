/** Every node session that this controller holds: who may open one, what it is told, and where what it says goes. */
import { GantryError } from '../../proto/api/errors.ts'
import type { CallContext, Handlers } from '../../proto/api/rpc.ts'
import type { Input } from '../../proto/api/wire.ts'
import type { Clock, Timer } from '../../proto/base/clock.ts'
import type { Logger } from '../../proto/base/logger.ts'
import { randomUuid, type Random } from '../../proto/base/random.ts'
import { RunGroup } from '../../proto/base/run-group.ts'
import type { ControllerMessage, Event, Hello, Node, NodeMessage, NodesService, StreamDown, StreamUp } from '../../proto/gen/types.ts'
import type { EventSink, ObjectApi } from '../api/contract.ts'
import type { Change, Informer } from '../informer/contract.ts'
import { acceptEvent } from './node-events.ts'
import { NodeReports } from './node-reports.ts'
import { NodeRegistry, sessionOf } from './registration.ts'
import { NodeSession, SILENCE } from './session.ts'
import { StatusWriter } from './statuses.ts'
import { Streams } from './streams.ts'

/** Common name of a node's certificate: Kubernetes' own form (https://kubernetes.io/docs/reference/access-authn-authz/node/). */
const NODE_USER = 'system:node:'

export interface DispatcherParts {
  readonly api: ObjectApi
  readonly informer: Informer
  /** Takes the events that nodes send, complete as they are, and the dispatcher's own. */
  readonly events: EventSink & { publish(event: Event): void }
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Pod addresses of the cluster, cut into one /24 a node. */
  readonly podCidr: string
}

export class Dispatcher implements Handlers<NodesService> {
  readonly #informer: Informer
  readonly #events: DispatcherParts['events']
  readonly #clock: Clock
  readonly #random: Random
  readonly #logger: Logger
  readonly #registry: NodeRegistry
  readonly #reports: NodeReports
  readonly #statuses: StatusWriter
  readonly #sessions = new Map<string, NodeSession>()
  readonly #lost = new Map<string, Timer>()
  readonly #dirty = new Set<string>()
  #group = new RunGroup()
  /** Resolves once changes are followed: before that nothing is known of address ranges. */
  readonly #following: Promise<void>
  #follow!: () => void
  readonly streams: Streams

  constructor(parts: DispatcherParts) {
    this.#informer = parts.informer
    this.#events = parts.events
    this.#clock = parts.clock
    this.#random = parts.random
    this.#logger = parts.logger
    this.#registry = new NodeRegistry(parts)
    this.#reports = new NodeReports(this.#registry, parts)
    this.#statuses = new StatusWriter(parts)
    this.#following = new Promise((resolve) => (this.#follow = resolve))
    this.streams = new Streams(parts.clock, parts.random)
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
      this.#informer.onBatch(() => this.#refresh()),
    ]
    for (const node of this.#informer.lister('Node').list()) this.#expectBack(node.metadata.name, sessionOf(node))
    this.#group.add((inner) => this.#statuses.run(inner))
    this.#group.add((inner) => this.#reports.run(inner))
    this.#follow()
    try {
      await this.#group.wait()
    } finally {
      for (const stop of stops) stop()
      for (const timer of this.#lost.values()) timer.cancel()
      for (const session of this.#sessions.values()) session.end(new GantryError('Unavailable', 'the controller is stopping'))
    }
  }

  /** A node's session (see proto/gantry/v1/node.proto). */
  async *session(requests: AsyncIterable<NodeMessage>, call: CallContext): AsyncGenerator<Input<ControllerMessage>, void, undefined> {
    const name = nodeOf(call)
    const messages = requests[Symbol.asyncIterator]()
    const { node: reported, agentId } = await this.#hello(messages)
    if (reported.metadata.name !== name) throw new GantryError('Forbidden', `the certificate of node ${name} cannot register node ${reported.metadata.name}`)
    await this.#following
    const session = await this.#register(reported, agentId)
    this.#open(session)
    session.receive(messages).then(() => session.end(), (thrown: unknown) => session.end(GantryError.from(thrown)))
    try {
      yield* session.messages
    } finally {
      session.end()
      this.#close(session)
    }
  }

  /** A node's answer to a request for logs or a command. */
  stream(messages: AsyncIterable<StreamUp>, call: CallContext): AsyncIterable<Input<StreamDown>> {
    return this.streams.serve(nodeOf(call), messages)
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
      late = this.#clock.after(SILENCE, () => reject(new GantryError('DeadlineExceeded', `there was no hello within ${SILENCE / 1000} s`)))
    })
    try {
      const first = await Promise.race([messages.next(), deadline])
      const hello: Hello | undefined = first.done !== true && first.value.message?.case === 'hello' ? first.value.message.value : undefined
      if (hello?.node === undefined) throw new GantryError('InvalidArgument', 'a session begins with a hello that describes the node')
      return { node: { ...hello.node, apiVersion: 'v1', kind: 'Node' }, agentId: hello.agentId }
    } finally {
      late?.cancel()
    }
  }

  async #register(reported: Node, agentId: string): Promise<NodeSession> {
    const id = randomUuid(this.#random)
    const { name } = reported.metadata
    try {
      const node = await this.#registry.register(reported, id)
      await this.#informer.reached(Number(node.metadata.resourceVersion))
      return new NodeSession({
        id, agentId, node, informer: this.#informer, clock: this.#clock,
        listener: {
          observed: (from, pods) => this.#statuses.observe(from, pods),
          assigned: (pods) => pods.forEach((uid) => this.#statuses.assigned(uid)),
          events: (from, events) => this.#publish(from, events),
          reported: (from, status) => this.#reports.observe(from, id, status),
        },
      })
    } catch (thrown) {
      // It may stand in the object already as the session that counts.
      if (!this.#sessions.has(name)) this.#expectBack(name, id)
      throw thrown
    }
  }

  #publish(node: string, events: readonly Event[]): void {
    const pods = this.#informer.lister('Pod')
    for (const event of events) {
      const accepted = acceptEvent(event, node, (namespace, name) => pods.get(namespace, name))
      if (accepted !== undefined) this.#events.publish(accepted)
      else this.#logger.warn({ node, about: event.involvedObject, reason: event.reason }, 'a node tells of what is not its own')
    }
  }

  #open(session: NodeSession): void {
    const { node } = session
    const older = this.#sessions.get(node)
    this.#sessions.set(node, session)
    this.#lost.get(node)?.cancel()
    this.#lost.delete(node)
    older?.end(new GantryError('Conflict', `node ${node} has opened a newer session`))
    this.#logger.info({ node, session: session.id, agent: session.agentId }, 'node session opened')
    this.#checkObject(session)
  }

  #close(session: NodeSession): void {
    const { node } = session
    this.#logger.info({ node, session: session.id }, 'node session ended')
    if (this.#sessions.get(node) !== session) return
    this.#sessions.delete(node)
    this.streams.abandon(node)
    this.#expectBack(node, session.id)
  }

  /** Gives a node whose session has ended the time of a silent one, then has it marked if no other session has begun, here or elsewhere. */
  #expectBack(node: string, session: string | undefined): void {
    if (this.#group.signal.aborted) return
    this.#lost.get(node)?.cancel()
    const timer = this.#clock.after(SILENCE, () => {
      this.#lost.delete(node)
      this.#group.spawn(async () => {
        try {
          await this.#registry.markLost(node, session)
        } catch (thrown) {
          this.#logger.warn({ node, err: thrown }, 'node not marked as lost, trying again')
          if (!this.#lost.has(node) && !this.#sessions.has(node)) this.#expectBack(node, session)
        }
      })
    })
    this.#lost.set(node, timer)
  }

  /** A node whose object was deleted is to register anew; one that has registered with another controller is that one's. */
  #nodeChanged(change: Change<'Node'>): void {
    this.#registry.note(change)
    const session = this.#sessions.get(change.cached.object.metadata.name)
    if (session !== undefined && change.revision > session.revision) this.#checkObject(session)
  }

  #checkObject(session: NodeSession): void {
    const { node, id } = session
    const stored = this.#informer.lister('Node').get('', node)
    if (stored === undefined) session.end(new GantryError('NotFound', `the object of node ${node} was deleted: it has to register again`))
    else if (sessionOf(stored) !== id) session.end(new GantryError('Conflict', `node ${node} has opened a newer session`))
  }

  #podChanged({ type, cached, previous }: Change<'Pod'>): void {
    if (type === 'deleted') this.#statuses.forget(cached.object.metadata.uid)
    for (const node of [cached.object.spec.nodeName, previous?.object.spec.nodeName]) if (node !== undefined) this.#dirty.add(node)
  }

  /** Nodes with a pod in the namespace look whether it is theirs. */
  #configChanged({ cached }: Change<'ConfigMap'> | Change<'Secret'>): void {
    for (const pod of this.#informer.lister('Pod').list(cached.object.metadata.namespace)) {
      if (pod.spec.nodeName !== undefined) this.#dirty.add(pod.spec.nodeName)
    }
  }

  #refresh(): void {
    for (const node of this.#dirty) this.#sessions.get(node)?.refresh()
    this.#dirty.clear()
  }
}

function nodeOf(call: CallContext): string {
  if (!call.user.name.startsWith(NODE_USER)) throw new GantryError('Forbidden', `"${call.user.name}" is not the name of a node's certificate (${NODE_USER}NAME)`)
  return call.user.name.slice(NODE_USER.length)
}
