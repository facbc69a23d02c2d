/** The scheduler's work during one term. */
import { setImmediate } from 'node:timers/promises'
import { GantryError } from '../../proto/base/errors.ts'
import { formatTime } from '../../proto/base/time.ts'
import type { Timer } from '../../proto/base/clock.ts'
import { RunGroup } from '../../proto/base/run-group.ts'
import type { Node, Pod, PodCondition, Service } from '../../proto/gen/types.ts'
import type { WriteContext } from '../api/contract.ts'
import type { Change } from '../informer/contract.ts'
import type { Term } from '../store/contract.ts'
import { SchedulerCache } from './cache.ts'
import type { ClusterEvent, Plugins } from './framework.ts'
import { EquivalenceCache } from './equivalence-cache.ts'
import { refusedPlacement, type FittingPlacement, type Placement } from './placement.ts'
import { SchedulingQueue } from './scheduling-queue.ts'
import type { SchedulingDiagnostics } from './scheduling-diagnostics.ts'
import type { Clock } from '../../proto/base/clock.ts'
import type { Logger } from '../../proto/base/logger.ts'
import type { Random } from '../../proto/base/random.ts'
import { findCondition, sameCondition, withCondition } from '../../proto/objects/conditions.ts'
import { isActive, isBound, isTerminal } from '../../proto/objects/pod.ts'
import { isDeleting } from '../../proto/objects/deletion.ts'
import type { EventSink, ObjectApi } from '../api/contract.ts'
import type { Informer } from '../informer/contract.ts'

const COMPONENT = 'scheduler'
/** Pods placed in one turn: the event loop serves others in between. */
const BATCH = 100
/**
 * An assumption whose bind has succeeded but that the informer does not confirm: after this many milliseconds it is
 * doubted.
 */
const CONFIRM_MILLIS = 30_000

export interface SchedulingTermOptions extends SchedulerOptions {
  readonly plugins: Plugins
  readonly term: Term
  readonly verdicts: SchedulingDiagnostics
}

export class SchedulingTerm {
  readonly #options: SchedulingTermOptions
  readonly #context: WriteContext
  readonly #cache = new SchedulerCache()
  readonly #queue: SchedulingQueue
  /** By uid: doubts an assumption. */
  readonly #confirmations = new Map<string, Timer>()
  readonly #writes = new RunGroup()
  readonly #equivalence: EquivalenceCache

  constructor(options: SchedulingTermOptions) {
    this.#options = options
    this.#context = { fieldManager: COMPONENT, term: options.term }
    this.#queue = new SchedulingQueue(options.clock, options.random)
    this.#equivalence = new EquivalenceCache(this.#cache, options.plugins, options.random)
  }

  async run(signal: AbortSignal): Promise<void> {
    const { informer } = this.#options
    await informer.synced()
    if (signal.aborted) return
    const ends = [
      informer.on('Node', (change) => this.#nodeChanged(change)),
      informer.on('Pod', (change) => this.#podChanged(change)),
      informer.on('Service', (change) => this.#serviceChanged(change)),
    ]
    // A write that fails otherwise than by an answer of the API is a defect: it ends the scheduler.
    const end = AbortSignal.any([signal, this.#writes.signal])
    try {
      for (;;) {
        await this.#queue.ready(end)
        // Those who made the pods have their answers first, and what the turn brings besides is placed with them.
        await setImmediate()
        if (end.aborted) break
        for (const key of this.#queue.take(BATCH)) this.#schedule(key)
      }
    } finally {
      for (const unregister of ends) unregister()
      this.#queue.close()
      for (const timer of this.#confirmations.values()) timer.cancel()
      await this.#writes.wait()
    }
  }

  #nodeChanged({ type, cached: { object } }: Change<'Node'>): void {
    this.#happened(
      type === 'deleted' ? this.#cache.removeNode(object.metadata.name) : this.#cache.setNode(object as Node),
    )
  }

  /** Services say which pods are spread; no pod waits for one. */
  #serviceChanged({ type, cached: { object: service } }: Change<'Service'>): void {
    if (type === 'deleted') this.#cache.removeService(service)
    else this.#cache.setService(service as Service)
  }

  #podChanged({ type, cached: { object: pod }, previous }: Change<'Pod'>): void {
    const key = keyOf(pod)
    const { uid } = pod.metadata
    if (type === 'deleted') {
      this.#confirmed(uid)
      this.#options.verdicts.forget(uid)
      this.#queue.remove(key)
      this.#happened(this.#cache.removePod(uid))
      return
    }
    if (isBound(pod) || isTerminal(pod)) {
      this.#confirmed(uid)
      this.#queue.remove(key)
      this.#happened(this.#cache.setPod(pod))
      return
    }
    if (isDeleting(pod)) this.#queue.remove(key)
    else if (
      previous === undefined ||
      this.#queue.state(key) === undefined ||
      needsRescheduling(previous.object as Pod, pod)
    )
      this.#queue.add(key, pod.spec.priority ?? 0, pod.metadata.creationTimestamp ?? '')
  }

  #happened(event: ClusterEvent | undefined): void {
    if (event !== undefined) this.#queue.moveToActive(event)
  }

  /** Places one pod, and begins the writes that follow from it. */
  #schedule(key: string): void {
    const pod = this.#waiting(key)
    if (pod === undefined) return this.#queue.remove(key)
    const { verdicts, clock } = this.#options
    const placement = this.#equivalence.place(pod)
    const settled = placement.fits ? this.#reserve(pod, placement) : placement
    verdicts.record(pod.metadata.uid, settled, clock.now())
    if (settled.fits) {
      const node = settled.node.name
      this.#cache.assume(pod, node)
      this.#happened('pod-added')
      this.#writes.spawn(() => this.#bind(pod, node))
    } else {
      this.#queue.addUnschedulable(key, settled.helpedBy)
      this.#reportUnschedulable(pod, settled.summary)
    }
  }

  /** Lets plugins take what they keep for the pod; one that refuses makes the placement a refusal of that node. */
  #reserve(pod: Pod, placement: FittingPlacement): Placement {
    const { reserves } = this.#options.plugins
    for (const plugin of reserves) {
      const refusal = plugin.reserve(pod, placement.node)
      if (refusal === undefined) continue
      this.#unreserve(pod, placement.node.name)
      const outcome = { node: placement.node.name, fits: false as const, plugin: plugin.name, refusal }
      return refusedPlacement([outcome], plugin.eventsToRegister)
    }
    return placement
  }

