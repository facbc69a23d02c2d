import { sameJson } from '../../../proto/base/json.ts'
import { clone } from '../../../proto/base/clone.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import type { Endpoints, EndpointSlice, Service } from '../../../proto/gen/types.ts'
import type { WriteContext } from '../../api/contract.ts'
import type { Change } from '../../informer/contract.ts'
import { controllerOf, controllerReference } from '../../../proto/objects/owners.ts'
import { isDeleting } from '../../../proto/objects/deletion.ts'
import { asksForMirror } from '../endpoints/labels.ts'
import { MANAGED_BY, SERVICE_NAME } from '../endpointslice/desired-endpoints.ts'
import { planSlices, type SliceContent } from '../endpointslice/plan.ts'
import { keyOf, makeKey, splitKey } from '../../runner/key.ts'
import { WriteExpectations } from '../write-expectations.ts'
import { watchSource, writeContext, type Reconciler, type ReconcileParts } from '../../runner/runner.ts'
import { mirrorAnnotations, mirroredGroups, mirrorLabels, MIRROR_MANAGER } from './plan.ts'

export class EndpointSliceMirror implements Reconciler {
  readonly name = 'endpointslicemirroring'
  readonly concurrency = 4
  readonly watches
  readonly #parts: ReconcileParts
  readonly #context: WriteContext
  readonly #progress: WriteExpectations

  constructor(parts: ReconcileParts) {
    this.#parts = parts
    this.#context = writeContext(parts, this.name)
    this.#progress = new WriteExpectations(parts)
    this.watches = [
      watchSource('Endpoints', ({ cached: { object } }) =>
        isSelected(this.#serviceOf(object)) ? [] : [keyOf(object)],
      ),
      watchSource('Service', (change) => this.#serviceKeys(change)),
      watchSource('EndpointSlice', ({ cached: { object } }) => sliceKeys(object)),
    ]
  }

  async reconcile(key: string): Promise<undefined> {
    await this.#progress.reached(key)
    const { namespace, name } = splitKey(key)
    const endpoints = this.#parts.informer.lister('Endpoints').get(namespace, name)
    // The slices go with the Endpoints that own them.
    if (endpoints === undefined || isDeleting(endpoints)) {
      this.#progress.forget(key)
      return undefined
    }
    const own = this.#parts.informer
      .lister('EndpointSlice')
      .byIndex('owner', endpoints.metadata.uid)
      .filter((slice) => isMirror(slice) && !isDeleting(slice))
    const plan = planSlices(this.#isMirrored(endpoints) ? mirroredGroups(endpoints) : [], own)
    const metadata = { labels: mirrorLabels(endpoints), annotations: mirrorAnnotations(endpoints) }
    const settled = new Set([...plan.remove, ...plan.update.map(({ slice }) => slice)])
    const marked = own.filter((slice) => !settled.has(slice) && !hasMarks(slice, metadata))
    await this.#all(key, [
      ...plan.create.map((content) => () => this.#create(endpoints, content, metadata)),
      ...plan.update.map(
        ({ slice, content }) =>
          () =>
            this.#update(slice, content, metadata),
      ),
      ...marked.map((slice) => () => this.#update(slice, undefined, metadata)),
    ])
    await this.#all(
      key,
      plan.remove.map(
        ({ metadata: { name: slice, uid } }) =>
          () =>
            this.#parts.api.delete('EndpointSlice', namespace, slice, { uid }, this.#context),
      ),
    )
    return undefined
  }

  /** What the control plane wrote for a Service itself is no copy's source, not even while it is on its way out. */
  #isMirrored(endpoints: Endpoints): boolean {
    const service = this.#serviceOf(endpoints)
    return (
      service !== undefined &&
      !isDeleting(service) &&
      !isSelected(service) &&
      asksForMirror(endpoints) &&
      controllerOf(endpoints)?.uid !== service.metadata.uid
    )
  }

  #serviceOf({ metadata: { namespace, name } }: Endpoints): Service | undefined {
    return this.#parts.informer.lister('Service').get(namespace, name)
  }

  /**
   * Every write is tried; the first failure is thrown when all have ended. A slice that somebody removed meanwhile
   * makes another pass.
   */
  async #all(key: string, writes: readonly (() => Promise<EndpointSlice>)[]): Promise<void> {
    const failures: unknown[] = []
    for (const result of await Promise.allSettled(writes.map((write) => write()))) {
      if (result.status === 'fulfilled') this.#progress.wrote(key, result.value)
      else if (!GantryError.is(result.reason, 'NotFound')) {
        this.#progress.failed(key, result.reason)
        failures.push(result.reason)
      }
    }
    if (failures.length > 0) throw failures[0]
  }

  #create(
    endpoints: Endpoints,
    { addressType, ports, endpoints: list }: SliceContent,
    { labels, annotations }: Marks,
  ): Promise<EndpointSlice> {
    const { namespace, name } = endpoints.metadata
    const metadata = {
      generateName: `${name}-`,
      namespace,
      labels,
      annotations,
      ownerReferences: [controllerReference(endpoints)],
    }
    return this.#parts.api.create<'EndpointSlice'>(
      { kind: 'EndpointSlice', metadata, addressType, ports: [...ports], endpoints: [...list] },
      this.#context,
    )
  }

  #update(
    { metadata: { namespace, name, uid } }: EndpointSlice,
    content: SliceContent | undefined,
    { labels, annotations }: Marks,
  ): Promise<EndpointSlice> {
    return this.#parts.api.mutate(
      'EndpointSlice',
      namespace,
      name,
      '',
      (slice) => {
        if (slice.metadata.uid !== uid) return false
        Object.assign(slice.metadata, { labels: { ...labels }, annotations: { ...annotations } })
        if (content !== undefined) Object.assign(slice, clone({ ports: content.ports, endpoints: content.endpoints }))
        return undefined
      },
      this.#context,
    )
  }

  #serviceKeys({ type, cached: { object }, previous }: Change<'Service'>): string[] {
    const { metadata } = object
    const ending = (service: Service): boolean => isDeleting(service)
    if (
      type === 'modified' &&
      isSelected(object) === isSelected(previous!.object) &&
      ending(object) === ending(previous!.object)
    )
      return []
    return this.#parts.informer.lister('Endpoints').get(metadata.namespace, metadata.name) === undefined
      ? []
      : [keyOf(object)]
  }
}

type Marks = Readonly<Record<'labels' | 'annotations', Record<string, string>>>

function isSelected(service: Service | undefined): boolean {
  return Object.keys(service?.spec.selector ?? {}).length > 0
}

function isMirror({ metadata: { labels } }: EndpointSlice): boolean {
  return labels?.[MANAGED_BY] === MIRROR_MANAGER
}

function sliceKeys(slice: EndpointSlice): string[] {
  const { namespace, labels } = slice.metadata
  const service = labels?.[SERVICE_NAME]
  return isMirror(slice) && service !== undefined ? [makeKey(namespace, service)] : []
}

function hasMarks({ metadata }: EndpointSlice, { labels, annotations }: Marks): boolean {
  return sameJson(metadata.labels ?? {}, labels) && sameJson(metadata.annotations ?? {}, annotations)
}
