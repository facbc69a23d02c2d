/**
 * Observed states on their way to the store: the latest of each pod, one write of a pod at a time, tried until it is written or without
 * object. The node alone says what runs; the control plane's own share of a status (scheduling, the first steps of the timeline) stays.
 */
import { GantryError } from '../../proto/api/errors.ts'
import { formatMicroTime } from '../../proto/api/time.ts'
import type { Clock } from '../../proto/base/clock.ts'
import type { Logger } from '../../proto/base/logger.ts'
import type { Random } from '../../proto/base/random.ts'
import { WorkQueue } from '../../proto/base/workqueue.ts'
import type { ObservedPod, Pod, PodStatus, TimelineStep } from '../../proto/gen/types.ts'
import type { EventSink, ObjectApi } from '../api/contract.ts'
import type { Informer } from '../informer/contract.ts'

const CONTEXT = { fieldManager: 'gantry-agent' }
/** Writes under way at once; those of one moment go to the store in one transaction. */
const CONCURRENCY = 200

/** After so many failures in a row a pod's event tells, too. */
const NOTICED = 5
/** A status that is refused with one of these will be refused again. */
const REFUSALS = ['InvalidArgument', 'Unsupported', 'Forbidden', 'FailedPrecondition', 'ResourceExhausted'] as const

/** Conditions that are the node's alone, and not always there. */
const NODES_OWN = ['PodResizePending', 'PodResizeInProgress']

const TERMINAL = new Set(['Succeeded', 'Failed'])

function mergeTimeline(stored: readonly TimelineStep[] | undefined, observed: readonly TimelineStep[] | undefined): TimelineStep[] {
  const steps = new Map((stored ?? []).map((step) => [step.step, step]))
  for (const step of observed ?? []) if (!steps.has(step.step)) steps.set(step.step, step)
  return [...steps.values()].sort((a, b) => a.time.localeCompare(b.time))
}

/** The status to store: what the node observed, with what others wrote kept. Undefined if it would take a finished pod back. */
export function mergeStatus(stored: PodStatus, observed: PodStatus, assignedAt: string | undefined): PodStatus | undefined {
  if (TERMINAL.has(stored.phase ?? '') && stored.phase !== observed.phase) return undefined
  const observedTypes = new Set([...NODES_OWN, ...(observed.conditions ?? []).map(({ type }) => type)])
  const conditions = [...(stored.conditions ?? []).filter(({ type }) => !observedTypes.has(type)), ...(observed.conditions ?? [])]
  const assigned: TimelineStep[] = assignedAt === undefined ? [] : [{ step: 'assigned', time: assignedAt }]
  return { ...observed, qosClass: observed.qosClass ?? stored.qosClass, conditions, timeline: mergeTimeline(stored.timeline, [...assigned, ...(observed.timeline ?? [])]) }
}

export class StatusWriter {
  readonly #api: ObjectApi
  readonly #informer: Informer
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #events: EventSink
  readonly #queue: WorkQueue
  readonly #latest = new Map<string, { node: string; observed: ObservedPod }>()
  readonly #assigned = new Map<string, string>()

  constructor(parts: { api: ObjectApi; informer: Informer; events: EventSink; clock: Clock; random: Random; logger: Logger }) {
    this.#api = parts.api
    this.#informer = parts.informer
    this.#clock = parts.clock
    this.#logger = parts.logger
    this.#events = parts.events
    this.#queue = new WorkQueue(parts.clock, parts.random, { first: 20, max: 30_000 })
  }

  /** Notes that a pod was told to its node for the first time, for the timeline. */
  assigned(uid: string): void {
    const pod = this.#informer.byUid(uid)
    if (this.#assigned.has(uid) || pod?.kind !== 'Pod' || pod.status.timeline?.some(({ step }) => step === 'assigned') === true) return
    this.#assigned.set(uid, formatMicroTime(this.#clock.now()))
  }

  /** The pod's object is gone: nothing about it is kept. */
  forget(uid: string): void {
    this.#assigned.delete(uid)
    this.#latest.delete(uid)
  }

  /** Pods about which something is kept. */
  get size(): number {
    return new Set([...this.#latest.keys(), ...this.#assigned.keys()]).size
  }

  /** Takes over what a node reports, but nothing of pods that are known to be another's: it must not take the place of what that one says. */
  observe(node: string, pods: readonly ObservedPod[]): void {
    for (const observed of pods) {
      const pod = this.#informer.byUid(observed.uid)
      if (pod?.kind === 'Pod' && pod.spec.nodeName !== node) continue
      this.#latest.set(observed.uid, { node, observed })
      this.#queue.add(observed.uid)
    }
  }

  async run(signal: AbortSignal): Promise<void> {
    await this.#queue.run((uid) => this.#write(uid), (uid, error, failures) => {
      this.#logger.warn({ uid, failures, err: error }, 'status not written, trying again')
      const observed = this.#latest.get(uid)?.observed
      if (failures === NOTICED && observed !== undefined) this.#tell(observed, 'StatusNotWritten', error)
    }, signal, CONCURRENCY)
  }

  async #write(uid: string): Promise<void> {
    const entry = this.#latest.get(uid)
    if (entry === undefined) return
    const { node, observed } = entry
    try {
      await this.#store(node, observed)
    } catch (thrown) {
      if (GantryError.is(thrown, ...REFUSALS)) {
        // The same again would be refused again; what the node reports next may not be.
        this.#logger.error({ uid, node, err: thrown }, 'status refused')
        this.#tell(observed, 'StatusRefused', thrown)
      } else if (!GantryError.is(thrown, 'NotFound')) {
        throw thrown
      }
    }
    if (this.#latest.get(uid) === entry) this.#latest.delete(uid)
    this.#assigned.delete(uid)
  }

  /** A pod that is not the node's (any more), or another of the same name, is left alone in both respects. */
  async #store(node: string, { namespace, name, uid, status: seen, released }: ObservedPod): Promise<void> {
    const mine = (pod: Pod): boolean => pod.metadata.uid === uid && pod.spec.nodeName === node
    const pod = await this.#api.mutate('Pod', namespace, name, 'status', (stored) => {
      const status = mine(stored) && seen !== undefined ? mergeStatus(stored.status, seen, this.#assigned.get(uid)) : undefined
      if (status === undefined) return false
      stored.status = status
    }, CONTEXT)
    if (released && mine(pod)) await this.#api.release(namespace, name, uid, CONTEXT)
  }

  #tell({ namespace, name, uid }: ObservedPod, reason: string, error: unknown): void {
    const message = `The status that node ${this.#latest.get(uid)?.node} reports cannot be stored: ${GantryError.from(error).message}`
    this.#events.record({ regarding: { kind: 'Pod', metadata: { namespace, name, uid } }, type: 'Warning', reason, message, component: CONTEXT.fieldManager })
  }
}
