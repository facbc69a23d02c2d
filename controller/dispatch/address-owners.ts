/**
 * Which node has which addresses. Of nodes that say the same, the one that was first in the order of the store's
 * changes has it, so every controller comes to the same answer.
 */
import type { Node } from '../../proto/gen/types.ts'
import type { Change } from '../informer/contract.ts'

export class AddressOwners {
  readonly #addressesOf: (node: Node) => readonly string[]
  /** Address → node. */
  readonly #owners = new Map<string, string>()
  /** Node → the addresses that its object says. */
  readonly #said = new Map<string, readonly string[]>()

  /** `addressesOf`: what a node's object says that it has. */
  constructor(addressesOf: (node: Node) => readonly string[]) {
    this.#addressesOf = addressesOf
  }

  owner(address: string): string | undefined {
    return this.#owners.get(address)
  }

  /** Takes every change of a node, in order. */
  note({ type, cached }: Change<'Node'>): void {
    const { name } = cached.object.metadata
    const said = type === 'deleted' ? [] : this.#addressesOf(cached.object)
    const before = this.#said.get(name) ?? []
    if (said.length === 0) this.#said.delete(name)
    else this.#said.set(name, said)
    for (const address of before)
      if (!said.includes(address) && this.#owners.get(address) === name) this.#release(address)
    for (const address of said) if (!this.#owners.has(address)) this.#owners.set(address, name)
  }

  #release(address: string): void {
    this.#owners.delete(address)
    for (const [node, said] of this.#said) {
      if (!said.includes(address)) continue
      this.#owners.set(address, node)
      return
    }
  }
}
