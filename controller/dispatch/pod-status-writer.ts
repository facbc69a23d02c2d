/**
 * Observed states on their way to the store: the latest of each pod, one write of a pod at a time, tried until it is
 * written or without object. The node alone says what runs; the control plane's own share of a status (scheduling, the
 * first steps of the timeline) stays.
 */
import { GantryError } from '../../proto/base/errors.ts'
import { formats } from '../../proto/base/format.ts'
import { formatMicroTime } from '../../proto/base/time.ts'
import type { Clock } from '../../proto/base/clock.ts'
import type { Logger } from '../../proto/base/logger.ts'
import type { Random } from '../../proto/base/random.ts'
import { WorkQueue } from '../../proto/base/workqueue.ts'
import type { AnyResource, ObservedPod, Pod, PodStatus, TimelineStep } from '../../proto/gen/types.ts'
import type { EventSink, ObjectApi } from '../api/contract.ts'
import type { Informer } from '../informer/contract.ts'
import { sessionOf } from '../nodehealth/node-session.ts'
import type { NodeWarningRecorder } from './node-warning-recorder.ts'
import { validatePodStatus, foreignConditions, nodeOwnedStatus } from './pod-status-validation.ts'

const CONTEXT = { fieldManager: 'gantry-agent' }
/** Writes under way at once; those of one moment go to the store in one transaction. */
const CONCURRENCY = 200

/** After so many failures in a row a pod's event tells, too. */
const EVENT_AFTER_FAILURES = 5
/** A status that is refused with one of these will be refused again. */
const PERMANENT_ERRORS = [
  'InvalidArgument',
  'Unsupported',
  'Forbidden',
  'FailedPrecondition',
  'ResourceExhausted',
] as const

/** Conditions that are the node's alone, and not always there. */
const NODES_OWN = ['PodResizePending', 'PodResizeInProgress']

/** Reports of one node about pods that are not known here (yet) that are looked into at once. */
const MOST_UNKNOWN = 1000

const TERMINAL = new Set(['Succeeded', 'Failed'])

function mergeTimeline(
  stored: readonly TimelineStep[] | undefined,
  observed: readonly TimelineStep[] | undefined,
): TimelineStep[] {
  const steps = new Map((stored ?? []).map((step) => [step.step, step]))
  for (const step of observed ?? []) if (!steps.has(step.step)) steps.set(step.step, step)
  return [...steps.values()].sort((a, b) => a.time.localeCompare(b.time))
}

/**
 * The status to store: what the node observed and may say, with what others wrote kept. Undefined if it would take a
 * finished pod back.
 */
export function mergeStatus(
  stored: PodStatus,
  observed: PodStatus,
  assignedAt: string | undefined,
): PodStatus | undefined {
  if (TERMINAL.has(stored.phase ?? '') && stored.phase !== observed.phase) return undefined
  const own = nodeOwnedStatus(observed)
  const observedTypes = new Set([...NODES_OWN, ...(own.conditions ?? []).map(({ type }) => type)])
  const conditions = [
    ...(stored.conditions ?? []).filter(({ type }) => !observedTypes.has(type)),
    ...(own.conditions ?? []),
  ]
  const assigned: TimelineStep[] = assignedAt === undefined ? [] : [{ step: 'assigned', time: assignedAt }]
  const { qosClass = observed.qosClass, nominatedNodeName, resourceClaimStatuses } = stored
  const kept = {
    qosClass,
    ...(nominatedNodeName !== undefined && { nominatedNodeName }),
    ...(resourceClaimStatuses !== undefined && { resourceClaimStatuses }),
  }
  return {
    ...own,
    ...kept,
    conditions,
    timeline: mergeTimeline(stored.timeline, [...assigned, ...(own.timeline ?? [])]),
  }
}

/** Characters that are told of a uid. */
const LONGEST_UID = 128

function keyOf(node: string, uid: string): string {
  return `${node}\n${uid}`
}

/** Why a node cannot say anything of an object. */
function foreignFlaw(node: string, { namespace, name }: ObservedPod, object: AnyResource): string | undefined {
  const same = object.kind === 'Pod' && object.metadata.namespace === namespace && object.metadata.name === name
  if (!same) return "a pod by a uid that is another object's"
  return object.spec.nodeName === node ? undefined : `pod ${namespace}/${name}, which is not its own`
}

/** What a node said of a pod, and in which session; undefined: it is not asked which. */
interface Report {
  readonly node: string
  readonly session: string | undefined
  readonly observed: ObservedPod
}

