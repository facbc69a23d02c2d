/** Keeps the EndpointSlices of Services that have a selector. Keys are Services. */
import { clone } from '../../../proto/base/clone.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { sameJson } from '../../../proto/base/json.ts'
import { formatMicroTime } from '../../../proto/base/time.ts'
import type { EndpointSlice, Pod, Service } from '../../../proto/gen/types.ts'
import type { WriteContext } from '../../api/contract.ts'
import { healthOf } from '../../nodehealth/health.ts'
import type { Change } from '../../informer/contract.ts'
import { controllerReference } from '../../../proto/objects/owners.ts'
import { findCondition } from '../../../proto/objects/conditions.ts'
import { keyOf, makeKey, splitKey } from '../../runner/key.ts'
import { isTerminal } from '../../../proto/objects/pod.ts'
import { isDeleting } from '../../../proto/objects/deletion.ts'
import { WriteExpectations } from '../write-expectations.ts'
import { watchSource, writeContext, type Reconciler, type ReconcileParts } from '../../runner/runner.ts'
import {
  desiredEndpoints,
  hasEndpoints,
  MANAGED_BY,
  MANAGER,
  SERVICE_NAME,
  sliceLabels,
  TRIGGER_TIME,
  type DesiredEndpoints,
} from './desired-endpoints.ts'
import { looksOfNode, EndpointNodes } from './endpoint-nodes.ts'
import { planSlices, type SliceContent } from './plan.ts'
import { SelectionIndex } from './selection-index.ts'

const COMPONENT = 'endpointslice-controller'

export class EndpointSliceReconciler implements Reconciler {
  readonly name = 'endpointslice'
  readonly concurrency = 16
  readonly watches
  readonly #parts: ReconcileParts
  readonly #context: WriteContext
  readonly #progress: WriteExpectations
  readonly #selection: SelectionIndex
  readonly #nodes: EndpointNodes
  /** By key: when what the next pass is about was seen first. */
  readonly #triggers = new Map<string, number>()
  /** By key: which endpoints on silent nodes stay, as the last event said. */
  readonly #kept = new Map<string, string>()
  /** Slices at the revisions that passes have written, until the cache shows them: no pass follows from that. */
  readonly #written = new Set<string>()

