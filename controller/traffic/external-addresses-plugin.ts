/**
 * Refuses external addresses that a Service may not have, and those that another Service has with the same port;
 * whoever writes.
 */
import { GantryError } from '../../proto/base/errors.ts'
import { entryPath } from '../../proto/base/path.ts'
import { describeObject } from '../../proto/schema/schema.ts'
import { sameJson } from '../../proto/base/json.ts'
import type { Service } from '../../proto/gen/types.ts'
import type { AdmissionAttributes, AdmissionRequestInfo, AdmissionPlugin } from '../api/contract.ts'
import type { Informer } from '../informer/contract.ts'
import { canonicalText, type AddressProblem, type ExternalAddresses } from './external-addresses.ts'

export class ExternalAddressesPlugin implements AdmissionPlugin {
  readonly name = 'ExternalAddresses'
  readonly admitsControlPlane = true
  readonly #addresses: ExternalAddresses
  readonly #informer: Informer

  constructor(addresses: ExternalAddresses, informer: Informer) {
    this.#addresses = addresses
    this.#informer = informer
  }

  handles({ operation, kind }: AdmissionRequestInfo): boolean {
    return kind === 'Service' && (operation === 'CREATE' || operation === 'UPDATE')
  }

  /** Forbidden. What the Service has already, with these ports, may stay: only what is asked for anew is looked at. */
  validate({ object, oldObject }: AdmissionAttributes): void {
    const service = object as Service
    const before = oldObject as Service | undefined
    const samePorts = before !== undefined && sameJson(portsOf(before), portsOf(service))
    const known = new Set(before === undefined ? [] : externalAddressesOf(before).map(({ address }) => address))
    for (const { field, address } of externalAddressesOf(service)) {
      const problem = known.has(address) ? undefined : this.#addresses.problem(address)
      if (problem !== undefined) throw refused(service, field, address, problem)
      if (!known.has(address) || !samePorts) this.#requireFree(service, field, address)
    }
  }

  #requireFree(service: Service, field: string, address: string): void {
    const ports = new Set(portsOf(service))
    const text = canonicalText(address)
    for (const other of this.#informer.lister('Service').list()) {
      const { namespace, name } = other.metadata
      if (namespace === service.metadata.namespace && name === service.metadata.name) continue
      if (!externalAddressesOf(other).some((one) => canonicalText(one.address) === text)) continue
      const taken = portsOf(other).find((port) => ports.has(port))
      if (taken === undefined) continue
      throw refused(service, field, address, {
        message: `with port ${taken} is that of Service ${namespace}/${name}`,
        remedy: 'give another address or port',
      })
    }
  }
}

/** Every external address, and where it stands. */
export function externalAddressesOf({
  spec,
  status,
}: Pick<Service, 'spec' | 'status'>): { readonly field: string; readonly address: string }[] {
  return [
    ...(spec.externalIPs ?? []).map((address, index) => ({ field: entryPath('spec.externalIPs', index), address })),
    ...(status.loadBalancer?.ingress ?? []).flatMap(({ ip = '' }, index) =>
      ip === '' ? [] : [{ field: `${entryPath('status.loadBalancer.ingress', index)}.ip`, address: ip }],
    ),
  ]
}

function portsOf({ spec: { ports = [] } }: Service): string[] {
  return ports.map(({ port, protocol }) => `${port}/${protocol}`)
}

function refused(service: Service, field: string, value: string, { message, remedy }: AddressProblem): GantryError {
  return new GantryError(
    'Forbidden',
    `${describeObject(service)} is forbidden: ${field}: ${value} ${message} (${remedy})`,
    { details: [{ field, value, message, remedy }] },
  )
}
