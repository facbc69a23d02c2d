/** Who is called with changes. A handler that throws is reported, and keeps nobody else from hearing. */
import type { Logger } from '../../proto/base/logger.ts'
import type { CachedObject, Change } from './contract.ts'

export class ChangeHandlers {
  readonly #logger: Logger
  readonly #handlers = new Set<(change: Change) => void>()

  constructor(logger: Logger) {
    this.#logger = logger
  }

  /** Tells of what is there as added, then of each change until the answer is called. */
  add(handler: (change: Change) => void, present: Iterable<CachedObject>): () => void {
    for (const cached of present)
      this.#call(handler, { type: 'added', cached, previous: undefined, revision: cached.revision })
    // A wrapper of its own, so that one function may be registered twice.
    const registered = (change: Change): void => this.#call(handler, change)
    this.#handlers.add(registered)
    return () => void this.#handlers.delete(registered)
  }

  tell(change: Change): void {
    for (const handler of this.#handlers) handler(change)
  }

  #call(handler: (change: Change) => void, change: Change): void {
    try {
      handler(change)
    } catch (error) {
      const {
        kind,
        metadata: { namespace, name },
      } = change.cached.object
      this.#logger.error({ err: error, kind, namespace, name }, 'a handler of changes failed')
    }
  }
}
