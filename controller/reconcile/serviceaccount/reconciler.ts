/**
 * Keeps in every namespace what belongs there: the ServiceAccount default and the certificate authority (see
 * controller/accounts).
 */
import { ROOT_CA, DEFAULT_ACCOUNT, NamespaceContents } from '../../accounts/namespace-contents.ts'
import type { WriteContext } from '../../api/contract.ts'
import { input, writeContext, type Reconciler, type ReconcileParts } from '../runner.ts'

export class ServiceAccountReconciler implements Reconciler {
  readonly name = 'serviceaccount'
  readonly concurrency = 4
  readonly inputs
  readonly #parts: ReconcileParts
  readonly #context: WriteContext
  readonly #contents: NamespaceContents

  constructor(parts: ReconcileParts) {
    this.#parts = parts
    this.#context = writeContext(parts, this.name)
    this.#contents = new NamespaceContents(parts)
    this.inputs = [
      input('Namespace', ({ type, cached: { object } }) => (type === 'deleted' ? [] : [object.metadata.name])),
      input('ServiceAccount', ({ type, cached: { object } }) =>
        type === 'deleted' && object.metadata.name === DEFAULT_ACCOUNT ? [object.metadata.namespace] : [],
      ),
      input('ConfigMap', ({ cached: { object } }) =>
        object.metadata.name === ROOT_CA ? [object.metadata.namespace] : [],
      ),
    ]
  }

  async reconcile(namespace: string): Promise<undefined> {
    const stored = this.#parts.informer.lister('Namespace').get('', namespace)
    if (stored === undefined || stored.metadata.deletionTimestamp !== undefined) return undefined
    await this.#contents.make(namespace, this.#context)
    await this.#contents.mend(namespace, this.#context)
    return undefined
  }
}
