/**
 * Counts the silence of nodes, each by the state machine of `liveness`, and has every change of state written, the
 * latest until it is.
 */
import type { Clock, Timer } from '../../proto/base/clock.ts'
import type { Logger } from '../../proto/base/logger.ts'
import type { Random } from '../../proto/base/random.ts'
import { WorkQueue } from '../../proto/base/workqueue.ts'
import { changesAt, observe, type Liveness, type LivenessEvent } from './liveness.ts'

/** Writes under way at once. */
const CONCURRENCY = 50
/**
 * A timer that comes this late (milliseconds) tells that this program stood still, not that nodes were silent: what
 * they said meanwhile is read before anything is concluded.
 */
const STALL_THRESHOLD_MS = 500

export interface HeartbeatMonitorParts {
  /** Tells the store; rejections are tried again. */
  readonly write: (node: string, session: string | undefined, liveness: Liveness) => Promise<void>
  /** Called at each change of state; must not throw. */
  readonly changed: (node: string, session: string | undefined, liveness: Liveness) => void
  /**
   * True while this controller is cut off from the store: its nodes are told to go to another, and it does not hear
   * whether they did.
   */
  readonly cutOff?: (() => boolean) | undefined
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

interface Watched {
  readonly session: string | undefined
  liveness: Liveness
  timer: Timer | undefined
}

export class HeartbeatMonitor {
  readonly #parts: HeartbeatMonitorParts
  readonly #nodes = new Map<string, Watched>()
  readonly #queue: WorkQueue
  #ended = false

  constructor(parts: HeartbeatMonitorParts) {
    this.#parts = parts
    this.#queue = new WorkQueue(parts.clock, parts.random, { first: 50, max: 1_000 })
  }

  /** Writes changes until the signal is aborted; after that nothing is counted any more. */
  async run(signal: AbortSignal): Promise<void> {
    try {
      await this.#queue.run(
        (node) => this.#write(node),
        (node, error, failures) => {
          this.#parts.logger.warn({ node, failures, err: error }, 'the state of a node is not written, trying again')
        },
        signal,
        CONCURRENCY,
      )
    } finally {
      this.#ended = true
      for (const { timer } of this.#nodes.values()) timer?.cancel()
    }
  }

  /** The session by which a node is watched; undefined also if it has none. */
  sessionOf(node: string): string | undefined {
    return this.#nodes.get(node)?.session
  }

  watches(node: string): boolean {
    return this.#nodes.has(node)
  }

  /** A node is ready, with this session, as of now. */
  begin(node: string, session: string | undefined): void {
    this.forget(node)
    if (this.#ended) return
    const watched: Watched = {
      session,
      liveness: { is: 'ready', lastSign: this.#parts.clock.monotonic() },
      timer: undefined,
    }
    this.#nodes.set(node, watched)
    this.#await(node, watched)
  }

  /** A sign of life in a session; one in another than is watched counts for nothing. */
  messageReceived(node: string, session: string): void {
    const watched = this.#nodes.get(node)
    if (watched?.session === session) this.#observe(node, watched, { kind: 'spoke', at: this.#parts.clock.monotonic() })
  }

  /** The node is gone, or another's to watch. */
  forget(node: string): void {
    this.#nodes.get(node)?.timer?.cancel()
    this.#nodes.delete(node)
  }

  #observe(node: string, watched: Watched, sign: LivenessEvent): void {
    const before = watched.liveness.is
    watched.liveness = observe(watched.liveness, sign)
    if (watched.liveness.is === before) return
    this.#queue.add(node)
    this.#parts.changed(node, watched.session, watched.liveness)
  }

  /** One timer a node: heartbeats only move what it finds when it comes. */
  #await(node: string, watched: Watched): void {
    const due = changesAt(watched.liveness)
    watched.timer = due === undefined || this.#ended ? undefined : this.#after(node, watched, due)
  }

  #after(node: string, watched: Watched, due: number): Timer {
    const { clock, logger, cutOff } = this.#parts
    return clock.after(due - clock.monotonic(), () => {
      const at = clock.monotonic()
      if (at - due >= STALL_THRESHOLD_MS) {
        logger.warn(
          { node, late: Math.round(at - due) },
          'this controller stood still: nodes are heard before they are judged',
        )
        watched.timer = this.#after(node, watched, at + STALL_THRESHOLD_MS)
        return
      }
      // Who knows nothing judges nobody: silence counts from when the store is reached again.
      if (cutOff?.() === true) watched.liveness = { ...watched.liveness, lastSign: at }
      else this.#observe(node, watched, { kind: 'time', at })
      if (this.#nodes.get(node) === watched) this.#await(node, watched)
    })
  }

  async #write(node: string): Promise<void> {
    const watched = this.#nodes.get(node)
    if (watched !== undefined) await this.#parts.write(node, watched.session, watched.liveness)
  }
}
