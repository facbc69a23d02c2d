/**
 * Which addresses a Service may have beside its own: those of ranges that an administrator has listed, and that nothing
 * of the cluster has.
 */
import { formatAddress, rangeContains, readAddress, readCidr, type AddressRange } from '../../proto/base/cidr.ts'
import { specialAddress } from '../../proto/validation/address.ts'
import type { Node } from '../../proto/gen/types.ts'
import type { Informer } from '../informer/contract.ts'
import { API_SERVICE } from '../api/services/service-allocator.ts'

const SERVICE_NAME = 'kubernetes.io/service-name'

export interface ExternalAddressesParts {
  readonly informer: Informer
  /** CIDRs that an administrator has listed. */
  readonly allowed: readonly string[]
  /** CIDRs of pods and of Services. */
  readonly cluster: readonly string[]
  /** Addresses of controllers, as far as the configuration says them. */
  readonly controllers: readonly string[]
}

export interface AddressProblem {
  readonly message: string
  readonly remedy: string
}

export class ExternalAddresses {
  readonly #informer: Informer
  readonly #allowed: readonly AddressRange[]
  readonly #listed: string
  readonly #cluster: readonly AddressRange[]
  readonly #controllers: ReadonlySet<string>

  constructor({ informer, allowed, cluster, controllers }: ExternalAddressesParts) {
    this.#informer = informer
    this.#allowed = allowed.flatMap((cidr) => readCidr(cidr) ?? [])
    this.#listed = allowed.join(', ')
    this.#cluster = cluster.flatMap((cidr) => readCidr(cidr) ?? [])
    this.#controllers = new Set(controllers.flatMap((address) => canonicalText(address) ?? []))
  }

  /** Why no Service may be reached at this address; undefined if one may. */
  problem(text: string): AddressProblem | undefined {
    const address = canonicalText(text)
    if (address === undefined)
      return { message: 'is not an IP address', remedy: 'write it as 203.0.113.1 or 2001:db8::1' }
    const own = this.#ofCluster(address)
    if (own !== undefined) return { message: `is ${own}`, remedy: 'give one that nothing of the cluster has' }
    if (isWithin(address, this.#allowed)) return undefined
    return {
      message: 'is in no range of external addresses',
      remedy:
        this.#listed === ''
          ? "the controllers' setting externalCidrs lists none: ask an administrator"
          : `the controllers' setting externalCidrs lists ${this.#listed}`,
    }
  }

  /** The same of an address of a load balancer, which a node's own may be, as the cluster assigns it. */
  loadBalancerProblem(text: string): AddressProblem | undefined {
    const address = canonicalText(text)
    if (address !== undefined && this.#nodeWith(address) !== undefined && !this.isReserved(address)) return undefined
    return this.problem(text)
  }

  /** No node's either: special, or one of pods or Services. */
  isReserved(text: string): boolean {
    return specialAddress(text) !== undefined || isWithin(text, this.#cluster)
  }

  #ofCluster(address: string): string | undefined {
    const special = specialAddress(address)
    if (special !== undefined) return special
    if (isWithin(address, this.#cluster)) return 'an address of pods or Services'
    const node = this.#nodeWith(address)
    if (node !== undefined) return `the address of node ${node.metadata.name}`
    return this.#controllers.has(address) || this.#isApiEndpoint(address) ? 'the address of a controller' : undefined
  }

  #nodeWith(address: string): Node | undefined {
    return this.#informer
      .lister('Node')
      .list()
      .find(
        ({ status, spec }) =>
          (status.addresses ?? []).some((one) => canonicalText(one.address ?? '') === address) ||
          isWithin(
            address,
            (spec.podCIDRs ?? []).flatMap((cidr) => readCidr(cidr) ?? []),
          ),
      )
  }

  #isApiEndpoint(address: string): boolean {
    const slices = this.#informer
      .lister('EndpointSlice')
      .list(API_SERVICE.namespace)
      .filter(({ metadata }) => metadata.labels?.[SERVICE_NAME] === API_SERVICE.name)
    return slices.some(({ endpoints = [] }) =>
      endpoints.some(({ addresses = [] }) => addresses.some((one) => canonicalText(one) === address)),
    )
  }
}

/** As addresses are compared; undefined for what is none. */
export function canonicalText(text: string): string | undefined {
  const address = readAddress(text)
  return address === undefined ? undefined : formatAddress(address.family, address.value)
}

function isWithin(text: string, ranges: readonly AddressRange[]): boolean {
  const address = readAddress(text)
  if (address === undefined) return false
  const single = { family: address.family, first: address.value, last: address.value }
  return ranges.some((range) => rangeContains(range, single))
}
