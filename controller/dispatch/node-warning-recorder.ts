/**
 * What nodes say that is not theirs to say: told in the log and as an event of the node, as often as people can read.
 */
import type { Clock } from '../../proto/base/clock.ts'
import type { Logger } from '../../proto/base/logger.ts'
import type { EventSink } from '../api/contract.ts'
import type { Informer } from '../informer/contract.ts'
import { NodeRateLimiter } from './node-rate-limiter.ts'

const COMPONENT = 'gantry-dispatch'
const ALLOWANCE = { atOnce: 20, perSecond: 0.2 }

export class NodeWarningRecorder {
  readonly #informer: Informer
  readonly #events: EventSink
  readonly #logger: Logger
  readonly #budgets: NodeRateLimiter

  constructor(parts: {
    readonly informer: Informer
    readonly events: EventSink
    readonly clock: Clock
    readonly logger: Logger
  }) {
    this.#informer = parts.informer
    this.#events = parts.events
    this.#logger = parts.logger
    this.#budgets = new NodeRateLimiter(ALLOWANCE, parts.clock)
  }

  /**
   * `message`: a sentence about the node. `facts`: for the log. What comes too often is dropped: the node has been told
   * of before.
   */
  record(node: string, reason: string, message: string, facts: object = {}): void {
    if (!this.#budgets.take(node)) return
    this.#logger.warn({ node, reason, ...facts }, message)
    // As a kubelet does for a node that has no object yet.
    const metadata = this.#informer.lister('Node').get('', node)?.metadata ?? { name: node, namespace: '', uid: node }
    this.#events.record({
      regarding: { kind: 'Node', metadata },
      type: 'Warning',
      reason,
      message,
      component: COMPONENT,
    })
  }

  /** The node is no more. */
  forget(node: string): void {
    this.#budgets.forget(node)
  }
}
