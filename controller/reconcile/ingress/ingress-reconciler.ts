/**
 * Says in an Ingress where it is reached: at the ready nodes of the entrance; where there is none, an event says so.
 * Keys are Ingresses.
 */
import { entranceNodes, NO_ENTRANCE, servesIngress } from '../../../proto/objects/ingress/classes.ts'
import { sameJson } from '../../../proto/base/json.ts'
import type { Ingress, IngressStatus } from '../../../proto/gen/types.ts'
import type { WriteContext } from '../../api/contract.ts'
import { keyOf, splitKey } from '../key.ts'
import { input, writeContext, type Reconciler, type ReconcileParts } from '../runner.ts'
import { entranceAddresses } from './addresses.ts'
import { entranceNodesInput } from './ingress-nodes.ts'

export class IngressStatusReconciler implements Reconciler {
  readonly name = 'ingress-status'
  readonly concurrency = 4
  readonly inputs
  readonly #parts: ReconcileParts
  readonly #context: WriteContext
  /** Uids of Ingresses that have been told that there is no entrance, by key. */
  readonly #told = new Map<string, string>()

  constructor(parts: ReconcileParts) {
    this.#parts = parts
    this.#context = writeContext(parts, this.name)
    const all = (): string[] => parts.informer.lister('Ingress').list().map(keyOf)
    this.inputs = [
      input('Ingress', ({ cached }) => [keyOf(cached.object)]),
      input('IngressClass', all),
      entranceNodesInput(all),
    ]
  }

  async reconcile(key: string): Promise<undefined> {
    const { namespace, name } = splitKey(key)
    const { informer, api } = this.#parts
    const ingress = informer.lister('Ingress').get(namespace, name)
    if (
      ingress === undefined ||
      ingress.metadata.deletionTimestamp !== undefined ||
      !servesIngress(ingress, informer.lister('IngressClass').list())
    ) {
      this.#told.delete(key)
      return undefined
    }
    const nodes = informer.lister('Node').list()
    this.#tell(key, ingress, entranceNodes(nodes).length > 0)
    const addresses = entranceAddresses(nodes)
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
  /** An Ingress has no conditions. Once for each Ingress, and again when the last entrance goes. */
  #tell(key: string, ingress: Ingress, hasEntrance: boolean): void {
    if (hasEntrance) return void this.#told.delete(key)
    if (this.#told.get(key) === ingress.metadata.uid) return
    this.#told.set(key, ingress.metadata.uid)
    this.#parts.events.record({
      regarding: ingress,
      type: 'Warning',
      reason: 'NoEntrance',
      message: NO_ENTRANCE,
      component: this.#context.fieldManager,
    })
  }
}
