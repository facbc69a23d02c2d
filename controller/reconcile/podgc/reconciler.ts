/** Deletes pods bound to a node whose object no longer exists: no agent is left to end them. Keys are node names. */
import { GantryError } from '../../../proto/base/errors.ts'
import type { Pod } from '../../../proto/gen/types.ts'
import type { WriteContext } from '../../api/contract.ts'
import { makeKey, splitKey } from '../../runner/key.ts'
import { watchSource, writeContext, type Reconciler, type ReconcileParts } from '../../runner/runner.ts'
import { planPodCollection } from './plan.ts'

export class PodCollector implements Reconciler {
  readonly name = 'podgc'
  readonly concurrency = 4
  readonly watches
  readonly #parts: ReconcileParts
  readonly #context: WriteContext
  /** Node name → when it was first missed, by the monotonic clock. */
  readonly #missed = new Map<string, number>()

  constructor(parts: ReconcileParts) {
    this.#parts = parts
    this.#context = writeContext(parts, this.name)
    this.watches = [
      watchSource('Node', (change) => [makeKey('', change.cached.object.metadata.name)]),
      watchSource('Pod', ({ cached: { object } }) => {
        const { nodeName = '' } = object.spec
        return nodeName === '' || parts.informer.lister('Node').get('', nodeName) !== undefined
          ? []
          : [makeKey('', nodeName)]
      }),
    ]
  }

  async reconcile(key: string): Promise<number | undefined> {
    const { name } = splitKey(key)
    const { informer, clock } = this.#parts
    const pods = informer.lister('Pod').byIndex('node', name)
    if (pods.length === 0 || (await this.#exists(name))) {
      this.#missed.delete(name)
      return undefined
    }
    const since = this.#missed.get(name) ?? clock.monotonic()
    this.#missed.set(name, since)
    const plan = planPodCollection(pods, clock.monotonic() - since)
    if (plan.kind === 'wait') return plan.millis
    await Promise.all(plan.pods.map((pod) => this.#delete(pod)))
    return undefined
  }

  async #exists(node: string): Promise<boolean> {
    if (this.#parts.informer.lister('Node').get('', node) !== undefined) return true
    try {
      await this.#parts.api.get('Node', '', node)
      return true
    } catch (thrown) {
      if (GantryError.is(thrown, 'NotFound')) return false
      throw thrown
    }
  }

  async #delete(pod: Pod): Promise<void> {
    const { namespace, name, uid } = pod.metadata
    try {
      await this.#parts.api.delete('Pod', namespace, name, { uid, gracePeriodSeconds: 0 }, this.#context)
    } catch (thrown) {
      if (GantryError.is(thrown, 'NotFound', 'Conflict')) return // gone already
      throw thrown
    }
    this.#parts.events.record({
      regarding: pod,
      type: 'Warning',
      reason: 'NodeGone',
      message: `Node ${pod.spec.nodeName} no longer exists`,
      component: 'pod-garbage-collector',
    })
  }
}
