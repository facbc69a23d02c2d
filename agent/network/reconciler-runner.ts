/**
 * Lets one part follow the view: one call at a time, what comes meanwhile in one further call, what failed again after
 * a growing pause.
 */
import { GantryError } from '../../proto/base/errors.ts'
import { backoffDelay } from '../../proto/base/backoff.ts'
import type { Clock, Timer } from '../../proto/base/clock.ts'
import type { Logger } from '../../proto/base/logger.ts'
import type { Random } from '../../proto/base/random.ts'
import type { NetworkReconciler, NetworkView } from './contract.ts'

const RETRY = { first: 100, max: 10_000 }

export interface ReconcilerRunnerParts {
  readonly part: NetworkReconciler
  readonly view: NetworkView & { readonly keys: ReadonlySet<string> }
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Called when the part follows a later revision. */
  readonly advanced: () => void
}

export class ReconcilerRunner {
  readonly #parts: ReconcilerRunnerParts
  #keys = new Set<string>()
  #complete = true
  #due = false
  #applied = 0
  #failures = 0
  #running: Promise<void> | undefined
  #retry: Timer | undefined
  #stopped = false

  constructor(parts: ReconcilerRunnerParts) {
    this.#parts = parts
  }

  get name(): string {
    return this.#parts.part.name
  }

  get confirmsRevision(): boolean {
    return this.#parts.part.confirmsRevision
  }

  /** The revision that the part follows. */
  get appliedRevision(): number {
    return this.#applied
  }

  /** Why the part does not follow, if so: failures in a row. */
  get failures(): number {
    return this.#failures
  }

  /** Tables of nftables that the part has made. */
  get tables(): readonly string[] {
    return this.#parts.part.tables?.() ?? []
  }

  /** The view has moved. `complete`: anything may be another than it was. */
  enqueue(keys: ReadonlySet<string>, complete = false): void {
    for (const key of keys) this.#keys.add(key)
    this.#complete ||= complete
    this.#due = true
    this.#begin()
  }

  /** Resolves when the part is neither at work nor about to be; a part that failed waits for its next try. */
  async settled(): Promise<void> {
    while (this.#running !== undefined) await this.#running
  }

  /** Ends after the call under way. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#retry?.cancel()
    await this.settled()
    await this.#parts.part.stop()
  }

  #begin(): void {
    this.#retry?.cancel()
    if (this.#running !== undefined || this.#stopped) return
    this.#running = this.#work().finally(() => {
      this.#running = undefined
      // Something came between the last look and now.
      if (this.#due) this.#begin()
    })
  }

  async #work(): Promise<void> {
    const { part, view, logger, advanced } = this.#parts
    while (this.#due && !this.#stopped) {
      const { revision } = view
      const complete = this.#complete
      const keys = complete ? view.keys : this.#keys
      this.#keys = new Set()
      this.#complete = this.#due = false
      try {
        if (complete || keys.size > 0) await part.apply(view, { complete, keys })
        this.#failures = 0
        this.#applied = revision
        advanced()
      } catch (thrown) {
        this.#complete = true
        this.#failures++
        logger.error(
          { part: part.name, failures: this.#failures, err: GantryError.from(thrown) },
          'a part of the network does not follow',
        )
        if (!this.#due) return this.#later()
      }
    }
  }

  #later(): void {
    if (this.#stopped) return
    const { clock, random } = this.#parts
    this.#retry = clock.after(backoffDelay(RETRY, this.#failures, random), () => {
      this.#due = true
      this.#begin()
    })
  }
}
