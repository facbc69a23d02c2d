/**
 * Something made of all objects of some kinds, made anew when one of them has changed and it is needed: requests look
 * at it, each of them, so it costs nothing while nothing changes.
 */
import type { Kind, Resources } from '../../proto/gen/types.ts'
import type { Informer } from '../informer/contract.ts'

export class DerivedValue<T> {
  readonly #make: () => T
  #made: T | undefined

  constructor(informer: Informer, kinds: readonly Kind[], make: () => T) {
    this.#make = make
    for (const kind of kinds) informer.on(kind, () => void (this.#made = undefined))
  }

  get(): T {
    return (this.#made ??= this.#make())
  }
}

/** What is made of each object, kept for as long as the object stays the same. */
export class PerObjectCache<K extends Kind, T> {
  readonly #make: (object: Resources[K]) => T
  #known = new Map<string, { readonly resourceVersion: string; readonly made: T }>()

  constructor(make: (object: Resources[K]) => T) {
    this.#make = make
  }

  of(objects: readonly Resources[K][]): T[] {
    const before = this.#known
    this.#known = new Map(
      objects.map((object) => {
        const { uid, resourceVersion } = object.metadata
        const known = before.get(uid)
        return [uid, known?.resourceVersion === resourceVersion ? known : { resourceVersion, made: this.#make(object) }]
      }),
    )
    return [...this.#known.values()].map(({ made }) => made)
  }
}
