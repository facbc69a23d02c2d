/**
 * The node's session with the control plane: dialled by the agent, to one controller after the other until one answers,
 * and again whenever it ends. Each agent has an order of its own, so that the nodes spread over the controllers, also
 * those of one that is gone. Pods do not depend on the session. States of one conversation: hello sent → welcome →
 * complete assignment → changes to it.
 */
import { GantryError } from '../../proto/base/errors.ts'
import type { Connection, KeepaliveOptions } from '../../proto/rpc/rpc.ts'
import { findKind } from '../../proto/schema/schema.ts'
import { decodeResource, type Input } from '../../proto/codec/wire.ts'
import { backoffDelay } from '../../proto/base/backoff.ts'
import { Channel } from '../../proto/base/channel.ts'
import { delay, type Clock, type Timer } from '../../proto/base/clock.ts'
import type { Logger } from '../../proto/base/logger.ts'
import type { Random } from '../../proto/base/random.ts'
import { RunGroup } from '../../proto/base/run-group.ts'
import type {
  AnyResource,
  Assignments,
  ControllerMessage,
  NetworkUpdate,
  Node,
  NodeMessage,
  OpenStream,
} from '../../proto/gen/types.ts'
import type { NetworkUpdateHandler } from '../network/contract.ts'
import type { AssignmentHandler, NodeStreams } from './contract.ts'
import type { Outbox } from './outbox.ts'
import { serveStream } from './pod-stream.ts'

/** Short at its longest, too: a node that can be reached again is back within about a second. */
const RECONNECT = { first: 200, max: 1_000 }
/**
 * Milliseconds to connect, and that a controller has to say welcome; where there are others, one that does not is soon
 * left for them. Twice as long after each round in which no controller was reached, up to MOST_PATIENCE times: one that
 * is slower than this, because many nodes dial in at once, spends its time on calls that their nodes have given up, and
 * would never be reached.
 */
const CONNECT_TIMEOUT = { only: 2_000, oneOfSeveral: 1_000 }
const WELCOME_TIMEOUT = { only: 10_000, oneOfSeveral: 3_000 }
const MOST_PATIENCE = 4

/** How an agent with as many controllers finds out that one is gone without a word. */
export function livenessWith(controllers: number): KeepaliveOptions {
  // Where there are others, before the node counts as suspect for lack of heartbeats (3 s); else when the controller
  // would give it up (5 s).
  return controllers > 1 ? { time: 1_000, timeout: 1_000 } : { time: 2_000, timeout: 3_000 }
}

export interface SessionParts {
  /** host:port of each controller replica. */
  readonly controllers: readonly string[]
  readonly connect: (address: string) => Connection
  readonly workload: AssignmentHandler
  /** What this node can be asked by streams; anything else is answered with Unsupported. */
  readonly streams?: Partial<NodeStreams>
  readonly network: NetworkUpdateHandler
  readonly outbox: Outbox
  /** The node as the machine is now. */
  readonly node: () => Promise<Node>
  /** Of this run of the agent. */
  readonly agentId: string
  readonly version: string
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
}

export class Session {
  readonly #parts: SessionParts
  /** The controller said welcome in the present session. */
  #connected = false
  /** The ranges that pods here have addresses of; asked for again in case the control plane has forgotten the node. */
  #podCidrs: readonly string[] = []

  constructor(parts: SessionParts) {
    this.#parts = parts
  }

  /** Until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, random, log } = this.#parts
    const controllers = shuffled(this.#parts.controllers, random)
    let failures = 0
    for (let turn = 0; !signal.aborted; turn++) {
      const address = controllers[turn % controllers.length]!
      try {
        const patience = Math.min(MOST_PATIENCE, 2 ** Math.floor(failures / controllers.length))
        await this.#runSession(address, patience, signal)
        log.info({ address }, 'session ended by the controller')
      } catch (error) {
        if (signal.aborted) return
        log.warn({ address, error }, 'session failed')
      }
      failures = this.#connected ? 0 : failures + 1
      this.#connected = false
      // Every address once without waiting, then a pause that grows.
      if (failures % controllers.length !== 0) continue
      try {
        await delay(clock, backoffDelay(RECONNECT, Math.max(1, failures / controllers.length), random), signal)
      } catch (thrown) {
        if (signal.aborted) return
        throw thrown
      }
    }
  }

  async #runSession(address: string, patience: number, signal: AbortSignal): Promise<void> {
    const { controllers, connect, node, agentId, version, clock, log } = this.#parts
    const alternatives = controllers.length > 1 ? 'oneOfSeveral' : 'only'
    const connectTimeout = patience * CONNECT_TIMEOUT[alternatives]
    const welcomeTimeout = patience * WELCOME_TIMEOUT[alternatives]
    const connection = connect(address)
    const group = new RunGroup(signal)
    const outgoing = new Channel<Input<NodeMessage>>()
    const ending = new AbortController()
    const conversation = new SessionStream(this.#parts, connection, outgoing, group)
    let late: Timer | undefined
    try {
      const [present] = await Promise.all([node(), connection.ready(connectTimeout, signal)])
      late = clock.after(welcomeTimeout, () =>
        ending.abort(new GantryError('DeadlineExceeded', `${address} did not say welcome within ${welcomeTimeout} ms`)),
      )
      outgoing.push({
        message: {
          case: 'hello',
          value: {
            node: {
              ...present,
              spec: {
                ...present.spec,
                ...(this.#podCidrs.length > 0 ? { podCIDR: this.#podCidrs[0], podCIDRs: [...this.#podCidrs] } : {}),
              },
            },
            agentId,
            version,
          },
        },
      })
      for await (const message of connection
        .client('Nodes')
        .session(outgoing, { signal: AbortSignal.any([group.signal, ending.signal]) })) {
        late.cancel()
        await conversation.receive(message)
        if (message.message?.case === 'welcome') this.#podCidrs = podCidrsOf(message.message.value.node)
        if (this.#connected) continue
        this.#connected = true
        log.info({ address }, 'session begun')
      }
    } finally {
      late?.cancel()
      conversation.end()
      outgoing.close()
      group.stop()
      await group.wait()
      connection.close()
    }
  }
}

/** What one session has come to. */
class SessionStream {
  readonly #parts: SessionParts
  readonly #connection: Connection
  readonly #outgoing: Channel<Input<NodeMessage>>
  readonly #group: RunGroup
  readonly #streams = new Map<string, AbortController>()
  #state:
    | { readonly at: 'hello' }
    | { readonly at: 'welcomed' }
    | { readonly at: 'assigned'; readonly sequence: number } = { at: 'hello' }
  #networkSequence = 0
  #heartbeat: Timer | undefined
  #closeOutbox: (() => void) | undefined