  #unreserve(pod: Pod, node: string): void {
    for (const plugin of this.#options.plugins.reserves) plugin.unreserve(pod, node)
  }

  async #bind(pod: Pod, node: string): Promise<void> {
    const { api, events, clock, logger } = this.#options
    const { namespace, name, uid } = pod.metadata
    try {
      await api.bind(namespace, name, uid, node, this.#context)
    } catch (thrown) {
      const error = GantryError.from(thrown)
      this.#log(error, 'cannot bind', pod)
      this.#unreserve(pod, node)
      this.#undo(pod)
      return
    }
    logger.debug({ namespace, pod: name, node }, 'bound')
    events.record({
      regarding: pod,
      type: 'Normal',
      reason: 'Scheduled',
      message: `placed on ${node}`,
      component: COMPONENT,
    })
    if (!this.#cache.isAssumed(uid) || this.#writes.signal.aborted) return
    this.#confirmations.set(
      uid,
      clock.after(CONFIRM_MILLIS, () => {
        this.#confirmations.delete(uid)
        logger.warn({ namespace, pod: name, node }, 'a bind was not confirmed')
        this.#undo(pod)
      }),
    )
  }

  /** The pod is not known to be on the node: it may be tried again, if it still waits. */
  #undo(pod: Pod): void {
    const { uid } = pod.metadata
    this.#happened(this.#cache.forget(uid))
    const key = keyOf(pod)
    if (this.#waiting(key)?.metadata.uid === uid) this.#queue.retry(key)
  }

  #confirmed(uid: string): void {
    this.#confirmations.get(uid)?.cancel()
    this.#confirmations.delete(uid)
  }

  /** The pod as it is now, if it still needs a node. */
  #waiting(key: string): Pod | undefined {
    const [namespace, name] = key.split('/') as [string, string]
    const pod = this.#options.informer.lister('Pod').get(namespace, name)
    return pod !== undefined && !isBound(pod) && isActive(pod) ? pod : undefined
  }

  /** Tells in the pod's status and by an event why it waits, unless the status says so already. */
  #reportUnschedulable(pod: Pod, message: string): void {
    const { api, events, clock } = this.#options
    const condition = unschedulable(message, clock.now())
    const isSaid = ({ status: { conditions } }: Pod): boolean => {
      const before = findCondition(conditions, condition.type)
      return before !== undefined && sameCondition(before, condition)
    }
    if (isSaid(pod)) return
    const { namespace, name, uid } = pod.metadata
    events.record({ regarding: pod, type: 'Warning', reason: 'FailedScheduling', message, component: COMPONENT })
    this.#writes.spawn(async () => {
      try {
        await api.mutate(
          'Pod',
          namespace,
          name,
          'status',
          (current) => {
            if (current.metadata.uid !== uid || isBound(current) || isSaid(current)) return false
            current.status.conditions = withCondition(current.status.conditions, condition)
          },
          this.#context,
        )
      } catch (thrown) {
        // The next try says it again.
        this.#log(GantryError.from(thrown), 'cannot write why a pod waits', pod)
      }
    })
  }

  /** A pod that went or changed meanwhile, and a term that is over, are ordinary. */
  #log(error: GantryError, what: string, { metadata: { namespace, name } }: Pod): void {
    const level = GantryError.is(error, 'NotFound', 'Conflict', 'Forbidden') ? 'info' : 'warn'
    this.#options.logger[level]({ err: error, namespace, pod: name }, what)
  }
}

function keyOf({ metadata: { namespace, name } }: Pod): string {
  return `${namespace}/${name}`
}

/**
 * The pod asks for something else than before: what was found about it no longer holds. Status alone is no such change.
 */
function needsRescheduling(before: Pod, after: Pod): boolean {
  return (
    before.metadata.uid !== after.metadata.uid ||
    before.metadata.generation !== after.metadata.generation ||
    JSON.stringify(before.metadata.labels) !== JSON.stringify(after.metadata.labels)
  )
}

/** The condition PodScheduled of a pod that no node takes. */
function unschedulable(message: string, now: number): PodCondition {
  return {
    type: 'PodScheduled',
    status: 'False',
    lastTransitionTime: formatTime(now),
    reason: 'Unschedulable',
    message,
  }
}
export interface SchedulerOptions {
  readonly informer: Informer
  readonly api: Pick<ObjectApi, 'bind' | 'mutate'>
  readonly events: EventSink
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Default: all of plugins/. */
  readonly plugins?: Plugins
}
