/**
 * Taints nodes that are not heard from, and holds the brake. One key stands for all nodes: the brake is about them
 * together.
 */
import { formatTime } from '../../proto/base/time.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { sameJson } from '../../proto/base/json.ts'
import type { Node } from '../../proto/gen/types.ts'
import type { WriteContext } from '../api/contract.ts'
import { healthOf } from './health.ts'
import { withCondition, withoutCondition } from '../../proto/objects/conditions.ts'
import { watchSource, writeContext, type Reconciler, type ReconcileParts } from '../runner/runner.ts'
import { EVICTION_HELD, heldOf, isConfirmed, LOST_ANNOTATION, type DisruptionState } from './disruption-state.ts'
import { heldCondition, planNodeHealth, withTaints, type NodeTaintPlan } from './plan.ts'

const ALL = '/nodes'
const COMPONENT = 'node-health-controller'

export class NodeHealthReconciler implements Reconciler {
  readonly name = 'nodehealth'
  readonly concurrency = 1
  readonly watches
  readonly #parts: ReconcileParts
  readonly #context: WriteContext
  #brake: DisruptionState['is'] = 'off'

  constructor(parts: ReconcileParts) {
    this.#parts = parts
    this.#context = writeContext(parts, 'node-health')
    this.watches = [
      watchSource('Node', ({ type, cached, previous }) =>
        type === 'modified' && sameJson(looks(cached.object), looks(previous!.object)) ? [] : [ALL],
      ),
    ]
  }

  async reconcile(): Promise<number | undefined> {
    const { informer, clock, logger } = this.#parts
    const { brake, verdicts } = planNodeHealth(informer.lister('Node').list(), clock.now())
    if (brake.is !== this.#brake)
      logger.warn(
        { ...brake },
        brake.is === 'held' ? 'too many nodes are silent: no pods are evicted' : 'pods of lost nodes are evicted again',
      )
    this.#brake = brake.is
    const results = await Promise.allSettled(verdicts.map((verdict) => this.#apply(verdict)))
    const failure = results.find((result) => result.status === 'rejected')
    if (failure !== undefined) throw failure.reason
    return brake.is === 'held' && brake.reason === 'NodesReturning' ? brake.millis : undefined
  }

  /** A node that is gone, or has changed since it was judged, is left to the pass that follows from that. */
  async #apply(verdict: NodeTaintPlan): Promise<void> {
    try {
      // What holds eviction back is said before it is lifted, and unsaid after.
      if (verdict.held !== undefined) await this.#writeHeld(verdict)
      await this.#writeTaints(verdict)
      if (verdict.held === undefined) await this.#writeHeld(verdict)
    } catch (thrown) {
      if (!GantryError.is(thrown, 'NotFound')) throw thrown
    }
  }

  async #writeTaints({
    node: {
      metadata: { name, uid },
    },
    health,
    taints,
  }: NodeTaintPlan): Promise<void> {
    await this.#parts.api.mutate(
      'Node',
      '',
      name,
      '',
      (node) => {
        if (node.metadata.uid !== uid || healthOf(node).is !== health) return false
        const wanted = withTaints(node.spec.taints, taints)
        const unsay = health === 'ready' && isConfirmed(node)
        if (wanted === node.spec.taints && !unsay) return false
        node.spec.taints = wanted
        if (unsay) delete node.metadata.annotations![LOST_ANNOTATION]
        return undefined
      },
      this.#context,
    )
  }

  async #writeHeld({
    node: {
      metadata: { name, uid },
    },
    health,
    held,
  }: NodeTaintPlan): Promise<void> {
    const { api, clock, events } = this.#parts
    let before: string | undefined
    let changed = false
    const written = await api.mutate(
      'Node',
      '',
      name,
      'status',
      (node) => {
        before = heldOf(node)?.reason
        changed = node.metadata.uid === uid && healthOf(node).is === health && before !== held?.reason
        if (!changed) return false
        node.status.conditions =
          held === undefined
            ? withoutCondition(node.status.conditions, EVICTION_HELD)
            : withCondition(node.status.conditions, heldCondition(node.metadata, held, formatTime(clock.now())))
        return undefined
      },
      this.#context,
    )
    if (!changed) return
    if (held === undefined)
      events.record({
        regarding: written,
        type: 'Normal',
        reason: 'EvictionResumed',
        message:
          health === 'lost'
            ? 'its pods are evicted now: enough nodes are back, or the loss is confirmed'
            : 'the node is back',
        component: COMPONENT,
      })
    else if (before === undefined)
      events.record({
        regarding: written,
        type: 'Warning',
        reason: EVICTION_HELD,
        message: `${held.vanished} of ${held.living} nodes are silent; ${heldOf(written)!.message}`,
        component: COMPONENT,
      })
  }
}

/** All that a verdict depends on: agents report of other things often. */
function looks(node: Node): unknown {
  return [healthOf(node).is, node.spec.taints, isConfirmed(node), heldOf(node)?.reason]
}
