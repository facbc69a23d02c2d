/** Writes what is seen of a node's life into its object, and tells it as an event. */
import { GantryError } from '../../proto/base/errors.ts'
import { formatTime } from '../../proto/base/time.ts'
import type { Clock } from '../../proto/base/clock.ts'
import type { Node, NodeStatus } from '../../proto/gen/types.ts'
import type { EventSink, ObjectApi, WriteContext } from '../api/contract.ts'
import { reachableStatus, NODE_LOST, NODE_SUSPECT, readyOf, unreachableStatus } from './health.ts'
import type { Liveness } from './liveness.ts'
import { sessionOf } from './node-session.ts'

const COMPONENT = 'node-health'

export interface NodeHealthWriterParts {
  readonly api: ObjectApi
  readonly events: EventSink
  readonly clock: Clock
  /** Name of this controller. */
  readonly controller: string
  readonly context: WriteContext
}

export class NodeHealthWriter {
  readonly #parts: NodeHealthWriterParts

  constructor(parts: NodeHealthWriterParts) {
    this.#parts = parts
  }

  /**
   * The node is so, as its session tells. Nothing is written if the object says so already, is gone, or tells of
   * another session than this: then another's word counts.
   */
  async write(name: string, session: string | undefined, liveness: Liveness): Promise<void> {
    const { api, clock, context } = this.#parts
    const since = formatTime(clock.now() - Math.max(0, clock.monotonic() - liveness.lastSign))
    let changed = false
    try {
      const node = await api.mutate(
        'Node',
        '',
        name,
        'status',
        (stored) => {
          const status = sessionOf(stored) === session ? this.#next(stored.status, liveness, since) : undefined
          changed = status !== undefined
          if (status === undefined) return false
          stored.status = status
        },
        context,
      )
      if (changed) this.tell(node)
    } catch (thrown) {
      if (!GantryError.is(thrown, 'NotFound')) throw thrown
    }
  }

  /** An event of what the object says now. */
  tell(node: Node): void {
    const { events } = this.#parts
    const { status, reason, message = '' } = readyOf(node.status) ?? {}
    if (status === 'True')
      events.record({
        regarding: node,
        type: 'Normal',
        reason: 'NodeReady',
        message: 'the node is heard from again',
        component: COMPONENT,
      })
    else if (reason === NODE_SUSPECT || reason === NODE_LOST)
      events.record({ regarding: node, type: 'Warning', reason, message, component: COMPONENT })
  }

  #next(status: NodeStatus, { is }: Liveness, since: string): NodeStatus | undefined {
    const now = formatTime(this.#parts.clock.now())
    switch (is) {
      // A node that is lost comes back by registering alone.
      case 'ready':
        return readyOf(status)?.reason === NODE_SUSPECT ? reachableStatus(status, now) : undefined
      case 'suspect':
      case 'lost':
        return unreachableStatus(status, { is, since, by: this.#parts.controller, now })
    }
  }
}
