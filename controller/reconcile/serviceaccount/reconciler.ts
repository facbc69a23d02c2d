/**
 * Keeps in every namespace what belongs there: the ServiceAccount default and the certificate authority (see
 * controller/accounts).
 */
import { DEFAULT_SERVICE_ACCOUNT } from '../../../proto/objects/pod-references.ts'
import { isDeleting } from '../../../proto/objects/deletion.ts'
import { ROOT_CA, NamespaceDefaults } from '../../accounts/namespace-defaults.ts'
import type { WriteContext } from '../../api/contract.ts'
import { watchSource, writeContext, type Reconciler, type ReconcileParts } from '../../runner/runner.ts'

export class ServiceAccountReconciler implements Reconciler {
  readonly name = 'serviceaccount'
  readonly concurrency = 4
  readonly watches
  readonly #parts: ReconcileParts
  readonly #context: WriteContext
  readonly #contents: NamespaceDefaults

  constructor(parts: ReconcileParts) {
    this.#parts = parts
    this.#context = writeContext(parts, this.name)
    this.#contents = new NamespaceDefaults(parts)
    this.watches = [
      watchSource('Namespace', ({ type, cached: { object } }) => (type === 'deleted' ? [] : [object.metadata.name])),
      watchSource('ServiceAccount', ({ type, cached: { object } }) =>
        type === 'deleted' && object.metadata.name === DEFAULT_SERVICE_ACCOUNT ? [object.metadata.namespace] : [],
      ),
      watchSource('ConfigMap', ({ cached: { object } }) =>
        object.metadata.name === ROOT_CA ? [object.metadata.namespace] : [],
      ),
    ]
  }

  async reconcile(namespace: string): Promise<undefined> {
    const stored = this.#parts.informer.lister('Namespace').get('', namespace)
    if (stored === undefined || isDeleting(stored)) return undefined
    await this.#contents.make(namespace, this.#context)
    await this.#contents.repair(namespace, this.#context)
    return undefined
  }
}
