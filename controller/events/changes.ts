/** Tells on NATS that objects changed: `gantry.changes.PLURAL.NAMESPACE.NAME`. News only: a notice may be lost, and says what changed, not how. */
import { NatsError } from 'nats'
import { resourceOf, resources } from '../../proto/api/schema.ts'
import type { Kind } from '../../proto/gen/types.ts'
import type { Change, Informer } from '../informer/contract.ts'
import type { NewsConnection } from './connection.ts'
import { changeSubject } from './subjects.ts'

/** Notices gathered in one batch of changes at most; the rest of a larger batch is counted, not told. */
const BATCH = 1_000

export interface ChangeNotice {
  readonly type: Change['type']
  readonly kind: Kind
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly revision: number
}

export class ChangeNotices {
  readonly #informer: Informer
  readonly #connection: NewsConnection
  #notices: ChangeNotice[] = []
  #lost = 0

  constructor(informer: Informer, connection: NewsConnection) {
    this.#informer = informer
    this.#connection = connection
  }

  /** Notices that were not told: NATS was away, or too many came at once. */
  get lost(): number {
    return this.#lost
  }

  /** Follows the informer until the signal is aborted. Only the leader runs it, so that each change is told once. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#informer.synced()
    if (signal.aborted) return
    const begun = this.#informer.revision
    const ends = resources.map(({ kind }) => this.#informer.on(kind as Kind, (change) => {
      if (change.revision > begun) this.#notices.push(notice(change))
    }))
    ends.push(this.#informer.onBatch(() => this.#publish()))
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
    for (const end of ends) end()
  }

  #publish(): void {
    const notices = this.#notices
    if (notices.length === 0) return
    this.#notices = []
    const session = this.#connection.current
    const told = session === undefined ? [] : notices.slice(0, BATCH)
    this.#lost += notices.length - told.length
    for (const item of told) {
      try {
        session!.nats.publish(changeSubject(resourceOf(item.kind).plural, item.namespace, item.name), JSON.stringify(item))
      } catch (thrown) {
        // The client throws once its connection is closed, a moment before the session counts as lost.
        if (!(thrown instanceof NatsError)) throw thrown
        this.#lost += 1
      }
    }
  }
}

function notice({ type, cached: { object }, revision }: Change): ChangeNotice {
  const { namespace, name, uid } = object.metadata
  return { type, kind: object.kind, namespace, name, uid, revision }
}
