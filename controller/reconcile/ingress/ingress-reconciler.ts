/**
 * Says in an Ingress where it is reached: at the ready ingress nodes; where there is none, an event says so.
 * Keys are Ingresses.
 */
import { ingressNodes, NO_INGRESS_NODE_MESSAGE, servesIngress } from '../../../proto/objects/ingress/classes.ts'
import { sameJson } from '../../../proto/base/json.ts'
import { isDeleting } from '../../../proto/objects/deletion.ts'
import type { Ingress, IngressStatus } from '../../../proto/gen/types.ts'
import type { WriteContext } from '../../api/contract.ts'
import { keyOf, splitKey } from '../../runner/key.ts'
import { watchSource, writeContext, type Reconciler, type ReconcileParts } from '../../runner/runner.ts'
import { ingressAddresses } from './addresses.ts'
import { ingressNodesWatch } from './ingress-nodes.ts'

export class IngressStatusReconciler implements Reconciler {
  readonly name = 'ingress-status'
  readonly concurrency = 4
  readonly watches
  readonly #parts: ReconcileParts
  readonly #context: WriteContext
  /** Uids of Ingresses that have been told that there is no ingress node, by key. */
  readonly #lastEvents = new Map<string, string>()

  constructor(parts: ReconcileParts) {
    this.#parts = parts
    this.#context = writeContext(parts, this.name)
    const all = (): string[] => parts.informer.lister('Ingress').list().map(keyOf)
    this.watches = [
      watchSource('Ingress', ({ cached }) => [keyOf(cached.object)]),
      watchSource('IngressClass', all),
      ingressNodesWatch(all),
    ]
  }

  async reconcile(key: string): Promise<undefined> {
    const { namespace, name } = splitKey(key)
    const { informer, api } = this.#parts
    const ingress = informer.lister('Ingress').get(namespace, name)
    if (
      ingress === undefined ||
      isDeleting(ingress) ||
      !servesIngress(ingress, informer.lister('IngressClass').list())
    ) {
      this.#lastEvents.delete(key)
      return undefined
    }
    const nodes = informer.lister('Node').list()
    this.#recordEvent(key, ingress, ingressNodes(nodes).length > 0)
    const addresses = ingressAddresses(nodes)
    const status: IngressStatus = {
      loadBalancer: addresses.length === 0 ? {} : { ingress: addresses.map((ip) => ({ ip })) },
    }
    if (sameJson(status, { loadBalancer: {}, ...ingress.status })) return undefined
    await api.mutate(
      'Ingress',
      namespace,
      name,
      'status',
      (stored) => {
        if (stored.metadata.uid !== ingress.metadata.uid) return false
        stored.status = status
        return undefined
      },
      this.#context,
    )
    return undefined
  }
  /** An Ingress has no conditions. Once for each Ingress, and again when the last ingress node goes. */
  #recordEvent(key: string, ingress: Ingress, hasIngressNodes: boolean): void {
    if (hasIngressNodes) return void this.#lastEvents.delete(key)
    if (this.#lastEvents.get(key) === ingress.metadata.uid) return
    this.#lastEvents.set(key, ingress.metadata.uid)
    this.#parts.events.record({
      regarding: ingress,
      type: 'Warning',
      reason: 'NoEntrance',
      message: NO_INGRESS_NODE_MESSAGE,
      component: this.#context.fieldManager,
    })
  }
}
