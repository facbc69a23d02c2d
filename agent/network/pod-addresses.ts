/** What the pods of a node have addresses of: one pool per family, the preferred first. */
import { familyOf } from '../../proto/base/cidr.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { AddressPool } from './address-pool.ts'

export class PodAddresses {
  readonly pools: readonly AddressPool[]

  /** InvalidArgument for what are no ranges of a node, or two of one family. */
  constructor(cidrs: readonly string[]) {
    this.pools = cidrs.map((cidr) => new AddressPool(cidr))
    if (this.pools.length === 0) throw new GantryError('InvalidArgument', 'the node has no pod range')
    if (new Set(this.pools.map(({ family }) => family)).size < this.pools.length)
      throw new GantryError('InvalidArgument', `pod ranges ${cidrs.join(', ')}: there can be one per family`)
  }

  /** As people know them. */
  get cidrs(): string {
    return this.pools.map(({ cidr }) => cidr).join(' and ')
  }

  /** One address per family; undefined when one of the families has none left. */
  take(): string[] | undefined {
    const taken: string[] = []
    for (const pool of this.pools) {
      const address = pool.take()
      if (address === undefined) {
        this.release(taken)
        return undefined
      }
      taken.push(address)
    }
    return taken
  }

  /** Marks addresses as in use; those outside the ranges are returned. */
  reserve(addresses: readonly string[]): string[] {
    return addresses.filter((address) => !this.pools.some((pool) => pool.reserve(address)))
  }

  release(addresses: readonly string[]): void {
    for (const address of addresses) for (const pool of this.pools) pool.release(address)
  }

  /** The gateways that pods with these addresses use. */
  gatewaysOf(addresses: readonly string[]): { readonly address: string; readonly gateway: string }[] {
    return addresses.flatMap((address) =>
      this.pools.filter(({ family }) => family === familyOf(address)).map(({ gateway }) => ({ address, gateway })),
    )
  }
}
