/**
 * Tells on NATS that objects changed: `gantry.changes.PLURAL.NAMESPACE.NAME`. News only: a notice may be lost, and says
 * what changed, not how.
 */
import { NatsError } from 'nats'
import { resourceOf } from '../../proto/schema/schema.ts'
import type { Clock, Timer } from '../../proto/base/clock.ts'
import type { Change, Informer } from '../informer/contract.ts'
import { GatherWindow } from './gather-window.ts'
import type { NatsClient } from './nats-client.ts'
import { changeSubject } from './subjects.ts'

/** Notices told together at most; the rest of what was gathered is counted, not told. */
const BATCH = 1_000

export interface ChangeNotice {
  readonly type: Change['type']
  /** As clients call it. */
  readonly kind: string
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly revision: number
}

export class ChangePublisher {
  readonly #informer: Informer
  readonly #connection: NatsClient
  readonly #clock: Clock
  readonly #window: GatherWindow
  #notices: { readonly plural: string; readonly notice: ChangeNotice }[] = []
  #gathering: Timer | undefined
  #lost = 0

  constructor(informer: Informer, connection: NatsClient, clock: Clock) {
    this.#informer = informer
    this.#connection = connection
    this.#clock = clock
    this.#window = new GatherWindow(clock)
  }

  /** Notices that were not told: NATS was away, or too many came at once. */
  get droppedCount(): number {
    return this.#lost
  }

  /** Follows the informer until the signal is aborted. Only the leader runs it, so that each change is told once. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#informer.synced()
    if (signal.aborted) return
    const begun = this.#informer.revision
    const end = this.#informer.onAny((change) => {
      if (change.revision <= begun) return
      this.#notices.push(notice(change))
      this.#gathering ??= this.#clock.after(this.#window.delay, () => this.#publish())
    })
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
    end()
    this.#gathering?.cancel()
    this.#publish()
  }

  #publish(): void {
    const notices = this.#notices
    this.#gathering = undefined
    this.#notices = []
    this.#window.told()
    const session = this.#connection.current
    const told = session === undefined ? [] : notices.slice(0, BATCH)
    this.#lost += notices.length - told.length
    for (const { plural, notice: item } of told) {
      try {
        session!.nats.publish(changeSubject(plural, item.namespace, item.name), JSON.stringify(item))
      } catch (thrown) {
        // The client throws once its connection is closed, a moment before the session counts as lost.
        if (!(thrown instanceof NatsError)) throw thrown
        this.#lost += 1
      }
    }
  }
}

/** What a kind is called is asked now: when it is told, the definition may be gone. */
function notice({ type, cached: { object }, revision }: Change): { plural: string; notice: ChangeNotice } {
  const { namespace, name, uid } = object.metadata
  const { plural, kind } = resourceOf(object.kind)
  return { plural, notice: { type, kind, namespace, name, uid, revision } }
}
