/** Gathers the backends that rules end at: each different one once, under a name that says what it is. */
import { createHash } from 'node:crypto'
import { readAddress } from '../../proto/base/cidr.ts'
import type { EndpointSlice, Service, ServicePort } from '../../proto/gen/types.ts'
import type { Backend, BackendDestination, Endpoint, BackendProtocol, RequestFilters } from './proxy-model.ts'
import { NO_FILTERS } from './proxy-model.ts'

const SERVICE_NAME = 'kubernetes.io/service-name'

/**
 * What a Service's appProtocol means for the ingress proxy.
 * https://kubernetes.io/docs/concepts/services-networking/service/#application-protocol
 */
const PROTOCOLS: Readonly<Record<string, BackendProtocol>> = {
  'kubernetes.io/h2c': 'http2',
  grpc: 'http2',
  h2c: 'http2',
  https: 'https',
  'kubernetes.io/wss': 'https',
}

/** Slices by the Service that they belong to, "namespace/name". */
export function slicesByService(slices: Iterable<EndpointSlice>): Map<string, EndpointSlice[]> {
  const byService = new Map<string, EndpointSlice[]>()
  for (const slice of slices) {
    const key = serviceOfSlice(slice)
    if (key === undefined) continue
    const group = byService.get(key)
    if (group === undefined) byService.set(key, [slice])
    else group.push(slice)
  }
  return byService
}

export function serviceOfSlice({ metadata }: EndpointSlice): string | undefined {
  const name = metadata.labels?.[SERVICE_NAME]
  return name === undefined ? undefined : `${metadata.namespace}/${name}`
}

/**
 * Where a Service's port is answered: ready endpoints, each once, in a lasting order. Of a dual-stack Service the first
 * family's that has any.
 */
export function endpointsOf(
  slices: readonly EndpointSlice[],
  { name = '' }: Pick<ServicePort, 'name'>,
  families: readonly string[] = ['IPv4', 'IPv6'],
): Endpoint[] {
  const found = new Map<string, Map<string, Endpoint>>()
  for (const { addressType, endpoints = [], ports = [] } of slices) {
    const ofFamily = found.get(addressType) ?? new Map<string, Endpoint>()
    found.set(addressType, ofFamily)
    for (const { port } of ports.filter((candidate) => (candidate.name ?? '') === name)) {
      if (port === undefined) continue
      for (const { addresses = [], conditions } of endpoints) {
        if (
          conditions?.ready === false ||
          addresses[0] === undefined ||
          addressType !== `IPv${readAddress(addresses[0])?.family}`
        )
          continue
        ofFamily.set(`${addresses[0]} ${port}`, { address: addresses[0], port })
      }
    }
  }
  const family = [...families, 'IPv4', 'IPv6'].find((candidate) => (found.get(candidate)?.size ?? 0) > 0)
  return family === undefined
    ? []
    : [...found.get(family)!].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, endpoint]) => endpoint)
}

export class Backends {
  readonly #backends = new Map<string, Backend>()
  readonly #slices: ReadonlyMap<string, readonly EndpointSlice[]>

  constructor(slices: ReadonlyMap<string, readonly EndpointSlice[]>) {
    this.#slices = slices
  }

  get all(): ReadonlyMap<string, Backend> {
    return this.#backends
  }

  /** The name of the backend for a port of a Service. */
  service(service: Service, port: ServicePort, treatment: RequestFilters, owner: string): string {
    const { namespace, name } = service.metadata
    const key = `${namespace}/${name}`
    const protocol = PROTOCOLS[port.appProtocol ?? ''] ?? 'http1'
    const { type, externalName, sessionAffinity, ipFamilies } = service.spec
    const base = `${namespace}.${name}.${port.port}`
    if (type === 'ExternalName') {
      if ((externalName ?? '') === '') return this.answer(503, owner)
      return this.#add(base, { is: 'name', host: externalName!, port: port.port, protocol }, treatment, owner)
    }
    const endpoints = endpointsOf(this.#slices.get(key) ?? [], port, ipFamilies)
    return this.#add(
      base,
      { is: 'endpoints', service: key, protocol, sticky: sessionAffinity === 'ClientIP', endpoints },
      treatment,
      owner,
    )
  }

  /** The name of the backend that answers everything with a status. */
  answer(status: number, owner: string): string {
    return this.#add(`answer.${status}`, { is: 'answer', status }, NO_FILTERS, owner)
  }

  redirect(
    redirect: Extract<BackendDestination, { is: 'redirect' }>['redirect'],
    treatment: RequestFilters,
    owner: string,
  ): string {
    return this.#add(`redirect.${redirect.code}`, { is: 'redirect', redirect }, treatment, owner)
  }

  /** Equal ones are one; those that differ in more than the base says have a mark of it in their names. */
  #add(base: string, destination: BackendDestination, treatment: RequestFilters, owner: string): string {
    const text = JSON.stringify([
      destination.is === 'endpoints' ? { ...destination, endpoints: [] } : destination,
      treatment,
    ])
    const plain = destination.is !== 'redirect' && JSON.stringify(treatment) === JSON.stringify(NO_FILTERS)
    const name = plain ? base : `${base}.${createHash('sha256').update(text).digest('hex').slice(0, 10)}`
    if (!this.#backends.has(name)) this.#backends.set(name, { name, destination, treatment, owner })
    return name
  }
}
