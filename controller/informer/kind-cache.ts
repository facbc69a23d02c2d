/** The objects of one kind, in key order, with their indexes. */
import type { Kind, Resources } from '../../proto/gen/types.ts'
import type { Strategy } from '../kinds/strategy.ts'
import type { CachedObject, IndexName, Lister } from './contract.ts'

/** Orders as store keys do: by namespace, then name. */
export const namespacedKey = (namespace: string, name: string): string => `${namespace}/${name}`

interface Index<K extends Kind> {
  /** Whose exact value it answers, if any. */
  readonly field: string | undefined
  readonly keysOf: (object: Resources[K]) => readonly string[]
  readonly found: Map<string, Set<string>>
  /** Those of `found` in key order, as far as they were asked for since they changed. */
  readonly sorted: Map<string, readonly string[]>
}

export class KindCache<K extends Kind> implements Lister<K> {
  readonly #byKey = new Map<string, CachedObject<K>>()
  readonly #byNamespace = new Map<string, Set<string>>()
  readonly #indexes = new Map<string, Index<K>>()
  /** Keys in order, made when they are asked for. */
  #sorted: string[] | undefined

  /** `indexes`: those of the kind, besides that of owners. */
  constructor(indexes: NonNullable<Strategy<K>['indexes']> = {}) {
    this.#indexes.set('owner', {
      field: undefined,
      keysOf: ({ metadata }) => (metadata.ownerReferences ?? []).map(({ uid }) => uid),
      found: new Map(),
      sorted: new Map(),
    })
    for (const [name, { field, keys }] of Object.entries(indexes))
      this.#indexes.set(name, { field, keysOf: keys, found: new Map(), sorted: new Map() })
  }

  get size(): number {
    return this.#byKey.size
  }

  get(namespace: string, name: string): Resources[K] | undefined {
    return this.cached(namespace, name)?.object
  }

  list(namespace?: string): Resources[K][] {
    return this.cachedList(namespace).map(({ object }) => object)
  }

  byIndex(index: IndexName, key: string): Resources[K][] {
    return this.cachedByIndex(index, key).map(({ object }) => object)
  }

  cachedByIndex(index: IndexName, key: string): CachedObject<K>[] {
    const { found, sorted } = this.#indexes.get(index) ?? {}
    const keys = found?.get(key)
    if (keys === undefined || sorted === undefined) return []
    let inOrder = sorted.get(key)
    if (inOrder === undefined) sorted.set(key, (inOrder = [...keys].sort()))
    return inOrder.map((one) => this.#byKey.get(one)!)
  }

  indexFor(field: string): IndexName | undefined {
    for (const [name, index] of this.#indexes) if (index.field === field) return name as IndexName
    return undefined
  }

  cached(namespace: string, name: string): CachedObject<K> | undefined {
    return this.#byKey.get(namespacedKey(namespace, name))
  }

  cachedList(namespace?: string): CachedObject<K>[] {
    if (namespace !== undefined)
      return [...(this.#byNamespace.get(namespace) ?? [])].sort().map((key) => this.#byKey.get(key)!)
    this.#sorted ??= [...this.#byKey.keys()].sort()
    return this.#sorted.map((key) => this.#byKey.get(key)!)
  }

  /** Puts an object in; gives what stood there. */
  set(cached: CachedObject<K>): CachedObject<K> | undefined {
    const { namespace, name } = cached.object.metadata
    const key = namespacedKey(namespace, name)
    const previous = this.#byKey.get(key)
    this.#byKey.set(key, cached)
    if (previous === undefined) {
      this.#sorted = undefined
      addTo(this.#byNamespace, namespace, key)
    }
    this.#reindex(key, previous, cached)
    return previous
  }

  delete(namespace: string, name: string): CachedObject<K> | undefined {
    const key = namespacedKey(namespace, name)
    const previous = this.#byKey.get(key)
    if (previous === undefined) return undefined
    this.#byKey.delete(key)
    this.#sorted = undefined
    removeFrom(this.#byNamespace, namespace, key)
    this.#reindex(key, previous, undefined)
    return previous
  }

  #reindex(key: string, before: CachedObject<K> | undefined, after: CachedObject<K> | undefined): void {
    for (const { keysOf, found, sorted } of this.#indexes.values()) {
      const old = before === undefined ? [] : keysOf(before.object)
      const now = after === undefined ? [] : keysOf(after.object)
      for (const value of old) {
        if (now.includes(value)) continue
        removeFrom(found, value, key)
        sorted.delete(value)
      }
      for (const value of now) {
        if (old.includes(value)) continue
        addTo(found, value, key)
        sorted.delete(value)
      }
    }
  }
}

function addTo(sets: Map<string, Set<string>>, value: string, key: string): void {
  const set = sets.get(value)
  if (set === undefined) sets.set(value, new Set([key]))
  else set.add(key)
}

function removeFrom(sets: Map<string, Set<string>>, value: string, key: string): void {
  const set = sets.get(value)
  set?.delete(key)
  if (set?.size === 0) sets.delete(value)
}
