import { sameJson } from '../../../proto/base/json.ts'
import { clone } from '../../../proto/base/clone.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import type { Endpoints, EndpointSlice, Service } from '../../../proto/gen/types.ts'
import type { WriteContext } from '../../api/contract.ts'
import type { Change } from '../../informer/contract.ts'
import { API_SLICES_MANAGER } from '../apiservice/plan.ts'
import { controllerReference, isControlledBy } from '../../../proto/objects/owners.ts'
import { isDeleting } from '../../../proto/objects/deletion.ts'
import { hasEndpoints, MANAGED_BY, MANAGER, SERVICE_NAME, TRIGGER_TIME } from '../endpointslice/desired-endpoints.ts'
import { keyOf, makeKey, splitKey } from '../../runner/key.ts'
import { WriteExpectations } from '../write-expectations.ts'
import { watchSource, writeContext, type Reconciler, type ReconcileParts } from '../../runner/runner.ts'
import { endpointsLabels, isApiService, isLeaderLock, OVER_CAPACITY } from './labels.ts'
import { planEndpoints, type EndpointsContent } from './plan.ts'

/** Milliseconds for which changes of a Service's slices are gathered before its Endpoints are written. */
export const BATCH_WINDOW_MS = 200

export class EndpointsReconciler implements Reconciler {
  readonly name = 'endpoint'
  readonly concurrency = 4
  readonly watches
  readonly #parts: ReconcileParts
  readonly #context: WriteContext
  readonly #progress: WriteExpectations
  /** By key: from when on, by the monotonic clock, what has changed is to be written. */
  readonly #due = new Map<string, number>()
  /** Keys of Services that have been seen to go: their Endpoints go, too, whoever wrote those. */
  readonly #gone = new Set<string>()

  constructor(parts: ReconcileParts) {
    this.#parts = parts
    this.#context = writeContext(parts, this.name)
    this.#progress = new WriteExpectations(parts)
    this.watches = [
      watchSource('Service', (change) => this.#serviceKeys(change)),
      watchSource('EndpointSlice', ({ cached: { object } }) => this.#sliceKeys(object)),
      watchSource('Endpoints', (change) => this.#endpointsKeys(change)),
    ]
  }

  async reconcile(key: string): Promise<number | undefined> {
    const wait = (this.#due.get(key) ?? 0) - this.#parts.clock.monotonic()
    if (wait > 0) return wait
    this.#due.delete(key)
    await this.#progress.reached(key)
    const { namespace, name } = splitKey(key)
    const { informer } = this.#parts
    const service = informer.lister('Service').get(namespace, name)
    const stored = informer.lister('Endpoints').get(namespace, name)
    if (service === undefined) {
      this.#progress.forget(key)
      // What this reconciler made goes with its owner; what a user wrote for the Service goes here.
      if (this.#gone.delete(key) && stored !== undefined && !isLeaderLock(stored)) await this.#remove(key, stored)
      return undefined
    }
    this.#gone.delete(key)
    if (isDeleting(service) || this.#isEnding(namespace)) return undefined
    if (!hasEndpoints(service) && !isApiService(service)) {
      if (stored !== undefined && isControlledBy(stored, service.metadata.uid)) await this.#remove(key, stored)
      return undefined
    }
    await this.#write(key, service, stored)
    return undefined
  }

  async #write(key: string, service: Service, stored: Endpoints | undefined): Promise<void> {
    const slices = this.#parts.informer.lister('EndpointSlice').byIndex('owner', service.metadata.uid).filter(isSource)
    // A slice is on its way, also where a Service has no pod: nothing is written that is wrong in a moment.
    if (slices.length === 0 && (stored === undefined || hasEndpoints(service))) return
    const content = planEndpoints(service, slices, TRIGGER_TIME)
    if (stored !== undefined && !differs(stored, service, content)) return
    try {
      this.#progress.wrote(
        key,
        stored === undefined ? await this.#create(service, content) : await this.#update(service, stored, content),
      )
    } catch (thrown) {
      this.#progress.failed(key, thrown)
      throw thrown
    }
  }

  #create(service: Service, content: EndpointsContent): Promise<Endpoints> {
    const { namespace, name } = service.metadata
    const endpoints = { kind: 'Endpoints' as const, metadata: { name, namespace } }
    settle(endpoints, service, content)
    return this.#parts.api.create<'Endpoints'>(endpoints, this.#context)
  }

  #update(
    service: Service,
    { metadata: { namespace, name, uid } }: Endpoints,
    content: EndpointsContent,
  ): Promise<Endpoints> {
    return this.#parts.api.mutate(
      'Endpoints',
      namespace,
      name,
      '',
      (endpoints) => {
        if (endpoints.metadata.uid !== uid || isDeleting(endpoints) || !differs(endpoints, service, content))
          return false
        settle(endpoints, service, content)
        return undefined
      },
      this.#context,
    )
  }

  async #remove(key: string, { metadata: { namespace, name, uid } }: Endpoints): Promise<void> {
    try {
      await this.#parts.api.delete('Endpoints', namespace, name, { uid }, this.#context)
    } catch (thrown) {
      if (GantryError.is(thrown, 'NotFound')) return
      this.#progress.failed(key, thrown)
      throw thrown
    }
  }

