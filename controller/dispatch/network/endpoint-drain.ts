/**
 * Pods that are being deleted: their nodes may end them once nothing is sent to them any more. That is, no
 * EndpointSlice says that they take connections, those of the Services that select them say that they are being deleted
 * (so that none says otherwise later), and every node has confirmed the revision at which that became so, or 5 s have
 * passed: then the node goes on by itself. What was sent to an endpoint before that may still be under way, so it is
 * given a moment more.
 */
import { GantryError } from '../../../proto/base/errors.ts'
import { sameJson } from '../../../proto/base/json.ts'
import type { Clock, Timer } from '../../../proto/base/clock.ts'
import type { Logger } from '../../../proto/base/logger.ts'
import type { EndpointSlice, Pod, Service } from '../../../proto/gen/types.ts'
import type { Change, Informer } from '../../informer/contract.ts'
import { findCondition } from '../../../proto/objects/conditions.ts'
import { isDeleting } from '../../../proto/objects/deletion.ts'
import { SERVICE_NAME } from '../../reconcile/endpointslice/desired-endpoints.ts'
import { SelectionIndex } from '../../reconcile/endpointslice/selection-index.ts'
import { keyOf } from '../../runner/key.ts'
import type { NetworkAckTracker } from './network-ack-tracker.ts'

/**
 * Milliseconds from the last confirmation until an endpoint may end: connections that wait to be taken are taken, and a
 * first packet that was lost comes again, after a second (RFC 6298, section 2.1), to where the first one went.
 */
export const DRAIN_GRACE_MS = 1_200

export interface EndpointDrainParts {
  readonly clock: Clock
  readonly informer: Informer
  readonly confirmations: Pick<NetworkAckTracker, 'awaitAll'>
  readonly logger: Logger
  /** Tells the node that these pods (by uid) are withdrawn; nothing happens if it has no session here. */
  readonly notifyDrained: (node: string, podUids: readonly string[]) => void
  /** True for a node whose session is here. */
  readonly hasSession: (node: string) => boolean
}

/** A pod being deleted that may still be sent something. */
interface DrainingPod {
  readonly node: string
  /**
   * Services whose slices do not show yet that it is being deleted: until they do, one that is under way may still say
   * that it takes connections.
   */
  readonly pendingServices: Set<string>
}

export class EndpointDrain {
  readonly #parts: EndpointDrainParts
  readonly #selection: SelectionIndex
  /** Slices that say that a pod takes connections, by the pod's uid. */
  readonly #taking = new Map<string, Set<string>>()
  /** Slices that say that a pod is being deleted, likewise, and their Services. */
  readonly #leaving = new Map<string, Map<string, string>>()
  readonly #waiting = new Map<string, DrainingPod>()
  /** Withdrawn since the last batch: pods' uids by their node, those that no slice showed and those that one did. */
  #unseen = new Map<string, string[]>()
  #endpoints = new Map<string, string[]>()
  readonly #timers = new Set<Timer>()
  #stopped = false

  constructor(parts: EndpointDrainParts) {
    this.#parts = parts
    this.#selection = new SelectionIndex(parts.informer)
  }

