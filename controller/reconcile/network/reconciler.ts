/** Gives Networks their ranges, numbers and parts for nodes. Keys are Networks. */
import { podNetworks } from '../../../proto/objects/pod-networks.ts'
import { sameJson } from '../../../proto/base/json.ts'
import { formatTime } from '../../../proto/base/time.ts'
import type { Network, Pod } from '../../../proto/gen/types.ts'
import type { WriteContext } from '../../api/contract.ts'
import { withCondition } from '../../../proto/objects/conditions.ts'
import { keyOf, makeKey, splitKey } from '../../runner/key.ts'
import { isBound } from '../../../proto/objects/pod.ts'
import { isDeleting, hasFinalizer, withFinalizer, withoutFinalizer } from '../../../proto/objects/deletion.ts'
import { watchSource, writeContext, type Reconciler, type ReconcileParts } from '../../runner/runner.ts'
import { planNetwork } from './plan.ts'

/** Keeps a Network until the last pod on it has gone. */
const IN_USE_FINALIZER = 'gantry.dev/network-in-use'

export class NetworkReconciler implements Reconciler {
  readonly name = 'network'
  /** What one Network is given must be seen when the next one is given something. */
  readonly concurrency = 1
  readonly watches
  readonly #parts: ReconcileParts
  readonly #context: WriteContext
  /** Uids of Networks whose record this leader has seen to. */
  readonly #recorded = new Set<string>()

  constructor(parts: ReconcileParts) {
    this.#parts = parts
    this.#context = writeContext(parts, 'network')
    this.watches = [
      watchSource('Network', ({ type, cached: { object } }) => {
        if (type === 'deleted') this.#recorded.delete(object.metadata.uid)
        return type === 'deleted' ? [] : [keyOf(object)]
      }),
      watchSource('Pod', ({ type, cached: { object }, previous }) =>
        isBound(object) && (type !== 'modified' || previous === undefined || !isBound(previous.object))
          ? networksOf(object)
          : [],
      ),
    ]
  }

  async reconcile(key: string): Promise<undefined> {
    const { api, informer, clock, caughtUp, clusterRanges } = this.#parts
    const { namespace, name } = splitKey(key)
    await caughtUp()
    const network = informer.lister('Network').get(namespace, name)
    if (network === undefined) return
    const users = informer
      .lister('Pod')
      .list(namespace)
      .filter((pod) => isBound(pod) && networksOf(pod).includes(key))
    const leaving = isDeleting(network)
    if (leaving || !hasFinalizer(network, IN_USE_FINALIZER)) await this.#hold(network, leaving, users)
    if (leaving) return
    const pods = new Map<string, number>()
    for (const {
      spec: { nodeName },
    } of users)
      pods.set(nodeName!, (pods.get(nodeName!) ?? 0) + 1)
    const others = informer
      .lister('Network')
      .list()
      .filter(({ metadata: { uid } }) => uid !== network.metadata.uid)
    const status = planNetwork({ network, others, pods, taken: clusterRanges }, clock.now())
    // Once a term also where nothing changes: the write sees to the record, and mends a status that strayed from it.
    const { uid } = network.metadata
    if (sameJson(status, network.status) && this.#recorded.has(uid)) return
    await api.mutate('Network', namespace, name, 'status', (object) => void (object.status = status), this.#context)
    this.#recorded.add(uid)
  }

  /** A Network that is to go stays while pods are on it, and says so. */
  async #hold({ metadata: { namespace, name } }: Network, leaving: boolean, users: readonly Pod[]): Promise<void> {
    const { api, clock } = this.#parts
    if (leaving && users.length > 0) {
      const message = `is kept until these pods have gone: ${users
        .map((pod) => pod.metadata.name)
        .sort()
        .join(', ')}`
      await api.mutate(
        'Network',
        namespace,
        name,
        'status',
        ({ metadata: { generation }, status }) => {
          status.conditions = withCondition(status.conditions, {
            type: 'Ready',
            status: 'False',
            observedGeneration: generation,
            reason: 'InUse',
            message,
            lastTransitionTime: formatTime(clock.now()),
          })
        },
        this.#context,
      )
      return
    }
    await api.mutate(
      'Network',
      namespace,
      name,
      '',
      ({ metadata }) => {
        metadata.finalizers = leaving
          ? withoutFinalizer({ metadata }, IN_USE_FINALIZER)
          : withFinalizer({ metadata }, IN_USE_FINALIZER)
      },
      this.#context,
    )
  }
}

/** Keys of the Networks that a pod asks for. */
function networksOf({ metadata }: Pod): string[] {
  return metadata.annotations === undefined
    ? []
    : podNetworks(metadata).further.map(({ network }) => makeKey(metadata.namespace, network))
}