function isOwn({ node, observed: { uid } }: Report, { metadata, spec }: Pod): boolean {
  return metadata.uid === uid && spec.nodeName === node
}

export class PodStatusWriter {
  readonly #api: ObjectApi
  readonly #informer: Informer
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #events: EventSink
  readonly #queue: WorkQueue
  readonly #warnings: NodeWarningRecorder
  /**
   * By node and uid: of a pod that is not known here yet, what another node says must not take the place of what its
   * own does.
   */
  readonly #latest = new Map<string, Report>()
  readonly #assigned = new Map<string, string>()
  /** Reports under way about pods that are not known here, by node. */
  readonly #unknown = new Map<string, Set<string>>()

  constructor(parts: {
    api: ObjectApi
    informer: Informer
    events: EventSink
    clock: Clock
    random: Random
    logger: Logger
    warnings: NodeWarningRecorder
  }) {
    this.#api = parts.api
    this.#informer = parts.informer
    this.#clock = parts.clock
    this.#logger = parts.logger
    this.#events = parts.events
    this.#warnings = parts.warnings
    this.#queue = new WorkQueue(parts.clock, parts.random, { first: 20, max: 30_000 })
  }

  /** Notes that a pod was told to its node for the first time, for the timeline. */
  assigned(uid: string): void {
    const pod = this.#informer.byUid(uid)
    if (
      this.#assigned.has(uid) ||
      pod?.kind !== 'Pod' ||
      pod.status.timeline?.some(({ step }) => step === 'assigned') === true
    )
      return
    this.#assigned.set(uid, formatMicroTime(this.#clock.now()))
  }

  /** The pod's object is gone: nothing about it is kept. */
  forget({ metadata: { uid }, spec: { nodeName } }: Pod): void {
    this.#assigned.delete(uid)
    if (nodeName !== undefined) this.#latest.delete(keyOf(nodeName, uid))
  }

  /** Pods about which something is kept. */
  get size(): number {
    return new Set([...[...this.#latest.values()].map(({ observed }) => observed.uid), ...this.#assigned.keys()]).size
  }

  /**
   * Takes over what a node reports of its own pods in a session. Once the node has a newer one, perhaps with another
   * controller, what waits of this is not written any more: what the node said since would be undone.
   */
  observe(node: string, pods: readonly ObservedPod[], session?: string): void {
    for (const observed of pods) {
      const pod = this.#informer.byUid(observed.uid)
      // A pod that is not bound yet, as far as is known here, may be bound already.
      const unknown = pod === undefined || (pod.kind === 'Pod' && pod.spec.nodeName === undefined)
      const flaw = unknown ? this.#unknownFlaw(node, observed) : foreignFlaw(node, observed, pod)
      if (flaw !== undefined) {
        this.#warnings.record(node, 'StatusRefused', `node ${node} reports ${flaw}`, {
          uid: observed.uid.slice(0, LONGEST_UID),
        })
        continue
      }
      const key = keyOf(node, observed.uid)
      this.#latest.set(key, { node, session, observed })
      this.#queue.add(key)
    }
  }

  /** A pod that is not known here may be new, or gone; who tells of very many makes them up. */
  #unknownFlaw(node: string, { namespace, name, uid }: ObservedPod): string | undefined {
    if (
      formats.dnsLabel(namespace) !== undefined ||
      formats.dnsSubdomain(name) !== undefined ||
      uid.length > LONGEST_UID
    )
      return 'a pod by a name that no pod can have'
    const known = this.#unknown.get(node) ?? new Set()
    this.#unknown.set(node, known.add(uid))
    if (known.size <= MOST_UNKNOWN) return undefined
    known.delete(uid)
    return 'many pods that there are not'
  }

