/** Makes the built-in classes, and accepts GatewayClasses of Gantry's own controller. Keys are names of classes. */
import { GantryError } from '../../../proto/base/errors.ts'
import { INGRESS_CLASS_NAME, INGRESS_CONTROLLER_NAME } from '../../../proto/objects/ingress/classes.ts'
import { sameJson } from '../../../proto/base/json.ts'
import type { WriteContext } from '../../api/contract.ts'
import { keyOf, makeKey, splitKey } from '../../runner/key.ts'
import { watchSource, writeContext, type Reconciler, type ReconcileParts } from '../../runner/runner.ts'
import { applyConditions } from './conditions.ts'

export class IngressClassReconciler implements Reconciler {
  readonly name = 'entrance-classes'
  readonly concurrency = 1
  readonly watches
  readonly #parts: ReconcileParts
  readonly #context: WriteContext

  constructor(parts: ReconcileParts) {
    this.#parts = parts
    this.#context = writeContext(parts, this.name)
    this.watches = [
      watchSource('IngressClass', ({ cached }) => [keyOf(cached.object)]),
      watchSource('GatewayClass', ({ cached }) => [keyOf(cached.object)]),
    ]
  }

  /** Where there are no classes at all, no change tells of it. */
  wake(add: (key: string) => void): () => void {
    add(makeKey('', INGRESS_CLASS_NAME))
    return () => undefined
  }

  async reconcile(key: string): Promise<undefined> {
    const { name } = splitKey(key)
    const { informer } = this.#parts
    if (name === INGRESS_CLASS_NAME) {
      if (informer.lister('IngressClass').get('', name) === undefined)
        await this.#create({ kind: 'IngressClass', metadata: { name }, spec: { controller: INGRESS_CONTROLLER_NAME } })
      if (informer.lister('GatewayClass').get('', name) === undefined)
        await this.#create({
          kind: 'GatewayClass',
          metadata: { name },
          spec: { controllerName: INGRESS_CONTROLLER_NAME, description: 'Served by the nodes that are an entrance' },
        })
    }
    await this.#accept(name)
    return undefined
  }

  async #create(draft: {
    kind: 'IngressClass' | 'GatewayClass'
    metadata: { name: string }
    spec: object
  }): Promise<void> {
    try {
      await this.#parts.api.create(draft, this.#context)
    } catch (thrown) {
      if (!GantryError.is(thrown, 'AlreadyExists')) throw thrown
    }
  }

  async #accept(name: string): Promise<void> {
    const { informer, clock, api } = this.#parts
    const known = informer.lister('GatewayClass').get('', name)
    if (known === undefined || known.spec.controllerName !== INGRESS_CONTROLLER_NAME) return
    const { uid, generation } = known.metadata
    const status = {
      ...known.status,
      conditions: applyConditions(
        known.status.conditions,
        [{ type: 'Accepted', status: 'True', reason: 'Accepted', message: 'The entrance serves it' }],
        generation,
        clock.now(),
      ),
    }
    if (sameJson(status, known.status)) return
    await api.mutate(
      'GatewayClass',
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
}
