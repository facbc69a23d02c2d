/** Says in an Ingress where it is reached: at the ready nodes of the entrance. Keys are Ingresses. */
import { servesIngress } from '../../../proto/api/entrance/classes.ts'
import { sameJson } from '../../../proto/api/shape.ts'
import type { IngressStatus } from '../../../proto/gen/types.ts'
import type { WriteContext } from '../../api/contract.ts'
import { keyOf, splitKey } from '../key.ts'
import { input, writeContext, type Reconciler, type ReconcileParts } from '../runner.ts'
import { entranceAddresses } from './addresses.ts'
import { entranceNodesInput } from './entrance-nodes.ts'

export class IngressStatusReconciler implements Reconciler {
  readonly name = 'ingress-status'
  readonly concurrency = 4
  readonly inputs
  readonly #parts: ReconcileParts
  readonly #context: WriteContext

  constructor(parts: ReconcileParts) {
    this.#parts = parts
    this.#context = writeContext(parts, this.name)
    const all = (): string[] => parts.informer.lister('Ingress').list().map(keyOf)
    this.inputs = [input('Ingress', ({ cached }) => [keyOf(cached.object)]), input('IngressClass', all), entranceNodesInput(all)]
  }

  async reconcile(key: string): Promise<undefined> {
    const { namespace, name } = splitKey(key)
    const { informer, api } = this.#parts
    const ingress = informer.lister('Ingress').get(namespace, name)
    if (ingress === undefined || ingress.metadata.deletionTimestamp !== undefined || !servesIngress(ingress, informer.lister('IngressClass').list())) return undefined
    const addresses = entranceAddresses(informer.lister('Node').list())
    const status: IngressStatus = { loadBalancer: addresses.length === 0 ? {} : { ingress: addresses.map((ip) => ({ ip })) } }
    if (sameJson(status, { loadBalancer: {}, ...ingress.status })) return undefined
    await api.mutate('Ingress', namespace, name, 'status', (stored) => {
      if (stored.metadata.uid !== ingress.metadata.uid) return false
      stored.status = status
      return undefined
    }, this.#context)
    return undefined
  }
}