  async run(signal: AbortSignal): Promise<void> {
    await this.#queue.run(
      (key) => this.#write(key),
      (key, error, failures) => {
        const { node, observed } = this.#latest.get(key) ?? {}
        this.#logger.warn({ node, uid: observed?.uid, failures, err: error }, 'status not written, trying again')
        if (failures === EVENT_AFTER_FAILURES && observed !== undefined)
          this.#tell(node!, observed, 'StatusNotWritten', error)
      },
      signal,
      CONCURRENCY,
    )
  }

  async #write(key: string): Promise<void> {
    const entry = this.#latest.get(key)
    const [node = '', uid = ''] = key.split('\n')
    if (entry === undefined) return this.#known(node, uid)
    const { observed } = entry
    try {
      await this.#store(entry)
    } catch (thrown) {
      if (GantryError.is(thrown, ...PERMANENT_ERRORS)) {
        // The same again would be refused again; what the node reports next may not be.
        this.#logger.error({ uid, node, err: thrown }, 'status refused')
        this.#tell(node, observed, 'StatusRefused', thrown)
      } else if (!GantryError.is(thrown, 'NotFound')) {
        throw thrown
      }
    }
    if (this.#latest.get(key) === entry) this.#latest.delete(key)
    this.#assigned.delete(uid)
    this.#known(node, uid)
  }

  /** The report has been looked into. */
  #known(node: string, uid: string): void {
    const unknown = this.#unknown.get(node)
    unknown?.delete(uid)
    if (unknown?.size === 0) this.#unknown.delete(node)
  }

  /** A pod that is not the node's (any more), or another of the same name, is left alone in both respects. */
  async #store(report: Report): Promise<void> {
    const { node, observed } = report
    const { namespace, name, uid, status: seen, released } = observed
    let merged = await this.#merge(report)
    while (merged.ahead !== undefined) {
      await this.#informer.waitForRevision(merged.ahead)
      merged = await this.#merge(report)
    }
    if (!isOwn(report, merged.pod)) return
    if (seen !== undefined) this.#tellForeign(node, merged.pod, seen)
    if (released) await this.#api.release(namespace, name, uid, CONTEXT)
  }

  /**
   * Writes what the node reports, if it is its pod and the session its newest. `ahead`: nothing was written, because
   * the stored pod has this revision and the cache is not there yet. What a newer session wrote comes after the Node
   * that says so: only a cache that shows the pod as it is stored shows whose turn it is.
   */
  async #merge(report: Report): Promise<{ readonly pod: Pod; readonly ahead?: number | undefined }> {
    const { node, session, observed } = report
    const { namespace, name, uid, status: seen } = observed
    let ahead: number | undefined
    const merge = (stored: Pod): false | void => {
      const revision = Number(stored.metadata.resourceVersion)
      ahead = session !== undefined && revision > this.#informer.revision ? revision : undefined
      if (ahead !== undefined || seen === undefined || !isOwn(report, stored) || !this.#isCurrent(node, session))
        return false
      const status = mergeStatus(stored.status, seen, this.#assigned.get(uid))
      if (status === undefined) return false
      this.#requireTrue(node, stored, status)
      stored.status = status
    }
    const pod = await this.#api.mutate('Pod', namespace, name, 'status', merge, CONTEXT)
    return { pod, ahead }
  }

  /** Whether the node has no newer session than this, as far as the cache shows. */
  #isCurrent(node: string, session: string | undefined): boolean {
    const stored = this.#informer.lister('Node').get('', node)
    return session === undefined || stored === undefined || sessionOf(stored) === session
  }

  /**
   * Forbidden for a status that says what cannot be on the node. Unavailable while the node has no object: it registers
   * again.
   */
  #requireTrue(node: string, pod: Pod, status: PodStatus): void {
    const stored = this.#informer.lister('Node').get('', node)
    if (stored === undefined)
      throw new GantryError('Unavailable', `node ${node} has no object: it is not known which addresses it has`)
    const flaw = validatePodStatus(pod, status, {
      node: stored,
      network: (name) => this.#informer.lister('Network').get(pod.metadata.namespace, name),
    })
    if (flaw !== undefined) throw new GantryError('Forbidden', flaw)
  }

  /** Conditions of others that a node tells of are left as they are. */
  #tellForeign(node: string, { metadata: { namespace, name } }: Pod, seen: PodStatus): void {
    const foreign = foreignConditions(seen)
    if (foreign.length > 0)
      this.#warnings.record(
        node,
        'ConditionRefused',
        `node ${node} reports a condition of pod ${namespace}/${name} that is not a node's to judge`,
        { conditions: foreign.slice(0, 10) },
      )
  }

  #tell(node: string, { namespace, name, uid }: ObservedPod, reason: string, error: unknown): void {
    const message = `The status that node ${node} reports cannot be stored: ${GantryError.from(error).message}`
    this.#events.record({
      regarding: { kind: 'Pod', metadata: { namespace, name, uid } },
      type: 'Warning',
      reason,
      message,
      component: CONTEXT.fieldManager,
    })
  }
}