  constructor(parts: ReconcileParts) {
    this.#parts = parts
    this.#context = writeContext(parts, this.name)
    this.#progress = new WriteExpectations(parts)
    this.#selection = new SelectionIndex(parts.informer)
    this.#nodes = new EndpointNodes(parts.informer, parts.clock)
    this.watches = [
      watchSource('Service', (change) => this.#serviceKeys(change)),
      watchSource('Pod', (change) => this.#podKeys(change)),
      watchSource('Node', (change) => this.#nodeKeys(change)),
      watchSource('EndpointSlice', (change) => this.#sliceKeys(change)),
    ]
  }

  async reconcile(key: string): Promise<number | undefined> {
    await this.#progress.reached(key)
    const { namespace, name } = splitKey(key)
    const trigger = this.#triggers.get(key)
    this.#triggers.delete(key)
    const service = this.#parts.informer.lister('Service').get(namespace, name)
    // What it owns goes with it.
    if (service === undefined || isDeleting(service)) {
      this.#progress.forget(key)
      this.#kept.delete(key)
      return undefined
    }
    const own = this.#parts.informer.lister('EndpointSlice').byIndex('owner', service.metadata.uid).filter(isManaged)
    const desired = hasEndpoints(service)
      ? desiredEndpoints(service, this.#selection.podsOf(service), (node) => this.#nodes.of(node))
      : { groups: [], kept: undefined }
    try {
      await this.#write(key, service, desired, own, trigger)
    } catch (thrown) {
      if (trigger !== undefined) this.#trigger(key, trigger)
      throw thrown
    }
    this.#tellKept(key, service, desired.kept)
    const { brake } = this.#nodes
    return desired.kept !== undefined && brake.is === 'held' && brake.reason === 'NodesReturning'
      ? brake.millis
      : undefined
  }

  async #write(
    key: string,
    service: Service,
    { groups }: DesiredEndpoints,
    own: readonly EndpointSlice[],
    trigger: number | undefined,
  ): Promise<void> {
    const { create, update, remove } = planSlices(
      groups,
      own.filter((object) => !isDeleting(object)),
    )
    const labels = sliceLabels(service)
    const removed = new Set(remove)
    const written = new Set(update.map(({ slice }) => slice))
    const relabelled = own.filter(
      (slice) => !removed.has(slice) && !written.has(slice) && !sameJson(slice.metadata.labels ?? {}, labels),
    )
    const annotations = trigger === undefined ? undefined : { [TRIGGER_TIME]: formatMicroTime(trigger) }
    await this.#all(key, [
      ...create.map((content) => () => this.#create(service, content, labels, annotations)),
      ...update.map(
        ({ slice, content }) =>
          () =>
            this.#update(slice, content, labels, annotations),
      ),
      ...relabelled.map((slice) => () => this.#update(slice, undefined, labels, undefined)),
    ])
    await this.#all(
      key,
      remove.map(
        ({ metadata: { namespace, name, uid } }) =>
          () =>
            this.#parts.api.delete('EndpointSlice', namespace, name, { uid }, this.#context),
      ),
    )
  }

  /**
   * Every write is tried; the first failure is thrown when all have ended. A slice that somebody removed meanwhile
   * makes another pass.
   */
  async #all(key: string, writes: readonly (() => Promise<EndpointSlice>)[]): Promise<void> {
    const results = await Promise.allSettled(writes.map((write) => write()))
    const failures: unknown[] = []
    for (const result of results) {
      if (result.status === 'fulfilled') {
        this.#progress.wrote(key, result.value)
        if (this.#parts.informer.revision < Number(result.value.metadata.resourceVersion))
          this.#written.add(writtenKey(result.value))
      } else if (!GantryError.is(result.reason, 'NotFound')) {
        this.#progress.failed(key, result.reason)
        failures.push(result.reason)
      }
    }
    if (failures.length > 0) throw failures[0]
  }

  #create(
    service: Service,
    { addressType, ports, endpoints }: SliceContent,
    labels: Record<string, string>,
    annotations: Record<string, string> | undefined,
  ): Promise<EndpointSlice> {
    const { namespace, name } = service.metadata
    const metadata = {
      generateName: `${name}-`,
      namespace,
      labels,
      annotations,
      ownerReferences: [controllerReference(service)],
    }
    return this.#parts.api.create<'EndpointSlice'>(
      { kind: 'EndpointSlice', metadata, addressType, ports: [...ports], endpoints: [...endpoints] },
      this.#context,
    )
  }

  #update(
    { metadata: { namespace, name, uid } }: EndpointSlice,
    content: SliceContent | undefined,
    labels: Record<string, string>,
    annotations: Record<string, string> | undefined,
  ): Promise<EndpointSlice> {
    return this.#parts.api.mutate(
      'EndpointSlice',
      namespace,
      name,
      '',
      (slice) => {
        if (slice.metadata.uid !== uid) return false
        slice.metadata.labels = labels
        if (annotations !== undefined) slice.metadata.annotations = { ...slice.metadata.annotations, ...annotations }
        if (content !== undefined)
          Object.assign(slice, { ports: clone(content.ports), endpoints: clone(content.endpoints) })
        return undefined
      },
      this.#context,
    )
  }

  #tellKept(key: string, service: Service, kept: DesiredEndpoints['kept']): void {
    const said = kept === undefined ? '' : `${kept.why} ${kept.nodes.join(', ')}`
    const before = this.#kept.get(key) ?? ''
    if (said === before) return
    const { events } = this.#parts
    if (kept === undefined) {
      this.#kept.delete(key)
      events.record({
        regarding: service,
        type: 'Normal',
        reason: 'EndpointsSettled',
        message: 'none of its endpoints is kept on a node that is not heard from any more',
        component: COMPONENT,
      })
      return
    }
    this.#kept.set(key, said)
    const why = kept.why === 'brake' ? 'too many nodes are silent at once' : 'it has no others'
    events.record({
      regarding: service,
      type: 'Warning',
      reason: 'EndpointsKept',
      message: `its endpoints on ${kept.nodes.join(', ')} stay ready though nothing is heard from there: ${why}`,
      component: COMPONENT,
    })
  }

  #trigger(key: string, at: number): string {
    this.#triggers.set(key, Math.min(this.#triggers.get(key) ?? at, at))
    return key
  }

  #serviceKeys(change: Change<'Service'>): string[] {
    this.#selection.noteService(change)
    const {
      type,
      cached: { object },
      previous,
    } = change
    if (type === 'modified' && sameJson(looksOfService(object), looksOfService(previous!.object))) return []
    return [this.#trigger(keyOf(object), this.#parts.clock.now())]
  }

  #podKeys(change: Change<'Pod'>): string[] {
    const {
      type,
      cached: { object },
      previous,
    } = change
    const before = previous?.object
    if (type === 'modified' && sameLooks(before!, object)) return []
    const keys = new Set(
      before === undefined || sameJson(before.metadata.labels, object.metadata.labels)
        ? []
        : this.#selection.servicesOf(before),
    )
    this.#selection.notePod(change)
    for (const key of this.#selection.servicesOf(object)) keys.add(key)
    const now = this.#parts.clock.now()
    return [...keys].map((key) => this.#trigger(key, now))
  }

  /**
   * The Services of its pods; and of all silent nodes', if it begins or ends to be one: how they are judged depends on
   * how many they are.
   */
  #nodeKeys({ type, cached: { object }, previous }: Change<'Node'>): string[] {
    if (type === 'modified' && sameJson(looksOfNode(object), looksOfNode(previous!.object))) return []
    this.#nodes.changed()
    const { informer, clock } = this.#parts
    const turned = previous === undefined || healthOf(previous.object).is !== healthOf(object).is
    const others = turned
      ? informer
          .lister('Node')
          .list()
          .filter((node) => healthOf(node).is === 'suspect' || healthOf(node).is === 'lost')
      : []
    const names = new Set([object, ...others].map(({ metadata }) => metadata.name))
    const keys = new Set(
      [...names].flatMap((name) =>
        informer
          .lister('Pod')
          .byIndex('node', name)
          .flatMap((pod) => this.#selection.servicesOf(pod)),
      ),
    )
    const now = clock.now()
    return [...keys].map((key) => this.#trigger(key, now))
  }

  #sliceKeys({ cached: { object } }: Change<'EndpointSlice'>): string[] {
    const service = object.metadata.labels?.[SERVICE_NAME]
    if (this.#written.delete(writtenKey(object)) || !isManaged(object) || service === undefined) return []
    return [makeKey(object.metadata.namespace, service)]
  }
}

function writtenKey({ metadata }: EndpointSlice): string {
  return `${metadata.resourceVersion} ${keyOf({ metadata })}`
}

function isManaged({ metadata }: EndpointSlice): boolean {
  return metadata.labels?.[MANAGED_BY] === MANAGER
}

function looksOfService({ metadata, spec }: Service): unknown {
  return [
    metadata.labels,
    metadata.deletionTimestamp,
    spec.selector,
    spec.ports,
    spec.type,
    spec.ipFamilies,
    spec.clusterIP,
    spec.publishNotReadyAddresses,
    spec.trafficDistribution,
  ]
}

/** Whether two states of a pod make the same endpoint: agents report of other things often. */
function sameLooks(one: Pod, other: Pod): boolean {
  return sameJson(looksOfPod(one), looksOfPod(other))
}

function looksOfPod(pod: Pod): unknown {
  const {
    metadata: { labels, deletionTimestamp, uid },
    spec: { nodeName },
    status: { podIP, podIPs, conditions },
  } = pod
  const [ready, containers] = ['Ready', 'ContainersReady'].map((type) => findCondition(conditions, type))
  return [
    uid,
    labels,
    deletionTimestamp !== undefined,
    nodeName,
    podIP,
    podIPs,
    ready?.status,
    ready?.reason,
    containers?.status,
    isTerminal(pod),
  ]
}