  /** Follows the cache; the call that ends it. */
  start(): () => void {
    const { informer } = this.#parts
    const stops = [
      informer.on('Service', (change) => this.#serviceChanged(change)),
      informer.on('EndpointSlice', (change) => this.#sliceChanged(change)),
      informer.on('Pod', ({ type, cached: { object }, previous }) => {
        if (type === 'deleted') this.#waiting.delete(object.metadata.uid)
        else if (isDeleting(object) && (previous === undefined || !isDeleting(previous.object))) this.#begin(object)
      }),
      informer.onBatch((revision) => this.#flush(revision)),
    ]
    return () => {
      for (const stop of stops) stop()
      this.#stopped = true
      for (const timer of this.#timers) timer.cancel()
    }
  }

  /** A node's session has begun: what it is to end is told again. */
  opened(node: string): void {
    const { informer } = this.#parts
    for (const pod of informer.lister('Pod').byIndex('node', node)) if (isDeleting(pod)) this.#begin(pod)
    this.#flush(informer.revision)
  }

  #begin(pod: Pod): void {
    const {
      metadata: { uid },
      spec: { nodeName },
    } = pod
    if (nodeName === undefined || !this.#parts.hasSession(nodeName)) return
    const leaving = new Set(this.#leaving.get(uid)?.values())
    const unaware = new Set(this.#expected(pod).filter((service) => !leaving.has(service)))
    this.#waiting.set(uid, { node: nodeName, pendingServices: unaware })
    this.#look(uid)
  }

  /**
   * Services whose slices show the pod, or are about to: nobody takes connections that has no address or was not ready.
   */
  #expected(pod: Pod): string[] {
    const { conditions, podIP = '' } = pod.status
    if (podIP === '' || findCondition(conditions, 'Ready')?.status !== 'True') return []
    const { informer } = this.#parts
    return this.#selection
      .servicesOf(pod)
      .filter(
        (key) =>
          informer.lister('Service').get(pod.metadata.namespace, key.slice(key.indexOf('/') + 1))?.spec.type !==
          'ExternalName',
      )
  }

  /** A pod that waits need not any more, perhaps. */
  #look(uid: string): void {
    const waiting = this.#waiting.get(uid)
    if (waiting === undefined || waiting.pendingServices.size > 0 || this.#taking.has(uid)) return
    this.#waiting.delete(uid)
    this.#withdrawn(uid, waiting.node)
  }

  #withdrawn(uid: string, node: string): void {
    const withdrawn = this.#leaving.has(uid) ? this.#endpoints : this.#unseen
    const uids = withdrawn.get(node) ?? []
    uids.push(uid)
    withdrawn.set(node, uids)
  }

  /** Slices of a Service that is gone, or selects others, say nothing of the pod any more. */
  #serviceChanged(change: Change<'Service'>): void {
    this.#selection.noteService(change)
    const {
      type,
      cached: { object },
      previous,
    } = change
    if (type === 'added' || (type === 'modified' && sameJson(selectorOf(object), selectorOf(previous!.object)))) return
    const key = keyOf(object)
    for (const [uid, { pendingServices: unaware }] of [...this.#waiting]) if (unaware.delete(key)) this.#look(uid)
  }

  #sliceChanged({ type, cached: { object: slice }, previous }: Change<'EndpointSlice'>): void {
    const key = keyOf(slice)
    const service = `${slice.metadata.namespace}/${slice.metadata.labels?.[SERVICE_NAME] ?? ''}`
    const before = previous === undefined ? NO_ENDPOINTS : endpointsOf(previous.object)
    const now = type === 'deleted' ? NO_ENDPOINTS : endpointsOf(slice)
    for (const uid of now.serving) this.#taking.set(uid, (this.#taking.get(uid) ?? new Set()).add(key))
    for (const uid of now.terminating) {
      this.#leaving.set(uid, (this.#leaving.get(uid) ?? new Map<string, string>()).set(key, service))
      this.#waiting.get(uid)?.pendingServices.delete(service)
    }
    for (const uid of before.terminating) if (!now.terminating.has(uid)) forget(this.#leaving, uid, key)
    for (const uid of before.serving) if (!now.serving.has(uid)) forget(this.#taking, uid, key)
    for (const uid of new Set([...before.serving, ...now.terminating])) this.#look(uid)
  }

  #flush(revision: number): void {
    if (this.#unseen.size + this.#endpoints.size === 0) return
    const [unseen, endpoints] = [this.#unseen, this.#endpoints]
    this.#unseen = new Map()
    this.#endpoints = new Map()
    const { confirmations, notifyDrained: tell, logger, clock } = this.#parts
    confirmations.awaitAll(revision).then(
      () => {
        unseen.forEach((uids, node) => tell(node, uids))
        if (endpoints.size === 0 || this.#stopped) return
        const timer = clock.after(DRAIN_GRACE_MS, () => {
          this.#timers.delete(timer)
          endpoints.forEach((uids, node) => tell(node, uids))
        })
        this.#timers.add(timer)
      },
      // Their nodes count the 5 s themselves.
      (thrown: unknown) =>
        logger.warn(
          { revision, nodes: [...unseen.keys(), ...endpoints.keys()], err: GantryError.from(thrown) },
          'pods are ended although not every node has confirmed that they get nothing any more',
        ),
    )
  }
}

/** What a slice says of pods, by their uids. */
interface SliceEndpoints {
  /** They take new connections. */
  readonly serving: ReadonlySet<string>
  readonly terminating: ReadonlySet<string>
}

const NO_ENDPOINTS: SliceEndpoints = { serving: new Set(), terminating: new Set() }

/**
 * One that is ending and ready all the same (publishNotReadyAddresses) stays so to its end: nothing more is to be
 * waited for.
 */
function endpointsOf({ endpoints = [] }: EndpointSlice): SliceEndpoints {
  const taking = new Set<string>()
  const leaving = new Set<string>()
  for (const { conditions, targetRef } of endpoints) {
    if (targetRef?.uid === undefined) continue
    if (conditions?.terminating === true) leaving.add(targetRef.uid)
    else if (conditions?.ready !== false) taking.add(targetRef.uid)
  }
  return { serving: taking, terminating: leaving }
}

function forget(places: Map<string, Set<string> | Map<string, string>>, uid: string, key: string): void {
  const own = places.get(uid)
  own?.delete(key)
  if (own?.size === 0) places.delete(uid)
}

function selectorOf({ spec }: Service): unknown {
  return [spec.selector ?? {}, spec.type ?? '']
}
