/** What a reconciler has written and the cache must show before the next pass of the key counts anything. */
import { GantryError } from '../../proto/base/errors.ts'
import type { AnyResource } from '../../proto/gen/types.ts'
import type { ReconcileParts } from '../runner/runner.ts'

export class WriteExpectations {
  readonly #parts: ReconcileParts
  readonly #written = new Map<string, number>()
  readonly #uncertain = new Set<string>()

  constructor(parts: ReconcileParts) {
    this.#parts = parts
  }

  /**
   * Resolves when the cache shows what earlier passes wrote, also what they wrote without learning of it; Unavailable
   * if it does not in time.
   */
  async reached(key: string): Promise<void> {
    if (this.#uncertain.has(key)) {
      await this.#parts.caughtUp()
      this.#uncertain.delete(key)
    }
    const revision = this.#written.get(key)
    if (revision === undefined) return
    if (this.#parts.informer.revision < revision) await this.#parts.informer.waitForRevision(revision)
    this.#written.delete(key)
  }

  wrote(key: string, object: AnyResource): void {
    this.#written.set(key, Math.max(this.#written.get(key) ?? 0, Number(object.metadata.resourceVersion)))
  }

  /** A write failed: unless it was refused for certain, it may have happened all the same. */
  failed(key: string, thrown: unknown): void {
    if (
      !GantryError.is(
        thrown,
        'InvalidArgument',
        'NotFound',
        'AlreadyExists',
        'Forbidden',
        'FailedPrecondition',
        'Conflict',
        'ResourceExhausted',
        'Unsupported',
      )
    )
      this.#uncertain.add(key)
  }

  /** The object is gone. */
  forget(key: string): void {
    this.#written.delete(key)
    this.#uncertain.delete(key)
  }
}