  constructor(parts: SessionParts, connection: Connection, outgoing: Channel<Input<NodeMessage>>, group: RunGroup) {
    this.#parts = parts
    this.#connection = connection
    this.#outgoing = outgoing
    this.#group = group
  }

  async receive({ message }: ControllerMessage): Promise<void> {
    if (this.#state.at === 'hello' && message?.case !== 'welcome')
      throw outOfOrder(`${message?.case ?? 'an unknown message'} before welcome`)
    switch (message?.case) {
      case 'welcome': {
        const { node, heartbeatMillis, cluster } = message.value
        const podCidrs = podCidrsOf(node)
        if (podCidrs.length === 0) throw outOfOrder("a welcome without the node's pod address ranges")
        this.#state = { at: 'welcomed' }
        this.#startHeartbeat(Math.max(100, heartbeatMillis))
        const ranges = { podCidrs, cluster: cluster ?? { podCidrs, serviceCidrs: [], domain: 'cluster.local' } }
        await Promise.all([this.#parts.network.welcome(ranges), this.#parts.workload.welcome(ranges)])
        this.#closeOutbox = this.#parts.outbox.open(
          (news) => void this.#outgoing.push(news),
          this.#parts.workload.observations(),
        )
        return
      }
      case 'assignments':
        return this.#assign(message.value)
      case 'network':
        return this.#follow(message.value)
      case 'withdrawn':
        return this.#parts.workload.endpointsDrained(message.value.podUids)
      case 'openStream':
        return this.#open(message.value)
      case 'closeStream':
        this.#streams.get(message.value)?.abort(new GantryError('Cancelled', 'the stream is no longer wanted'))
        return
      case undefined:
        return // of a newer controller
    }
  }

  end(): void {
    this.#heartbeat?.cancel()
    this.#closeOutbox?.()
  }

  #assign({ complete, sequence, set, removed, tokens }: Assignments): void {
    if (!complete && this.#state.at !== 'assigned') throw outOfOrder('changes before a complete assignment')
    if (!complete && this.#state.at === 'assigned' && sequence !== this.#state.sequence + 1)
      throw outOfOrder(`assignment ${sequence} after ${this.#state.sequence}`)
    this.#state = { at: 'assigned', sequence }
    const objects = set.flatMap((object): AnyResource[] => {
      const kind = findKind(object.apiVersion, object.kind)
      return kind === undefined ? [] : [decodeResource(kind, object.raw)]
    })
    this.#parts.workload.assign({ complete, set: objects, removed, tokens })
  }

  #follow(update: NetworkUpdate): void {
    const { sequence } = update
    if (update.complete ? sequence !== 1 : sequence !== this.#networkSequence + 1)
      throw outOfOrder(`network update ${sequence} after ${this.#networkSequence}`)
    this.#networkSequence = sequence
    this.#parts.network.update(update)
  }

  #open(open: OpenStream): void {
    const { streamId } = open
    const ending = new AbortController()
    this.#streams.set(streamId, ending)
    this.#group.spawn(async (signal) => {
      try {
        await serveStream(
          this.#connection.client('Nodes'),
          open,
          this.#parts.streams ?? {},
          AbortSignal.any([signal, ending.signal]),
        )
      } catch (error) {
        if (!ending.signal.aborted && !signal.aborted)
          this.#parts.log.warn({ stream: streamId, error }, 'stream failed')
      } finally {
        this.#streams.delete(streamId)
      }
    })
  }

  #startHeartbeat(millis: number): void {
    const { clock } = this.#parts
    const beat = (): void => {
      this.#outgoing.push({ message: { case: 'heartbeat', value: { uptimeMillis: Math.floor(clock.monotonic()) } } })
      this.#heartbeat = clock.after(millis, beat)
    }
    this.#heartbeat?.cancel()
    this.#heartbeat = clock.after(millis, beat)
  }
}

/** The ranges of a node's pods, the preferred family first. */
function podCidrsOf(node: Node | undefined): readonly string[] {
  const { podCIDR, podCIDRs = [] } = node?.spec ?? {}
  return podCIDRs.length > 0 ? podCIDRs : podCIDR === undefined ? [] : [podCIDR]
}

/** The same in another order. */
function shuffled<T>(items: readonly T[], random: Random): T[] {
  const rest = [...items]
  return items.map(() => rest.splice(Math.floor(random.next() * rest.length), 1)[0]!)
}

function outOfOrder(what: string): GantryError {
  return new GantryError('Internal', `the controller sent ${what}; a new session begins`)
}
