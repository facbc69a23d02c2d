import { sameJson } from '../../../proto/base/json.ts'
import { encodeResource } from '../../../proto/codec/wire.ts'
import type { Node, Service } from '../../../proto/gen/types.ts'
import type { CachedObject, Informer } from '../../informer/contract.ts'
import type { ExternalAddresses } from '../../traffic/external-addresses.ts'
import { externalAddressesOf } from '../../traffic/external-addresses-plugin.ts'
import type { EntrySink, NetworkSource } from './contract.ts'
import { objectContent, objectKey } from './objects-source.ts'

export class ServicesSource implements NetworkSource {
  readonly name = 'Service'
  readonly #addresses: Pick<ExternalAddresses, 'problem' | 'loadBalancerProblem'>
  /** Services with external addresses, by key. */
  readonly #external = new Map<string, CachedObject<'Service'>>()

  constructor(addresses: Pick<ExternalAddresses, 'problem' | 'loadBalancerProblem'>) {
    this.#addresses = addresses
  }

  start(informer: Informer, sink: EntrySink): () => void {
    const stops = [
      informer.on('Service', ({ type, cached }) => {
        const key = objectKey('Service', cached as CachedObject)
        if (type === 'deleted' || externalAddressesOf(cached.object).length === 0) this.#external.delete(key)
        else this.#external.set(key, cached)
        if (type === 'deleted') sink.all(key, '', undefined)
        else this.#tell(key, cached, sink)
      }),
      informer.on('Node', ({ type, cached, previous }) => {
        if (type === 'modified' && sameJson(addressesOf(cached.object), addressesOf(previous!.object))) return
        for (const [key, service] of this.#external) this.#tell(key, service, sink)
      }),
    ]
    return () => stops.forEach((stop) => stop())
  }

  #tell(key: string, cached: CachedObject<'Service'>, sink: EntrySink): void {
    const { object, revision } = cached
    const refused = this.#refusedOf(object)
    const version = refused.size === 0 ? String(revision) : `${revision} without ${[...refused].join()}`
    sink.all(key, version, () =>
      objectContent(
        'Service',
        refused.size === 0
          ? (cached as CachedObject)
          : ({ ...cached, bytes: encodeResource(without(object, refused)) } as CachedObject),
      ),
    )
  }

  #refusedOf(service: Service): ReadonlySet<string> {
    const own = new Set(service.spec.externalIPs)
    return new Set(
      externalAddressesOf(service)
        .map(({ address }) => address)
        .filter(
          (address) =>
            (own.has(address) ? this.#addresses.problem(address) : this.#addresses.loadBalancerProblem(address)) !==
            undefined,
        ),
    )
  }
}

function addressesOf({ spec, status }: Node): unknown {
  return [spec.podCIDRs, (status.addresses ?? []).map(({ address }) => address)]
}

function without(service: Service, refused: ReadonlySet<string>): Service {
  const { spec, status } = service
  const ingress = status.loadBalancer?.ingress
  return {
    ...service,
    spec: {
      ...spec,
      ...(spec.externalIPs !== undefined && {
        externalIPs: spec.externalIPs.filter((address) => !refused.has(address)),
      }),
    },
    status: {
      ...status,
      ...(ingress !== undefined && {
        loadBalancer: { ...status.loadBalancer, ingress: ingress.filter(({ ip = '' }) => !refused.has(ip)) },
      }),
    },
  }
}
