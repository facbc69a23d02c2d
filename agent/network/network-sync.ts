/**
 * Follows what the control plane tells of the cluster's network: keeps the view, lets every part make it so, and
 * confirms the revision that the parts follow. The view outlives the agent, so that the next run knows it before it has
 * reached the control plane.
 *
 *   session ─ welcome, update ─▶ view ─▶ part, part, …   (each at its own pace)
 *                                 │                └──▶ confirmed revision ─▶ outbox
 *                                 └─▶ file
 */
import { isDeepStrictEqual } from 'node:util'
import { GantryError } from '../../proto/base/errors.ts'
import type { Clock } from '../../proto/base/clock.ts'
import type { Logger } from '../../proto/base/logger.ts'
import type { Random } from '../../proto/base/random.ts'
import type { NetworkUpdate } from '../../proto/gen/types.ts'
import { ClusterView } from './cluster-view.ts'
import type { NetworkReconciler, NetworkView, NodeRanges, NetworkUpdateHandler } from './contract.ts'
import { ReconcilerRunner } from './reconciler-runner.ts'
import type { TableOwner } from './table-watch.ts'
import { sanitizeRanges } from './sanitize.ts'
import type { KeptView } from './view-file.ts'

/** Entries in one record of the file. */
const RECORD_ENTRIES = 200

export interface NetworkSyncParts {
  /** The view as it outlives the agent. */
  readonly kept: KeptView
  readonly parts: readonly NetworkReconciler[]
  /** The node follows a revision. */
  readonly applied: (revision: number) => void
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

export class NetworkSync implements NetworkUpdateHandler {
  readonly #logger: Logger
  readonly #applied: (revision: number) => void
  readonly #view = new ClusterView(
    { podCidrs: [], cluster: { podCidrs: [], serviceCidrs: [], domain: '' } },
    (key, what) => {
      this.#logger.warn(
        { key, leftOut: what },
        'a part of what the control plane tells of the network is not of its form and is left out',
      )
    },
  )
  readonly #keptView: KeptView
  readonly #runners: readonly ReconcilerRunner[]
  /** Parts of an update whose last part is not here yet. */
  #gathered: NetworkUpdate[] = []
  #ranges: NodeRanges | undefined
  #confirmed = 0

  constructor({ kept, parts, applied, clock, random, logger }: NetworkSyncParts) {
    this.#logger = logger
    this.#applied = applied
    this.#keptView = kept
    this.#runners = parts.map(
      (part) =>
        new ReconcilerRunner({ part, view: this.#view, clock, random, logger, advanced: () => this.#advanced() }),
    )
  }

  /** Shared and live: it moves on while somebody reads it over several turns. */
  get view(): NetworkView {
    return this.#view
  }

  /** Parts that do not follow at the moment, and how often in a row each has failed. */
  get failing(): ReadonlyMap<string, number> {
    return new Map(this.#runners.flatMap((runner) => (runner.failures > 0 ? [[runner.name, runner.failures]] : [])))
  }

  /** The parts, as those who make tables of nftables. */
  get tableOwners(): TableOwner[] {
    return this.#runners.map((runner) => ({
      name: runner.name,
      tables: () => runner.tables,
      restore: () => runner.enqueue(new Set(), true),
    }))
  }

  /** Takes up what the run before knew, if there is any: it can be read, and nobody acts on it yet. */
  async load(): Promise<void> {
    try {
      for (const update of await this.#keptView.load()) this.#view.update([update])
      this.#ranges = sanitizeRanges((await this.#keptView.loadRanges()) as NodeRanges)
    } catch (thrown) {
      // The first run, or a file that cannot be read: the control plane tells everything again.
      if (!GantryError.is(thrown, 'NotFound'))
        this.#logger.warn(
          { err: GantryError.from(thrown) },
          'the view of the network that the run before kept cannot be read',
        )
      return
    }
    this.#view.ranges = this.#ranges
  }

  /**
   * The parts begin to follow what was loaded; those that are told of pods by others must have heard of the pods that
   * live on.
   */
  start(): void {
    if (this.#ranges === undefined) return
    for (const runner of this.#runners) runner.enqueue(new Set(), true)
  }

  /** The control plane knows the node. InvalidArgument: these are no ranges. */
  async welcome(told: NodeRanges): Promise<void> {
    this.#gathered = []
    const ranges = sanitizeRanges(told)
    if (isDeepStrictEqual(ranges, this.#ranges)) return
    this.#ranges = this.#view.ranges = ranges
    await this.#keptView.putRanges(ranges)
    if (this.#view.revision > 0) for (const runner of this.#runners) runner.enqueue(new Set(), true)
  }

  /** Takes a message of the session; its number has been looked at. */
  update(update: NetworkUpdate): void {
    this.#gathered.push(update)
    if (update.more) return
    const parts = this.#gathered
    this.#gathered = []
    const first = this.#view.revision === 0
    const changed = this.#view.update(parts)
    if (changed.size > 0)
      this.#keptView.add(first ? parts : this.#kept(parts, changed), () => this.#view.updates(RECORD_ENTRIES))
    for (const runner of this.#runners) runner.enqueue(changed)
  }

  /** Resolves when every part has caught up, or waits to try again. */
  async settled(): Promise<void> {
    await Promise.all([...this.#runners.map((runner) => runner.settled()), this.#keptView.settled()])
  }

  /** What pods use stays. */
  async stop(): Promise<void> {
    await Promise.all(this.#runners.map((runner) => runner.stop()))
    await this.#keptView.settled()
  }

  /**
   * What of an update is to be remembered: of a further complete one only what differs from what is known, and what is
   * gone because it is not in it.
   */
  #kept(parts: readonly NetworkUpdate[], changed: ReadonlySet<string>): NetworkUpdate[] {
    const gone = [...changed].filter((key) => !this.#view.has(key))
    return parts.map((part, index) => ({
      ...part,
      complete: false,
      set: part.set.filter(({ key }) => changed.has(key)),
      removed: index === 0 ? gone : [],
    }))
  }

  #advanced(): void {
    const confirming = this.#runners.filter((runner) => runner.confirmsRevision)
    this.#confirmed = Math.min(this.#view.revision, ...confirming.map((runner) => runner.appliedRevision))
    this.#applied(this.#confirmed)
  }
}