  /** Nothing is made in a namespace that is being deleted. */
  #isEnding(namespace: string): boolean {
    return this.#parts.informer.lister('Namespace').get('', namespace)?.metadata.deletionTimestamp !== undefined
  }

  /** Later changes do not put off what waits already. */
  #gather(key: string): string {
    if (!this.#due.has(key)) this.#due.set(key, this.#parts.clock.monotonic() + BATCH_WINDOW_MS)
    return key
  }

  #serviceKeys({ type, cached: { object }, previous }: Change<'Service'>): string[] {
    const key = keyOf(object)
    if (type === 'deleted') this.#gone.add(key)
    if (type === 'modified' && sameJson(looksOfService(object), looksOfService(previous!.object))) return []
    return [this.#gather(key)]
  }

  #sliceKeys(slice: EndpointSlice): string[] {
    const service = slice.metadata.labels?.[SERVICE_NAME]
    return !isSource(slice) || service === undefined ? [] : [this.#gather(makeKey(slice.metadata.namespace, service))]
  }

  /** Somebody changed or removed what belongs to a Service. A pass that finds it as it should be writes nothing. */
  #endpointsKeys({ cached: { object } }: Change<'Endpoints'>): string[] {
    const { namespace, name } = object.metadata
    return this.#parts.informer.lister('Service').get(namespace, name) === undefined
      ? []
      : [this.#gather(keyOf(object))]
  }
}

/** Whether a slice is the control plane's own. */
function isSource({ metadata: { labels, deletionTimestamp } }: EndpointSlice): boolean {
  const manager = labels?.[MANAGED_BY]
  return deletionTimestamp === undefined && (manager === MANAGER || manager === API_SLICES_MANAGER)
}

type Draft = Pick<Endpoints, 'subsets'> & {
  readonly metadata: Pick<Endpoints['metadata'], 'name' | 'labels' | 'annotations' | 'ownerReferences'>
}

/** The time of the change alone is no reason to write. */
function differs({ metadata, subsets = [] }: Endpoints, service: Service, content: EndpointsContent): boolean {
  const truncated = metadata.annotations?.[OVER_CAPACITY] === 'truncated'
  return (
    !sameJson(subsets, content.subsets) ||
    !sameJson(metadata.labels ?? {}, endpointsLabels(service)) ||
    truncated !== content.truncated ||
    !isOwned(metadata, service)
  )
}

/** What has another controller keeps it. */
function isOwned({ ownerReferences = [] }: Draft['metadata'], service: Service): boolean {
  return ownerReferences.some(({ uid, controller }) => controller === true || uid === service.metadata.uid)
}

/** In place. */
function settle(draft: Draft, service: Service, { subsets, truncated, trigger }: EndpointsContent): void {
  const { metadata } = draft
  const { [OVER_CAPACITY]: _capacity, [TRIGGER_TIME]: _trigger, ...others } = metadata.annotations ?? {}
  metadata.annotations = {
    ...others,
    ...(trigger !== undefined && { [TRIGGER_TIME]: trigger }),
    ...(truncated && { [OVER_CAPACITY]: 'truncated' }),
  }
  metadata.labels = endpointsLabels(service)
  if (!isOwned(metadata, service))
    metadata.ownerReferences = [...(metadata.ownerReferences ?? []), controllerReference(service)]
  draft.subsets = clone([...subsets])
}

function looksOfService({ metadata, spec }: Service): unknown {
  return [
    metadata.uid,
    metadata.labels,
    metadata.deletionTimestamp,
    spec.selector,
    spec.ports,
    spec.type,
    spec.ipFamilies,
    spec.clusterIP,
    spec.publishNotReadyAddresses,
  ]
}
