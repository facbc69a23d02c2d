/**
 * What nodes report of themselves on its way to the store: the latest of each node, one write of a node at a time,
 * tried until it is written or refused.
 */
import { GantryError } from '../../proto/base/errors.ts'
import type { Clock } from '../../proto/base/clock.ts'
import type { Logger } from '../../proto/base/logger.ts'
import type { Random } from '../../proto/base/random.ts'
import { WorkQueue } from '../../proto/base/workqueue.ts'
import type { NodeStatus } from '../../proto/gen/types.ts'
import type { NodeWarningRecorder } from './node-warning-recorder.ts'
import type { NodeRegistry } from './registration.ts'

/** Writes under way at once. */
const CONCURRENCY = 50
/** A report that is refused with one of these will be refused again. */
const PERMANENT_ERRORS = [
  'InvalidArgument',
  'Unsupported',
  'Forbidden',
  'FailedPrecondition',
  'ResourceExhausted',
] as const

/** Characters of what is wrong, as an event says it. */
const LONGEST_REASON = 900

interface Report {
  readonly session: string
  readonly status: NodeStatus
  /** The address that the session comes from. */
  readonly peer: string | undefined
}

export class NodeStatusWriter {
  readonly #registry: NodeRegistry
  readonly #logger: Logger
  readonly #queue: WorkQueue
  readonly #warnings: NodeWarningRecorder
  readonly #latest = new Map<string, Report>()

  constructor(
    registry: NodeRegistry,
    warnings: NodeWarningRecorder,
    parts: { clock: Clock; random: Random; logger: Logger },
  ) {
    this.#registry = registry
    this.#warnings = warnings
    this.#logger = parts.logger
    this.#queue = new WorkQueue(parts.clock, parts.random, { first: 50, max: 10_000 })
  }

  observe(node: string, report: Report): void {
    this.#latest.set(node, report)
    this.#queue.add(node)
  }

  async run(signal: AbortSignal): Promise<void> {
    await this.#queue.run(
      (node) => this.#write(node),
      (node, error, failures) => {
        this.#logger.warn({ node, failures, err: error }, 'report of a node not written, trying again')
      },
      signal,
      CONCURRENCY,
    )
  }

  async #write(node: string): Promise<void> {
    const entry = this.#latest.get(node)
    if (entry === undefined) return
    try {
      await this.#registry.report(node, entry.session, entry.status, entry.peer)
    } catch (thrown) {
      if (!GantryError.is(thrown, ...PERMANENT_ERRORS)) throw thrown
      this.#warnings.record(
        node,
        'NodeStatusRefused',
        `the status that node ${node} reports of itself cannot be stored: ${thrown.message.slice(0, LONGEST_REASON)}`,
        { err: thrown },
      )
    }
    if (this.#latest.get(node) === entry) this.#latest.delete(node)
  }
}
