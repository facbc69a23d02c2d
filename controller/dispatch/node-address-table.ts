/**
 * Which node has which addresses, and which it may have besides. Of two nodes that say the same, the one that was first
 * in the order of the store's changes has it.
 */
import type { Node, NodeAddress } from '../../proto/gen/types.ts'
import type { Change, Informer } from '../informer/contract.ts'
import { healthOf } from '../nodehealth/health.ts'
import { addressFlaw, canonical } from './node-address-validation.ts'
import { AddressOwners } from './address-owners.ts'

/** Addresses of a node at most: one for each type and family, and some. */
const MOST_ADDRESSES = 16

export interface NodeAddressParts {
  /** host:port of each controller that is present. */
  readonly controllers?: () => readonly string[]
  /** Ranges that pods and Services have their addresses from. */
  readonly given: readonly string[]
  /** Ranges from which nodes may have addresses that their sessions do not come from. */
  readonly listed?: readonly string[]
}

export class NodeAddressTable {
  readonly #informer: Informer
  readonly #parts: NodeAddressParts
  readonly #owners = new AddressOwners(addressesOf)

  constructor(informer: Informer, parts: NodeAddressParts) {
    this.#informer = informer
    this.#parts = parts
  }

  /** Takes every change of a node, in order. */
  note(change: Change<'Node'>): void {
    this.#owners.note(change)
  }

  /**
   * What is wrong with the addresses that a node reports of itself, undefined if nothing is. `peer`: the address that
   * its session comes from.
   */
  validate(name: string, reported: readonly NodeAddress[], peer: string | undefined): string | undefined {
    if (reported.length > MOST_ADDRESSES)
      return `has ${reported.length} addresses, at most ${MOST_ADDRESSES} are allowed`
    const stored = this.#informer.lister('Node').get('', name)
    const had = new Set(stored === undefined ? [] : addressesOf(stored))
    const { controllers, given, listed = [] } = this.#parts
    for (const { type = '', address = '' } of reported) {
      if (!type.endsWith('IP')) continue
      const other = this.#other(name, address)
      const flaw = addressFlaw(address, {
        peer,
        had: had.has(canonical(address)),
        given,
        listed,
        controllers: controllers?.() ?? [],
        other: other === undefined ? undefined : { name: other.metadata.name, lost: healthOf(other).is === 'lost' },
      })
      if (flaw !== undefined) return `${type} ${JSON.stringify(address)} ${flaw}`
    }
    return undefined
  }

  /** Other nodes that have one of the addresses. */
  holders(name: string, reported: readonly NodeAddress[]): Node[] {
    return [
      ...new Set(
        reported.flatMap(({ type = '', address = '' }) =>
          type.endsWith('IP') ? (this.#other(name, address) ?? []) : [],
        ),
      ),
    ]
  }

  #other(name: string, address: string): Node | undefined {
    const owner = this.#owners.owner(canonical(address))
    return owner === undefined || owner === name ? undefined : this.#informer.lister('Node').get('', owner)
  }
}

function addressesOf({ status: { addresses = [] } }: Node): string[] {
  return addresses.flatMap(({ type = '', address = '' }) => (type.endsWith('IP') ? canonical(address) : []))
}

/** The addresses without those that another has taken over. */
export function withoutAddresses(addresses: readonly NodeAddress[], taken: readonly NodeAddress[]): NodeAddress[] {
  const gone = new Set(taken.flatMap(({ type = '', address = '' }) => (type.endsWith('IP') ? canonical(address) : [])))
  return addresses.filter(({ type = '', address = '' }) => !type.endsWith('IP') || !gone.has(canonical(address)))
}
