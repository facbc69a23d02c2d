/**
 * Keeps Service default/kubernetes, by which pods reach the control plane, and the EndpointSlices that say where it is.
 * One key.
 */
import { GantryError } from '../../../proto/base/errors.ts'
import { sameJson } from '../../../proto/base/json.ts'
import type { EndpointSlice, Service } from '../../../proto/gen/types.ts'
import type { WriteContext } from '../../api/contract.ts'
import { API_SERVICE } from '../../api/services/service-allocator.ts'
import { controllerReference } from '../../../proto/objects/owners.ts'
import { isDeleting } from '../../../proto/objects/deletion.ts'
import { MANAGED_BY, SERVICE_NAME } from '../endpointslice/desired-endpoints.ts'
import { keyOf, makeKey } from '../../runner/key.ts'
import { WriteExpectations } from '../write-expectations.ts'
import { watchSource, writeContext, type Reconciler, type ReconcileParts } from '../../runner/runner.ts'
import { API_SLICES_MANAGER, planApi, type ApiPlan, type ApiSlice } from './plan.ts'

const KEY = makeKey(API_SERVICE.namespace, API_SERVICE.name)
/** Labels of the same Service in Kubernetes. */
const LABELS = { component: 'apiserver', provider: 'kubernetes' }
const SLICE_LABELS = { [SERVICE_NAME]: API_SERVICE.name, [MANAGED_BY]: API_SLICES_MANAGER }

export class ApiServiceReconciler implements Reconciler {
  readonly name = 'apiservice'
  readonly concurrency = 1
  readonly watches
  readonly #parts: ReconcileParts
  readonly #context: WriteContext
  readonly #progress: WriteExpectations
  readonly #reportedSkipped = new Set<string>()

  constructor(parts: ReconcileParts) {
    this.#parts = parts
    this.#context = writeContext(parts, this.name)
    this.#progress = new WriteExpectations(parts)
    this.watches = [
      watchSource('Service', ({ cached: { object } }) => (keyOf(object) === KEY ? [KEY] : [])),
      watchSource('EndpointSlice', ({ cached: { object } }) => (isOurs(object) ? [KEY] : [])),
    ]
  }

  /** A controller that comes, goes or moves; and once at the beginning, when there may be nothing yet that changes. */
  wake(add: (key: string) => void): () => void {
    add(KEY)
    return this.#parts.replicas.on(() => add(KEY))
  }

  async reconcile(key: string): Promise<undefined> {
    await this.#progress.reached(key)
    const plan = planApi(this.#parts.replicas.kubeAddresses().values(), API_SERVICE.name)
    this.#tellSkipped(plan.skipped)
    const service = await this.#settleService(plan.ports)
    if (isDeleting(service)) return undefined
    await this.#settleSlices(service, plan)
    return undefined
  }

  #tellSkipped(skipped: readonly string[]): void {
    for (const address of skipped.filter((candidate) => !this.#reportedSkipped.has(candidate))) {
      this.#reportedSkipped.add(address)
      this.#parts.logger.warn(
        {
          address,
          remedy: 'set advertise to an IP address that every node reaches (and let kubeListen be one, or 0.0.0.0)',
        },
        'pods do not reach this controller through Service default/kubernetes: its advertised address is no IP address of the network',
      )
    }
  }

  async #settleService(ports: ApiPlan['ports']): Promise<Service> {
    const { api, informer } = this.#parts
    const { namespace, name } = API_SERVICE
    const stored = informer.lister('Service').get(namespace, name)
    try {
      const written =
        stored === undefined
          ? await api.create<'Service'>(
              { kind: 'Service', metadata: { name, namespace, labels: { ...LABELS } }, spec: { ports } },
              this.#context,
            )
          : isRight(stored, ports)
            ? stored
            : await api.mutate(
                'Service',
                namespace,
                name,
                '',
                (service) => {
                  if (isRight(service, ports)) return false
                  Object.assign(service.spec, { type: 'ClusterIP', ports: structuredClone(ports), selector: undefined })
                  return undefined
                },
                this.#context,
              )
      this.#progress.wrote(KEY, written)
      return written
    } catch (thrown) {
      this.#progress.failed(KEY, thrown)
      throw thrown
    }
  }

  async #settleSlices(service: Service, { slices }: ApiPlan): Promise<void> {
    const { api, informer } = this.#parts
    const { namespace } = API_SERVICE
    const stored = informer.lister('EndpointSlice').list(namespace).filter(isOurs)
    const wanted = new Set(slices.map(({ name }) => name))
    const results = await Promise.allSettled([
      ...slices.map((slice) =>
        this.#settleSlice(
          service,
          slice,
          stored.find(({ metadata }) => metadata.name === slice.name),
        ),
      ),
      ...stored
        .filter(({ metadata }) => !wanted.has(metadata.name))
        .map(({ metadata: { name, uid } }) => api.delete('EndpointSlice', namespace, name, { uid }, this.#context)),
    ])
    for (const result of results) {
      if (result.status === 'fulfilled') this.#progress.wrote(KEY, result.value)
      else this.#progress.failed(KEY, result.reason)
    }
    const failed = results.find((result) => result.status === 'rejected' && !GantryError.is(result.reason, 'NotFound'))
    if (failed?.status === 'rejected') throw failed.reason
  }

  async #settleSlice(
    service: Service,
    { name, addressType, ports, endpoints }: ApiSlice,
    stored: EndpointSlice | undefined,
  ): Promise<EndpointSlice> {
    const { api } = this.#parts
    const { namespace } = API_SERVICE
    const content = { ports: [...ports], endpoints: [...endpoints] }
    if (stored === undefined) {
      return api.create<'EndpointSlice'>(
        {
          kind: 'EndpointSlice',
          metadata: { name, namespace, labels: { ...SLICE_LABELS }, ownerReferences: [controllerReference(service)] },
          addressType,
          ...content,
        },
        this.#context,
      )
    }
    if (sameJson({ ports: stored.ports ?? [], endpoints: stored.endpoints ?? [] }, content)) return stored
    return api.mutate(
      'EndpointSlice',
      namespace,
      name,
      '',
      (slice) => void Object.assign(slice, structuredClone(content)),
      this.#context,
    )
  }
}

function isOurs({ metadata: { namespace, labels } }: EndpointSlice): boolean {
  return (
    namespace === API_SERVICE.namespace &&
    Object.entries(SLICE_LABELS).every(([label, value]) => labels?.[label] === value)
  )
}

/** With a selector, or of another type, it would lead elsewhere. */
function isRight({ spec }: Service, ports: ApiPlan['ports']): boolean {
  return spec.type === 'ClusterIP' && Object.keys(spec.selector ?? {}).length === 0 && sameJson(spec.ports ?? [], ports)
}
