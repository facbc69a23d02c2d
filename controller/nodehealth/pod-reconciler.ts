/** Says in the status of pods that their node is not heard from, and takes it back when it is. Keys are node names. */
import { GantryError } from '../../proto/base/errors.ts'
import type { Node, Pod } from '../../proto/gen/types.ts'
import type { WriteContext } from '../api/contract.ts'
import { healthOf, type Health } from './health.ts'
import { makeKey, splitKey } from '../runner/key.ts'
import { isBound } from '../../proto/objects/pod.ts'
import { watchSource, writeContext, type Reconciler, type ReconcileParts } from '../runner/runner.ts'
import { podStatusForNodeHealth } from './pod-node-status.ts'

export class PodHealthReconciler implements Reconciler {
  readonly name = 'podhealth'
  readonly concurrency = 4
  readonly watches
  readonly #parts: ReconcileParts
  readonly #context: WriteContext

  constructor(parts: ReconcileParts) {
    this.#parts = parts
    this.#context = writeContext(parts, 'node-health')
    this.watches = [
      watchSource('Node', ({ type, cached, previous }) =>
        type === 'modified' && healthOf(cached.object).is === healthOf(previous!.object as Node).is
          ? []
          : [makeKey('', cached.object.metadata.name)],
      ),
      watchSource('Pod', ({ type, cached: { object: pod } }) =>
        type !== 'deleted' &&
        isBound(pod) &&
        podStatusForNodeHealth(pod, this.#health(pod.spec.nodeName!)) !== undefined
          ? [makeKey('', pod.spec.nodeName!)]
          : [],
      ),
    ]
  }

  async reconcile(key: string): Promise<undefined> {
    const { name } = splitKey(key)
    const health = this.#health(name)
    const pods = this.#parts.informer
      .lister('Pod')
      .byIndex('node', name)
      .filter((pod) => podStatusForNodeHealth(pod, health) !== undefined)
    const results = await Promise.allSettled(pods.map((pod) => this.#write(pod, health)))
    const failure = results.find((result) => result.status === 'rejected')
    if (failure !== undefined) throw failure.reason
    return undefined
  }

  /** A node whose object is gone says nothing of its pods: they are collected. */
  #health(node: string): Health {
    const object = this.#parts.informer.lister('Node').get('', node)
    return object === undefined ? { is: 'unknown' } : healthOf(object)
  }

  async #write({ metadata: { namespace, name, uid } }: Pod, health: Health): Promise<void> {
    try {
      await this.#parts.api.mutate(
        'Pod',
        namespace,
        name,
        'status',
        (pod) => {
          const status = pod.metadata.uid === uid ? podStatusForNodeHealth(pod, health) : undefined
          if (status === undefined) return false
          pod.status = status
          return undefined
        },
        this.#context,
      )
    } catch (thrown) {
      if (!GantryError.is(thrown, 'NotFound')) throw thrown // gone with its mark
    }
  }
}
