/** The objects of one kind, in key order, with their indexes. */
import type { AnyResource, Kind, Pod, Resources } from '../../proto/gen/types.ts'
import type { CachedObject, IndexName, Lister } from './contract.ts'

/** Orders as store keys do: by namespace, then name. */
export const namespacedKey = (namespace: string, name: string): string => `${namespace}/${name}`

export class KindCache<K extends Kind> implements Lister<K> {
  readonly #byKey = new Map<string, CachedObject<K>>()
  readonly #byNamespace = new Map<string, Set<string>>()
  readonly #indexes: Record<IndexName, Map<string, Set<string>>> = { owner: new Map(), node: new Map() }
  /** Keys in order, made when they are asked for. */
  #sorted: string[] | undefined

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
    return [...(this.#indexes[index].get(key) ?? [])].sort().map((found) => this.#byKey.get(found)!.object)
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
    for (const index of ['owner', 'node'] as const) {
      const old = before === undefined ? [] : indexKeys(index, before.object)
      const now = after === undefined ? [] : indexKeys(index, after.object)
      for (const value of old) if (!now.includes(value)) removeFrom(this.#indexes[index], value, key)
      for (const value of now) addTo(this.#indexes[index], value, key)
    }
  }
}

function indexKeys(index: IndexName, object: AnyResource): string[] {
  switch (index) {
    case 'owner':
      return (object.metadata.ownerReferences ?? []).map(({ uid }) => uid)
    case 'node':
      return object.kind === 'Pod' ? [(object as Pod).spec.nodeName ?? ''] : []
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
