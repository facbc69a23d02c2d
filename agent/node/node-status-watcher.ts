/**
 * The node as the machine is now: told whole at the beginning of each session, and again whenever something of it has
 * changed.
 */
import { GantryError } from '../../proto/base/errors.ts'
import { delay, type Clock } from '../../proto/base/clock.ts'
import type { Logger } from '../../proto/base/logger.ts'
import { findCondition } from '../../proto/objects/conditions.ts'
import type { Node, NodeCondition, NodeStatus } from '../../proto/gen/types.ts'

/** Milliseconds between looks at the machine. */
const POLL_INTERVAL_MS = 10_000
/**
 * Milliseconds that pressure must be gone before it is said to be, so that a machine at the edge does not waver. As
 * kubelet's --eviction-pressure-transition-period.
 */
const PRESSURE_TRANSITION_PERIOD_MS = 300_000

export interface NodeStatusWatcherParts {
  /** The node as it is at this moment. */
  readonly read: () => Promise<Node>
  /** Takes a changed status; undefined when what it took before is told in another way. */
  readonly report: (status: NodeStatus | undefined) => void
  readonly clock: Clock
  readonly log: Logger
}

export class NodeStatusWatcher {
  readonly #parts: NodeStatusWatcherParts
  /** When pressure of a type was last seen, on the monotonic clock. */
  readonly #lastPressureAt = new Map<string, number>()
  #lastReported: string | undefined
  #latest: Node | undefined

  constructor(parts: NodeStatusWatcherParts) {
    this.#parts = parts
  }

  /** The latest that is known; undefined before the first look. */
  get latest(): Node | undefined {
    return this.#latest
  }

  /** The node for a hello: what waits to be reported is told with it. */
  async nodeForHello(): Promise<Node> {
    const node = await this.#look()
    this.#lastReported = statusFingerprint(node.status)
    this.#parts.report(undefined)
    return node
  }

  /** Looks again and again until the signal is aborted; a look that fails is logged and the next one comes. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log, report } = this.#parts
    while (!signal.aborted) {
      await delay(clock, POLL_INTERVAL_MS, signal).catch((thrown: unknown) => {
        if (!signal.aborted) throw thrown
      })
      if (signal.aborted) return
      try {
        const { status } = await this.#look()
        const now = statusFingerprint(status)
        // Before the first hello nobody has anything to compare with.
        if (this.#lastReported === undefined || now === this.#lastReported) continue
        this.#lastReported = now
        report(status)
      } catch (thrown) {
        log.error({ error: GantryError.from(thrown) }, 'the machine cannot be looked at')
      }
    }
  }

  async #look(): Promise<Node> {
    const node = await this.#parts.read()
    const conditions = node.status.conditions?.map((condition) => this.#steady(condition))
    this.#latest = { ...node, status: { ...node.status, conditions } }
    return this.#latest
  }

  /** Pressure that has just gone is still told, with what was seen last. */
  #steady(condition: NodeCondition): NodeCondition {
    const now = this.#parts.clock.monotonic()
    if (condition.status === 'True') {
      this.#lastPressureAt.set(condition.type, now)
      return condition
    }
    const seen = this.#lastPressureAt.get(condition.type)
    if (seen === undefined) return condition
    if (now - seen < PRESSURE_TRANSITION_PERIOD_MS)
      return findCondition(this.#latest?.status.conditions, condition.type) ?? condition
    this.#lastPressureAt.delete(condition.type)
    return condition
  }
}

/** What makes a difference to somebody: not when it was looked at, nor the figures in a condition's message. */
function statusFingerprint(status: NodeStatus): string {
  return JSON.stringify({
    ...status,
    conditions: status.conditions?.map(({ type, status: holds, reason }) => [type, holds, reason]),
  })
}
