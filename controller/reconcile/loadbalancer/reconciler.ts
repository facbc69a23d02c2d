/** Says in the status of Services of type LoadBalancer where they are reached. Keys are Services. */
import { INGRESS_NODE_LABEL } from '../../../proto/objects/ingress/classes.ts'
import { sameJson } from '../../../proto/base/json.ts'
import type { EndpointSlice, Service } from '../../../proto/gen/types.ts'
import type { WriteContext } from '../../api/contract.ts'
import type { Change } from '../../informer/contract.ts'
import { findCondition } from '../../../proto/objects/conditions.ts'
import { SERVICE_NAME } from '../endpointslice/desired-endpoints.ts'
import { looksOfNode, EndpointNodes } from '../endpointslice/endpoint-nodes.ts'
import { keyOf, makeKey, splitKey } from '../../runner/key.ts'
import { WriteExpectations } from '../write-expectations.ts'
import { watchSource, writeContext, type Reconciler, type ReconcileParts } from '../../runner/runner.ts'
import {
  ADDRESS_ERROR,
  comparable,
  EXCLUDE_LABEL,
  isServed,
  loadBalancerStatus,
  PORTS_ERROR,
  portsTaken,
  conflictingService,
} from './plan.ts'

const COMPONENT = 'loadbalancer-controller'

export class LoadBalancerReconciler implements Reconciler {
  readonly name = 'loadbalancer'
  readonly concurrency = 4
  readonly watches
  readonly #parts: ReconcileParts
  readonly #context: WriteContext
  readonly #progress: WriteExpectations
  readonly #nodes: EndpointNodes
  /** Keys of the Services that nodes serve, by each port that they take. */
  readonly #byPort = new Map<string, Set<string>>()
  readonly #served = new Set<string>()
  /** By name of a namespace's Service: keys of its slices. */
  readonly #slices = new Map<string, Set<string>>()

