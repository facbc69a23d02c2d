/** Empties namespaces that are being deleted, and lets them go. */
import { GantryError } from '../../../proto/base/errors.ts'
import { resourceOf } from '../../../proto/schema/schema.ts'
import { sameJson } from '../../../proto/base/json.ts'
import { isDeleting } from '../../../proto/objects/deletion.ts'
import type { AnyResource, Namespace, NamespaceStatus } from '../../../proto/gen/types.ts'
import { NAMESPACE_FINALIZER } from '../../kinds/namespace.ts'
import type { WriteContext } from '../../api/contract.ts'
import type { Change } from '../../informer/contract.ts'
import { keyOf, makeKey, splitKey } from '../../runner/key.ts'
import { watchAnyKind, watchSource, writeContext, type Reconciler, type ReconcileParts } from '../../runner/runner.ts'
import { planNamespace } from './plan.ts'

/** Deletions under way at once. */
const BATCH = 500

export class NamespaceReconciler implements Reconciler {
  readonly name = 'namespace'
  readonly concurrency = 4
  readonly watches
  readonly #parts: ReconcileParts
  readonly #context: WriteContext

  constructor(parts: ReconcileParts) {
    this.#parts = parts
    this.#context = writeContext(parts, this.name)
    this.watches = [
      watchSource('Namespace', (change) => (isDeleting(change.cached.object) ? [keyOf(change.cached.object)] : [])),
      watchAnyKind((change) => this.#terminating(change)),
    ]
  }

  async reconcile(key: string): Promise<undefined> {
    const { name } = splitKey(key)
    const { informer, clock } = this.#parts
    const shown = informer.lister('Namespace').get('', name)
    if (shown === undefined) return this.#gone(name)
    if (!isDeleting(shown)) return undefined
    await this.#parts.caughtUp() // what was made before the deletion began is to be seen
    const namespace = informer.lister('Namespace').get('', name)
    if (namespace === undefined) return this.#gone(name)
    const plan = planNamespace(namespace, this.#contents(name), clock.now())
    if (plan === undefined) return undefined
    const failures = await this.#remove(plan.remove)
    await this.#writeStatus(namespace, plan.status(failures.map((failure) => GantryError.from(failure).message)))
    if (failures[0] !== undefined) throw failures[0]
    if (!plan.empty) return undefined
    try {
      await this.#parts.endEvents?.(name)
    } catch (thrown) {
      // Events are news: that they cannot be reached does not hold a namespace. They are ended once it is gone.
      this.#parts.logger.info(
        { error: GantryError.from(thrown).message, namespace: name },
        'the events of a namespace cannot be ended yet',
      )
    }
    await this.#release(namespace)
    return undefined
  }

  /** What was told while it went is not to be found in the next namespace of that name. */
  async #gone(name: string): Promise<undefined> {
    await this.#parts.endEvents?.(name)
    return undefined
  }

  /** Something came into or left a namespace that is being deleted. */
  #terminating({ type, cached, previous }: Change): string[] {
    const { namespace } = cached.object.metadata
    if (namespace === '') return []
    if (type === 'modified' && sameJson(cached.object.metadata.finalizers, previous?.object.metadata.finalizers))
      return []
    return this.#parts.informer.lister('Namespace').get('', namespace)?.metadata.deletionTimestamp === undefined
      ? []
      : [makeKey('', namespace)]
  }

  #contents(name: string): AnyResource[] {
    return this.#parts.informer.kinds
      .kinds()
      .filter((kind) => resourceOf(kind).namespaced)
      .flatMap((kind) => this.#parts.informer.lister(kind).list(name) as AnyResource[])
  }

  async #remove(objects: readonly AnyResource[]): Promise<unknown[]> {
    const failures: unknown[] = []
    for (let at = 0; at < objects.length; at += BATCH) {
      const results = await Promise.allSettled(
        objects
          .slice(at, at + BATCH)
          .map(({ kind, metadata: { namespace, name, uid } }) =>
            this.#parts.api.delete(kind, namespace, name, { uid, propagation: 'BACKGROUND' }, this.#context),
          ),
      )
      for (const result of results)
        if (result.status === 'rejected' && !GantryError.is(result.reason, 'NotFound')) failures.push(result.reason)
    }
    return failures
  }

  async #writeStatus(namespace: Namespace, status: NamespaceStatus): Promise<void> {
    if (sameJson(status, namespace.status)) return
    const { name, uid } = namespace.metadata
    await this.#parts.api.mutate(
      'Namespace',
      '',
      name,
      'status',
      (stored) => {
        if (stored.metadata.uid !== uid) return false
        stored.status = status
        return undefined
      },
      this.#context,
    )
  }

  async #release(namespace: Namespace): Promise<void> {
    const { name, uid } = namespace.metadata
    await this.#parts.api.mutate(
      'Namespace',
      '',
      name,
      '',
      (stored) => {
        if (stored.metadata.uid !== uid || stored.spec.finalizers?.includes(NAMESPACE_FINALIZER) !== true) return false
        stored.spec.finalizers = stored.spec.finalizers.filter((finalizer) => finalizer !== NAMESPACE_FINALIZER)
        return undefined
      },
      this.#context,
    )
  }
}
