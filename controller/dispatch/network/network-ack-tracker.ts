/**
 * Which nodes follow which revision of the network. A controller knows that of the nodes that name it; what it takes to
 * know it of all nodes is asked of the other controllers.
 */
import { GantryError } from '../../../proto/base/errors.ts'
import type { Clock } from '../../../proto/base/clock.ts'
import type { Node } from '../../../proto/gen/types.ts'
import type { Peers } from '../../election/peers.ts'
import type { Informer } from '../../informer/contract.ts'
import { healthOf } from '../../nodehealth/health.ts'
import { controllerOf } from '../../nodehealth/node-session.ts'
import type { NetworkFeed } from './feed.ts'

/** Milliseconds after which nobody waits for a node any more. */
const ACK_TIMEOUT_MS = 5_000

export interface NetworkAckTrackerParts {
  readonly feed: NetworkFeed
  readonly informer: Informer
  readonly peers: Pick<Peers, 'client'>
  readonly clock: Clock
  /** This controller's name. */
  readonly controller: string
}

interface Waiter {
  readonly revision: number
  readonly done: () => void
  /** A node that was behind when it was looked last: as long as it is, nobody else needs to be looked at. */
  behind: string | undefined
}

export class NetworkAckTracker {
  readonly #parts: NetworkAckTrackerParts
  readonly #waiters = new Set<Waiter>()
  /** By revision: many pods end with the same change. */
  readonly #everywhere = new Map<number, Promise<void>>()

  constructor(parts: NetworkAckTrackerParts) {
    this.#parts = parts
  }

  /** Looks again at who waits, with each change of what may end the waiting: the call that ends it. */
  start(): () => void {
    const { feed, informer } = this.#parts
    const stops = [feed.onFlush(() => this.changed()), informer.on('Node', () => this.changed())]
    return () => stops.forEach((stop) => stop())
  }

  /** A node confirmed something, or its session began or ended. */
  changed(): void {
    for (const waiter of this.#waiters) if (this.#holds(waiter)) waiter.done()
  }

  /**
   * Resolves when every node that names this controller follows the revision or is lost; DeadlineExceeded after 5 s,
   * and Cancelled.
   */
  awaitLocal(revision: number, signal?: AbortSignal): Promise<void> {
    if (this.#holds({ revision, behind: undefined })) return Promise.resolve()
    return new Promise((resolve, reject) => {
      const end = (error?: GantryError): void => {
        late.cancel()
        signal?.removeEventListener('abort', aborted)
        this.#waiters.delete(waiter)
        if (error === undefined) resolve()
        else reject(error)
      }
      const waiter: Waiter = { revision, done: () => end(), behind: undefined }
      const aborted = (): void => end(GantryError.from(signal?.reason, 'Cancelled'))
      const late = this.#parts.clock.after(ACK_TIMEOUT_MS, () =>
        end(
          new GantryError(
            'DeadlineExceeded',
            `after ${ACK_TIMEOUT_MS / 1000} s these nodes do not follow revision ${revision} yet: ${[...this.#behind(revision)].join(', ')}`,
          ),
        ),
      )
      this.#waiters.add(waiter)
      if (signal?.aborted === true) aborted()
      else signal?.addEventListener('abort', aborted, { once: true })
    })
  }

  /** The same of all nodes, whichever controller they name. Unavailable: a controller cannot be asked. */
  awaitAll(revision: number): Promise<void> {
    let asked = this.#everywhere.get(revision)
    if (asked === undefined) {
      const forget = (): void => void this.#everywhere.delete(revision)
      this.#everywhere.set(revision, (asked = this.#askAll(revision)))
      asked.then(forget, forget)
    }
    return asked
  }

  /**
   * A node that goes over to another controller meanwhile is asked for there, too: whoever had it says nothing of it
   * any more.
   */
  async #askAll(revision: number): Promise<void> {
    const asked = new Set<string>()
    for (let open = this.#holders(); open.length > 0; open = this.#holders().filter((holder) => !asked.has(holder))) {
      for (const holder of open) asked.add(holder)
      await Promise.all(
        [...new Set(open.map((holder) => holder.slice(holder.indexOf(' ') + 1)))].map((controller) =>
          this.#ask(controller, revision),
        ),
      )
    }
  }

  async #ask(controller: string, revision: number): Promise<void> {
    if (controller === this.#parts.controller) return this.awaitLocal(revision)
    await (
      await this.#parts.peers.client(controller, 'Cluster')
    ).networkConfirmed({ revision }, { timeout: ACK_TIMEOUT_MS })
  }

  /** "NODE CONTROLLER" of each node that is not lost. */
  #holders(): string[] {
    return this.#parts.informer
      .lister('Node')
      .list()
      .flatMap((node) =>
        healthOf(node).is === 'lost' || controllerOf(node) === undefined
          ? []
          : [`${node.metadata.name} ${controllerOf(node)}`],
      )
  }

  #holds(waiter: Pick<Waiter, 'revision' | 'behind'>): boolean {
    const { feed, informer } = this.#parts
    if (feed.revision < waiter.revision) return false
    const witness = waiter.behind === undefined ? undefined : informer.lister('Node').get('', waiter.behind)
    if (witness !== undefined && this.#isBehind(witness, waiter.revision)) return false
    for (const name of this.#behind(waiter.revision)) {
      waiter.behind = name
      return false
    }
    return true
  }

  /** Nodes of this controller that are to confirm the revision and have not. */
  *#behind(revision: number): Generator<string, void, undefined> {
    for (const node of this.#parts.informer.lister('Node').list())
      if (this.#isBehind(node, revision)) yield node.metadata.name
  }

  #isBehind(node: Node, revision: number): boolean {
    const { feed, controller } = this.#parts
    if (controllerOf(node) !== controller || healthOf(node).is === 'lost') return false
    const stream = feed.streamOf(node.metadata.name)
    return stream === undefined || (stream.applied < revision && !stream.upToDate)
  }
}