  constructor(parts: ReconcileParts) {
    this.#parts = parts
    this.#context = writeContext(parts, this.name)
    this.#progress = new WriteExpectations(parts)
    this.#nodes = new EndpointNodes(parts.informer, parts.clock)
    this.watches = [
      watchSource('Service', (change) => this.#serviceKeys(change)),
      watchSource('EndpointSlice', (change) => this.#sliceKeys(change)),
      watchSource('Node', ({ type, cached: { object }, previous }) => {
        const looks = (node: typeof object): unknown => [
          looksOfNode(node),
          node.metadata.labels?.[EXCLUDE_LABEL],
          node.metadata.labels?.[INGRESS_NODE_LABEL],
        ]
        if (type === 'modified' && sameJson(looks(object), looks(previous!.object))) return []
        this.#nodes.changed()
        return [...this.#served]
      }),
    ]
  }

  async reconcile(key: string): Promise<number | undefined> {
    await this.#progress.reached(key)
    const { informer, clock } = this.#parts
    const service = this.#service(key)
    if (service === undefined) {
      this.#progress.forget(key)
      return undefined
    }
    const nodes = isServed(service)
      ? informer
          .lister('Node')
          .list()
          .filter(
            ({ metadata, status }) =>
              status.conditions !== undefined && this.#nodes.of(metadata.name).reachability !== 'silent',
          )
      : []
    const rival = isServed(service) ? conflictingService(service, this.#meeting(key)) : undefined
    const status = loadBalancerStatus(
      { service, nodes, slices: this.#slicesOf(key), conflict: rival, clusterRanges: this.#parts.clusterRanges },
      clock.now(),
    )
    await this.#write(key, service, status)
    const { brake } = this.#nodes
    return this.#served.has(key) && brake.is === 'held' && brake.reason === 'NodesReturning' ? brake.millis : undefined
  }

  #service(key: string): Service | undefined {
    const { namespace, name } = splitKey(key)
    return this.#parts.informer.lister('Service').get(namespace, name)
  }

  #slicesOf(key: string): EndpointSlice[] {
    const { namespace } = splitKey(key)
    return [...(this.#slices.get(key) ?? [])].flatMap(
      (name) => this.#parts.informer.lister('EndpointSlice').get(namespace, name) ?? [],
    )
  }

  /** All that take a port of this one, or of one of those, and so on: who is reached among them depends on them all. */
  #meeting(key: string): Service[] {
    const found = new Set([key])
    for (const one of found) {
      const service = this.#service(one)
      for (const port of service === undefined ? [] : portsTaken(service))
        for (const other of this.#byPort.get(port) ?? []) found.add(other)
    }
    return [...found].flatMap((one) => this.#service(one) ?? [])
  }

  async #write(key: string, service: Service, status: Service['status']): Promise<void> {
    if (sameJson(comparable(status), comparable(service.status))) return
    const { api, events } = this.#parts
    const { namespace, name, uid } = service.metadata
    try {
      this.#progress.wrote(
        key,
        await api.mutate(
          'Service',
          namespace,
          name,
          'status',
          (stored) => {
            if (stored.metadata.uid !== uid) return false
            stored.status = status
            return undefined
          },
          this.#context,
        ),
      )
    } catch (thrown) {
      this.#progress.failed(key, thrown)
      throw thrown
    }
    for (const type of [PORTS_ERROR, ADDRESS_ERROR]) {
      const message = findCondition(status.conditions, type)?.message
      if (message !== undefined && message !== findCondition(service.status.conditions, type)?.message)
        events.record({ regarding: service, type: 'Warning', reason: type, message, component: COMPONENT })
    }
  }

  #serviceKeys({ type, cached: { object }, previous }: Change<'Service'>): string[] {
    const before = previous?.object
    if (type === 'modified' && sameJson(looks(before!), looks(object))) return []
    const key = keyOf(object)
    const met = new Set([...(before === undefined ? [] : this.#meeting(key).map(keyOf))])
    if (before !== undefined) this.#note(key, before, false)
    if (type !== 'deleted') this.#note(key, object, true)
    // One that has neither been nor is to be served has nothing to be said of it.
    if (!this.#served.has(key) && type === 'added' && (object.status.loadBalancer?.ingress ?? []).length === 0)
      return []
    for (const other of this.#meeting(key)) met.add(keyOf(other))
    for (const port of before === undefined ? [] : portsTaken(before))
      for (const other of this.#byPort.get(port) ?? []) met.add(other)
    return [...met.add(key)]
  }

  #note(key: string, service: Service, present: boolean): void {
    if (!isServed(service)) return
    if (present) this.#served.add(key)
    else this.#served.delete(key)
    for (const port of portsTaken(service)) {
      const keys = this.#byPort.get(port) ?? new Set<string>()
      if (present) this.#byPort.set(port, keys.add(key))
      else if (keys.delete(key) && keys.size === 0) this.#byPort.delete(port)
    }
  }

  #sliceKeys({ type, cached: { object } }: Change<'EndpointSlice'>): string[] {
    const { namespace, name, labels } = object.metadata
    const service = labels?.[SERVICE_NAME]
    if (service === undefined) return []
    const key = makeKey(namespace, service)
    const names = this.#slices.get(key) ?? new Set<string>()
    if (type !== 'deleted') this.#slices.set(key, names.add(name))
    else if (names.delete(name) && names.size === 0) this.#slices.delete(key)
    return this.#served.has(key) && this.#service(key)?.spec.externalTrafficPolicy === 'Local' ? [key] : []
  }
}

/** All that its own status, and that of those that take its ports, depends on. */
function looks({ metadata, spec, status }: Service): unknown {
  return [
    metadata.deletionTimestamp,
    spec.type,
    spec.loadBalancerClass,
    spec.loadBalancerIP,
    spec.externalTrafficPolicy,
    spec.ipFamilies,
    spec.ports?.map(({ port, protocol }) => [port, protocol]),
    comparable(status),
  ]
}
