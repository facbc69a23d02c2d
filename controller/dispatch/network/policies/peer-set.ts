/** The addresses of the pods that a selector selects, in parts: a change of one pod is told without all the others. */
import type { AddressPort } from '../../../../proto/gen/types.ts'
import type { EntryContent } from '../contract.ts'
import type { PeerSelector } from './compile.ts'
import type { PodFacts } from './pod-facts.ts'

/** A set of all 10,000 pods of a cluster is told in parts of some hundred addresses. */
const PARTS = 32

type Entry = { readonly version: string; readonly content: () => EntryContent }

interface Part {
  readonly key: string
  /** Another after each change. */
  entry: Entry
  /** How many pods have an address (or address and port): two, for a moment, when one follows another. */
  readonly holders: Map<string, number>
}

/** What a set looks at of a pod. `key` is "namespace/name". */
type PeerPod = Pick<PodFacts, 'addresses' | 'ports'> & { readonly key: string }

export class PeerSet {
  readonly selector: PeerSelector
  /** Nodes that are told it: how many of their policies name it. */
  readonly nodes = new Map<string, number>()
  /** How many policies name it. */
  uses = 0
  /** Names of namespaces that it looks at; '*' for all. */
  readonly namespaces = new Set<string>()
  readonly #members = new Map<string, readonly string[]>()
  readonly #parts = new Map<number, Part>()

  readonly #newVersion: () => string

  /** `newVersion` says none twice, also to a set that goes and comes back. */
  constructor(selector: PeerSelector, newVersion: () => string) {
    this.selector = selector
    this.#newVersion = newVersion
  }

  /** Takes a pod in, or what has changed of it. False if its addresses are in already. */
  put(pod: PeerPod): boolean {
    const now = this.#elements(pod)
    const before = this.#members.get(pod.key)
    if (
      before !== undefined &&
      before.length === now.length &&
      before.every((element, index) => element === now[index])
    )
      return false
    this.#members.set(pod.key, now)
    return this.#change(before ?? [], now)
  }

  /** False if it was not in, or had nothing in it. */
  drop(podKey: string): boolean {
    const before = this.#members.get(podKey)
    this.#members.delete(podKey)
    return this.#change(before ?? [], [])
  }

  /** What is told of it, by key. */
  addTo(entries: Map<string, Entry>): void {
    for (const { key, entry } of this.#parts.values()) entries.set(key, entry)
  }

  #entry(holders: ReadonlyMap<string, number>): Entry {
    const { id, port } = this.selector
    const content = (): EntryContent => {
      const elements = [...holders.keys()]
      return {
        case: 'addresses',
        value: {
          name: id,
          addresses: port === undefined ? elements : [],
          endpoints: port === undefined ? [] : elements.map(readElement),
        },
      }
    }
    return { version: this.#newVersion(), content }
  }

  #newPart(index: number): Part {
    const holders = new Map<string, number>()
    return { key: `AddressSet/${this.selector.id}/${index}`, entry: this.#entry(holders), holders }
  }

  #elements(pod: PeerPod): readonly string[] {
    const { port } = this.selector
    if (port === undefined) return pod.addresses
    const numbers = new Set(
      pod.ports
        .filter(({ name, protocol }) => name === port.name && protocol === port.protocol)
        .map((named) => named.port),
    )
    return pod.addresses.flatMap((address) => [...numbers].map((number) => `${address} ${port.protocol} ${number}`))
  }

  #change(before: readonly string[], now: readonly string[]): boolean {
    const kept = new Set(now.filter((element) => before.includes(element)))
    let changed = false
    for (const element of now) if (!kept.has(element)) changed = this.#count(element, 1) || changed
    for (const element of before) if (!kept.has(element)) changed = this.#count(element, -1) || changed
    return changed
  }

  /** True if the element has come or gone by that. */
  #count(element: string, by: 1 | -1): boolean {
    const index = partOf(element)
    const part = this.#parts.get(index) ?? this.#newPart(index)
    const count = (part.holders.get(element) ?? 0) + by
    if (count > 0) part.holders.set(element, count)
    else part.holders.delete(element)
    if (count > 1 || (count === 1 && by === -1)) return false
    part.entry = this.#entry(part.holders)
    if (part.holders.size > 0) this.#parts.set(index, part)
    else this.#parts.delete(index)
    return true
  }
}

/** By the address alone, which therefore is in one part only: FNV-1a. */
function partOf(element: string): number {
  let hash = 0x811c9dc5
  for (let index = 0; index < element.length && element[index] !== ' '; index++)
    hash = Math.imul(hash ^ element.charCodeAt(index), 0x01000193)
  return (hash >>> 0) % PARTS
}

function readElement(element: string): AddressPort {
  const [address = '', protocol = '', port = ''] = element.split(' ')
  return { address, protocol, port: Number(port) }
}
