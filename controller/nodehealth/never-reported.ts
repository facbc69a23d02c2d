/**
 * Tells of nodes that somebody has made and no agent has ever reported that nothing is known of them.
 * https://kubernetes.io/docs/reference/node/node-status/#condition
 */
import { GantryError } from '../../proto/base/errors.ts'
import { formatTime, parseTime } from '../../proto/base/time.ts'
import type { Node, NodeCondition } from '../../proto/gen/types.ts'
import type { WriteContext } from '../api/contract.ts'
import { withConditions } from '../../proto/objects/conditions.ts'
import { readyOf } from './health.ts'
import { keyOf, splitKey } from '../runner/key.ts'
import { watchSource, writeContext, type Reconciler, type ReconcileParts } from '../runner/runner.ts'

/** Milliseconds that a new node is given to report, as Kubernetes' --node-startup-grace-period. */
const STARTUP_GRACE = 60_000
const CONDITIONS = ['Ready', 'MemoryPressure', 'DiskPressure', 'PIDPressure'] as const

export class NeverReportedNodes implements Reconciler {
  readonly name = 'neverreported'
  readonly concurrency = 4
  readonly watches
  readonly #parts: ReconcileParts
  readonly #context: WriteContext

  constructor(parts: ReconcileParts) {
    this.#parts = parts
    this.#context = writeContext(parts, 'node-health')
    this.watches = [
      watchSource('Node', ({ type, cached: { object } }) =>
        type === 'deleted' || readyOf(object.status) !== undefined ? [] : [keyOf(object)],
      ),
    ]
  }

  async reconcile(key: string): Promise<number | undefined> {
    const { informer, api, clock } = this.#parts
    const { name } = splitKey(key)
    const node = informer.lister('Node').get('', name)
    if (node === undefined || readyOf(node.status) !== undefined) return undefined
    const left = STARTUP_GRACE - (clock.now() - createdAt(node))
    if (left > 0) return left
    try {
      await api.mutate(
        'Node',
        '',
        name,
        'status',
        (stored) => {
          if (stored.metadata.uid !== node.metadata.uid || readyOf(stored.status) !== undefined) return false
          stored.status.conditions = withConditions(stored.status.conditions, neverReported(stored, clock.now()))
          return undefined
        },
        this.#context,
      )
    } catch (thrown) {
      if (!GantryError.is(thrown, 'NotFound')) throw thrown
    }
    return undefined
  }
}

/** Reason and message are those of Kubernetes. */
function neverReported(node: Node, now: number): NodeCondition[] {
  return CONDITIONS.map((type) => ({
    type,
    status: 'Unknown',
    reason: 'NodeStatusNeverUpdated',
    message: 'Kubelet never posted node status.',
    lastHeartbeatTime: node.metadata.creationTimestamp ?? formatTime(now),
    lastTransitionTime: formatTime(now),
  }))
}

function createdAt({ metadata: { creationTimestamp } }: Node): number {
  return creationTimestamp === undefined ? 0 : parseTime(creationTimestamp)
}
