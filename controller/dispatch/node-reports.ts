/** What nodes report of themselves on its way to the store: the latest of each node, one write of a node at a time, tried until it is written. */
import { GantryError } from '../../proto/api/errors.ts'
import type { Clock } from '../../proto/base/clock.ts'
import type { Logger } from '../../proto/base/logger.ts'
import type { Random } from '../../proto/base/random.ts'
import { WorkQueue } from '../../proto/base/workqueue.ts'
import type { NodeStatus } from '../../proto/gen/types.ts'
import type { NodeRegistry } from './registration.ts'

/** Writes under way at once. */
const CONCURRENCY = 50

export class NodeReports {
  readonly #registry: NodeRegistry
  readonly #logger: Logger
  readonly #queue: WorkQueue
  readonly #latest = new Map<string, { readonly session: string; readonly status: NodeStatus }>()

  constructor(registry: NodeRegistry, parts: { clock: Clock; random: Random; logger: Logger }) {
    this.#registry = registry
    this.#logger = parts.logger
    this.#queue = new WorkQueue(parts.clock, parts.random, { first: 50, max: 10_000 })
  }

  observe(node: string, session: string, status: NodeStatus): void {
    this.#latest.set(node, { session, status })
    this.#queue.add(node)
  }

  async run(signal: AbortSignal): Promise<void> {
    await this.#queue.run((node) => this.#write(node), (node, error, failures) => {
      this.#logger.warn({ node, failures, err: error }, 'report of a node not written, trying again')
    }, signal, CONCURRENCY)
  }

  async #write(node: string): Promise<void> {
    const entry = this.#latest.get(node)
    if (entry === undefined) return
    try {
      await this.#registry.report(node, entry.session, entry.status)
    } catch (thrown) {
      if (!GantryError.is(thrown, 'InvalidArgument')) throw thrown
      this.#logger.error({ node, err: thrown }, 'report of a node refused')
    }
    if (this.#latest.get(node) === entry) this.#latest.delete(node)
  }
}
