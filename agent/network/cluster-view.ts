/** The view of the cluster's network that updates from the control plane build up. */
import { isDeepStrictEqual } from 'node:util'
import { apiVersionOf, findKind, resourceOf } from '../../proto/schema/schema.ts'
import { decodeResource, encode } from '../../proto/codec/wire.ts'
import type { Kind, NetworkEntry, NetworkUpdate, Resources } from '../../proto/gen/types.ts'
import type { NetworkView, NodeRanges, ViewedKind } from './contract.ts'
import { sanitizeEntry, sanitizeObject } from './sanitize.ts'

type AnyMap = Map<string, unknown>

interface EntryLocation {
  readonly map: AnyMap
  readonly name: string
  /** The object's kind, or the entry's case. */
  readonly of: string
}

export class ClusterView implements NetworkView {
  readonly #objects = new Map<string, AnyMap>()
  readonly #entries = new Map<string, AnyMap>()
  /** Where each key's content stands. */
  readonly #places = new Map<string, EntryLocation>()
  #revision = 0
  readonly #leftOut: (key: string, what: string) => void
  ranges: NodeRanges

  /**
   * Everything in the view is of its form (sanitize.ts). `leftOut` is told what of the entry with a key was not, and is
   * not in the view.
   */
  constructor(ranges: NodeRanges, leftOut: (key: string, what: string) => void = () => undefined) {
    this.ranges = ranges
    this.#leftOut = leftOut
  }

  get revision(): number {
    return this.#revision
  }

  get keys(): ReadonlySet<string> {
    return new Set(this.#places.keys())
  }

  has(key: string): boolean {
    return this.#places.has(key)
  }

  objects<K extends ViewedKind & keyof Resources>(kind: K): ReadonlyMap<string, Resources[K]> {
    return mapOf(this.#objects, kind) as Map<string, Resources[K]>
  }

  entries(entry: string): ReadonlyMap<string, never> {
    return mapOf(this.#entries, entry) as Map<string, never>
  }

  /** Everything as it was told, in parts. */
  *updates(entriesEach: number): Generator<NetworkUpdate, void, undefined> {
    const keys = [...this.#places.keys()]
    for (let first = 0; first === 0 || first < keys.length; first += entriesEach) {
      const set = keys.slice(first, first + entriesEach).flatMap((key) => this.#entry(key) ?? [])
      yield { complete: first === 0, sequence: 0, revision: this.#revision, set, removed: [], more: false }
    }
  }

  /**
   * Takes a whole update (no more parts to come); the keys whose content is another now. What this agent does not know
   * is left out.
   */
  update(parts: readonly NetworkUpdate[]): ReadonlySet<string> {
    const changed = new Set<string>()
    const named = new Set<string>()
    for (const { set, removed } of parts) {
      for (const entry of set) {
        named.add(entry.key)
        if (this.#set(entry)) changed.add(entry.key)
      }
      for (const key of removed) if (this.#remove(key)) changed.add(key)
    }
    if (parts[0]?.complete === true)
      for (const key of this.#places.keys()) if (!named.has(key) && this.#remove(key)) changed.add(key)
    this.#revision = parts.at(-1)?.revision ?? this.#revision
    return changed
  }

  #set({ key, entry: told }: NetworkEntry): boolean {
    if (told === undefined) return false
    const leftOut = (what: string): void => this.#leftOut(key, what)
    const entry = sanitizeEntry(told, leftOut)
    if (entry === undefined) return this.#remove(key)
    let place: EntryLocation
    let content: unknown
    if (entry.case === 'object') {
      const kind = findKind(entry.value.apiVersion, entry.value.kind)
      if (kind === undefined) return false
      const object = sanitizeObject(decodeResource(kind, entry.value.raw), leftOut)
      if (object === undefined) return this.#remove(key)
      const { namespace, name } = object.metadata
      place = { of: kind, map: mapOf(this.#objects, kind), name: namespace === '' ? name : `${namespace}/${name}` }
      content = object
      const before = place.map.get(place.name) as Resources[typeof kind] | undefined
      if (
        before?.metadata.uid === object.metadata.uid &&
        before.metadata.resourceVersion === object.metadata.resourceVersion
      )
        return false
    } else {
      place = { of: entry.case, map: mapOf(this.#entries, entry.case), name: key }
      content = entry.value
      if (isDeepStrictEqual(place.map.get(key), content)) return false
    }
    const known = this.#places.get(key)
    if (known !== undefined && known.map !== place.map) known.map.delete(known.name)
    place.map.set(place.name, content)
    this.#places.set(key, place)
    return true
  }

  #entry(key: string): NetworkEntry | undefined {
    const place = this.#places.get(key)
    const content = place?.map.get(place.name)
    if (place === undefined || content === undefined) return undefined
    if (place.map !== this.#objects.get(place.of))
      return { key, entry: { case: place.of, value: content } as NetworkEntry['entry'] & {} }
    const kind = place.of as Kind
    return {
      key,
      entry: {
        case: 'object',
        value: { apiVersion: apiVersionOf(resourceOf(kind)), kind, raw: encode(kind, content as never) },
      },
    }
  }

  #remove(key: string): boolean {
    const place = this.#places.get(key)
    if (place === undefined) return false
    place.map.delete(place.name)
    this.#places.delete(key)
    return true
  }
}

function mapOf(maps: Map<string, AnyMap>, name: string): AnyMap {
  let map = maps.get(name)
  if (map === undefined) maps.set(name, (map = new Map()))
  return map
}
