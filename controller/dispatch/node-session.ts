/** One node's session, from `welcome` to its end. */
import { GantryError } from '../../proto/base/errors.ts'
import type { Input } from '../../proto/codec/wire.ts'
import { Channel } from '../../proto/base/channel.ts'
import type { Clock, Timer } from '../../proto/base/clock.ts'
import type {
  ClusterNetwork,
  ControllerMessage,
  Event,
  Node,
  NodeMessage,
  NodeStatus,
  ObservedPod,
} from '../../proto/gen/types.ts'
import type { Informer } from '../informer/contract.ts'
import { AssignmentStream } from './assignment.ts'
import type { NetworkFeed } from './network/feed.ts'
import { NetworkStream } from './network/stream.ts'
import type { TokenIssuer } from './pod-tokens.ts'

/** How often a node gives a sign of life (milliseconds). */
const HEARTBEAT_INTERVAL_MS = 1_000

/** Messages that may wait for a node to take them: one that says it lives, and takes nothing, would fill the memory. */
const MAX_QUEUED_MESSAGES = 10_000

/**
 * Milliseconds until it is looked at again which tokens are to be replaced: the wall clock, by which they end, may be
 * set meanwhile.
 */
const MAX_TOKEN_CHECK_INTERVAL_MS = 60_000
const MIN_TOKEN_CHECK_INTERVAL_MS = 1_000

/** What a session tells its dispatcher. */
export interface SessionListener {
  /** The node said something, whatever it is. */
  messageReceived(node: string): void
  observed(node: string, pods: readonly ObservedPod[]): void
  /** Pods by uid that the node has just been told of. */
  assigned(pods: readonly string[]): void
  events(node: string, events: readonly Event[]): void
  /** The machine is not what the node registered with. */
  reported(node: string, status: NodeStatus): void
  /** The node follows what it was told of the network further than before. */
  confirmed(node: string): void
}

export class NodeSession {
  readonly id: string
  readonly node: string
  readonly agentId: string
  /** Of the node's object when it registered. */
  readonly revision: number
  readonly #listener: SessionListener
  readonly #assignments: AssignmentStream
  readonly #feed: NetworkFeed
  readonly #network: NetworkStream
  readonly #out = new Channel<Input<ControllerMessage>>()
  readonly #clock: Clock
  #tokensDue: Timer | undefined
  #ended = false

  constructor(parts: {
    id: string
    agentId: string
    node: Node
    cluster: ClusterNetwork
    informer: Informer
    feed: NetworkFeed
    listener: SessionListener
    clock: Clock
    issuer: TokenIssuer | undefined
  }) {
    this.id = parts.id
    this.agentId = parts.agentId
    this.node = parts.node.metadata.name
    this.revision = Number(parts.node.metadata.resourceVersion)
    this.#listener = parts.listener
    this.#clock = parts.clock
    this.#assignments = new AssignmentStream(parts.informer, this.node, parts.issuer)
    this.#feed = parts.feed
    this.#network = new NetworkStream({
      node: this.node,
      feed: parts.feed,
      send: (value) => this.send({ message: { case: 'network', value } }),
    })
    this.send({
      message: {
        case: 'welcome',
        value: { sessionId: this.id, heartbeatMillis: HEARTBEAT_INTERVAL_MS, node: parts.node, cluster: parts.cluster },
      },
    })
    // What guards pods and gives them names comes before the pods.
    this.#feed.open(this.#network)
    this.refresh()
  }

  /** Messages for the node, until the session ends. */
  get messages(): AsyncIterable<Input<ControllerMessage>> {
    return this.#out
  }

  /** A node that does not take what it is told has to begin anew. */
  send(message: Input<ControllerMessage>): void {
    if (this.#out.length < MAX_QUEUED_MESSAGES) return void this.#out.push(message)
    this.#out.fail(
      new GantryError('ResourceExhausted', `node ${this.node} has not taken ${MAX_QUEUED_MESSAGES} messages`),
    )
    this.end()
  }

  /** Tells the node what has changed for it; `changed` as AssignmentStream.next has it. */
  refresh(changed?: Iterable<string>): void {
    if (this.#ended) return
    const next = this.#assignments.next(changed)
    this.#awaitTokens()
    if (next === undefined) return
    this.send({ message: { case: 'assignments', value: next.message } })
    this.#listener.assigned(next.pods)
  }

  /** New tokens go to the node before those that it has end. */
  #awaitTokens(): void {
    const due = this.#assignments.tokensDue
    this.#tokensDue?.cancel()
    this.#tokensDue =
      due === undefined
        ? undefined
        : this.#clock.after(
            Math.min(Math.max(due - this.#clock.now(), MIN_TOKEN_CHECK_INTERVAL_MS), MAX_TOKEN_CHECK_INTERVAL_MS),
            () => this.refresh(),
          )
  }

  /** Takes what the node says until it stops talking; what comes after the end counts for nothing. */
  async receive(messages: AsyncIterator<NodeMessage>): Promise<void> {
    for (let next = await messages.next(); next.done !== true; next = await messages.next()) {
      if (this.#ended) return
      this.#listener.messageReceived(this.node)
      const { message } = next.value
      switch (message?.case) {
        case 'statuses':
          this.#listener.observed(this.node, message.value.pods)
          break
        case 'events':
          this.#listener.events(this.node, message.value.events)
          break
        case 'node':
          if (message.value.status !== undefined) this.#listener.reported(this.node, message.value.status)
          break
        case 'networkApplied':
          this.#network.confirm(message.value.revision)
          this.#listener.confirmed(this.node)
          break
        case 'hello':
          throw new GantryError('InvalidArgument', 'a session has one hello, at its beginning')
        case 'heartbeat':
        case undefined:
          break
      }
    }
  }

  /** Ends the session; the node is told why and dials in again. */
  end(error?: GantryError): void {
    this.#ended = true
    this.#tokensDue?.cancel()
    this.#feed.drop(this.#network)
    this.#out.close(error)
  }
}
