/** One node's session, from `welcome` to its end. */
import { GantryError } from '../../proto/api/errors.ts'
import type { Input } from '../../proto/api/wire.ts'
import { Channel } from '../../proto/base/channel.ts'
import type { Clock, Timer } from '../../proto/base/clock.ts'
import type { ControllerMessage, Event, Node, NodeMessage, NodeStatus, ObservedPod } from '../../proto/gen/types.ts'
import type { Informer } from '../informer/contract.ts'
import { AssignmentStream } from './assignment.ts'

/** How often a node gives a sign of life, and how long without one its session is held for dead (milliseconds). */
export const HEARTBEAT = 1_000
export const SILENCE = 5_000

/** What a session tells its dispatcher. */
export interface SessionListener {
  observed(node: string, pods: readonly ObservedPod[]): void
  /** Pods by uid that the node has just been told of. */
  assigned(pods: readonly string[]): void
  events(node: string, events: readonly Event[]): void
  /** The machine is not what the node registered with. */
  reported(node: string, status: NodeStatus): void
}

export class NodeSession {
  readonly id: string
  readonly node: string
  readonly agentId: string
  /** Of the node's object when it registered. */
  readonly revision: number
  readonly #clock: Clock
  readonly #listener: SessionListener
  readonly #assignments: AssignmentStream
  readonly #out = new Channel<Input<ControllerMessage>>()
  #watchdog: Timer
  #ended = false

  constructor(parts: { id: string; agentId: string; node: Node; informer: Informer; clock: Clock; listener: SessionListener }) {
    this.id = parts.id
    this.agentId = parts.agentId
    this.node = parts.node.metadata.name
    this.revision = Number(parts.node.metadata.resourceVersion)
    this.#clock = parts.clock
    this.#listener = parts.listener
    this.#assignments = new AssignmentStream(parts.informer, this.node)
    this.#watchdog = this.#startWatchdog()
    this.send({ message: { case: 'welcome', value: { sessionId: this.id, heartbeatMillis: HEARTBEAT, node: parts.node } } })
    this.refresh()
  }

  /** Messages for the node, until the session ends. */
  get messages(): AsyncIterable<Input<ControllerMessage>> {
    return this.#out
  }

  send(message: Input<ControllerMessage>): void {
    this.#out.push(message)
  }

  /** Tells the node what has changed for it. */
  refresh(): void {
    const next = this.#assignments.next()
    if (next === undefined) return
    this.send({ message: { case: 'assignments', value: next.message } })
    this.#listener.assigned(next.pods)
  }

  /** Takes what the node says until it stops talking; what comes after the end counts for nothing. */
  async receive(messages: AsyncIterator<NodeMessage>): Promise<void> {
    for (let next = await messages.next(); next.done !== true; next = await messages.next()) {
      if (this.#ended) return
      this.#watchdog.cancel()
      this.#watchdog = this.#startWatchdog()
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
    this.#watchdog.cancel()
    this.#out.close(error)
  }

  #startWatchdog(): Timer {
    return this.#clock.after(SILENCE, () => this.end(new GantryError('Unavailable', `node ${this.node} was silent for ${SILENCE / 1000} s`)))
  }
}
