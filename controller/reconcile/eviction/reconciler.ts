/** Deletes pods from nodes with a NoExecute taint that they do not tolerate, or no longer. Keys are pods. */
import { GantryError } from '../../../proto/base/errors.ts'
import { sameJson } from '../../../proto/base/json.ts'
import type { Pod, Taint } from '../../../proto/gen/types.ts'
import type { WriteContext } from '../../api/contract.ts'
import { formatTaint } from '../../../proto/objects/taints.ts'
import { controllerOf } from '../../../proto/objects/owners.ts'
import { keyOf, splitKey } from '../../runner/key.ts'
import { isBound } from '../../../proto/objects/pod.ts'
import { watchSource, writeContext, type Reconciler, type ReconcileParts } from '../../runner/runner.ts'
import { noExecuteTaints, planEviction } from './plan.ts'

export class TaintEvictor implements Reconciler {
  readonly name = 'eviction'
  readonly concurrency = 16
  readonly watches
  readonly #parts: ReconcileParts
  readonly #context: WriteContext

  constructor(parts: ReconcileParts) {
    this.#parts = parts
    this.#context = writeContext(parts, this.name)
    this.watches = [
      watchSource('Node', ({ type, cached: { object: node }, previous }) => {
        if (type === 'deleted') return []
        const taints = noExecuteTaints(node)
        if (taints.length === 0 || sameJson(taints, noExecuteTaints(previous?.object))) return []
        return parts.informer.lister('Pod').byIndex('node', node.metadata.name).map(keyOf)
      }),
      watchSource('Pod', ({ type, cached: { object: pod } }) =>
        type !== 'deleted' && this.#taints(pod).length > 0 ? [keyOf(pod)] : [],
      ),
    ]
  }

  async reconcile(key: string): Promise<number | undefined> {
    const { namespace, name } = splitKey(key)
    const { informer, clock } = this.#parts
    const pod = informer.lister('Pod').get(namespace, name)
    if (pod === undefined) return undefined
    const plan = planEviction(pod, this.#taints(pod), clock.now())
    switch (plan.kind) {
      case 'stay':
        return undefined
      case 'wait':
        return plan.millis
      case 'evict':
        await this.#evict(pod, plan.taint)
        return undefined
    }
  }

  #taints(pod: Pod): Taint[] {
    return isBound(pod) ? noExecuteTaints(this.#parts.informer.lister('Node').get('', pod.spec.nodeName!)) : []
  }

  async #evict(pod: Pod, taint: Taint): Promise<void> {
    const { namespace, name, uid } = pod.metadata
    try {
      await this.#parts.api.delete('Pod', namespace, name, { uid }, this.#context)
    } catch (thrown) {
      if (GantryError.is(thrown, 'NotFound')) return // gone already
      throw thrown
    }
    const alone = controllerOf(pod) === undefined ? '; it has no controller that would replace it' : ''
    this.#parts.events.record({
      regarding: pod,
      type: 'Normal',
      reason: 'TaintManagerEviction',
      message: `Evicted from node ${pod.spec.nodeName}, which is tainted ${formatTaint(taint)}${alone}`,
      component: 'taint-eviction-controller',
    })
  }
}
