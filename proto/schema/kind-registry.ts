/**
 * The kinds that there are for one control plane, or one user of one: those of the schema, which are part of the
 * program, and those that CustomResourceDefinitions define, which come and go while it runs.
 *
 * What a person, a manifest or a key calls a kind is looked up here, since that may mean another kind in another
 * cluster. What it is then called in memory (`object.kind`) means one kind in the whole process: whoever has an object
 * has all that is to be known of its kind (resourceOf, customKinds.get), and no registry is handed from caller to
 * caller. A controller's informer fills its own as it takes in definitions; a client fills one from the server as it
 * meets words that it does not know.
 */
import type { CustomResourceDefinition, Kind } from '../gen/types.ts'
import { customKindOf, customKinds, type CustomKind } from './custom/definitions.ts'
import type { ResourceSchema } from './model.ts'
import { findKind, resources } from './schema.ts'

export class KindRegistry {
  readonly #custom = new Map<Kind, CustomKind>()
  /** "GROUP/PLURAL" and "GROUP/VERSION/KIND". */
  readonly #byPlural = new Map<string, CustomKind>()
  readonly #byApiVersion = new Map<string, CustomKind>()
  /** What kinds are called in memory, by "KIND.GROUP": the same for as long as the registry is in use. */
  readonly #ids = new Map<string, Kind>()

  /** What an established definition defines, whether it is registered or not; undefined for one that is not. */
  kindOf(definition: CustomResourceDefinition): CustomKind | undefined {
    return customKindOf(definition, (kind, group) => this.#idOf(`${kind}.${group}`))
  }

  /** Adds a kind, or replaces it. */
  set(kind: CustomKind): void {
    this.delete(kind.id)
    const { group, plural } = kind.resource
    this.#custom.set(kind.id, kind)
    this.#byPlural.set(`${group}/${plural}`, kind)
    for (const { apiVersion, served } of kind.versions)
      if (served) this.#byApiVersion.set(`${apiVersion}/${kind.resource.kind}`, kind)
    customKinds.set(kind)
  }

  delete(id: Kind): void {
    const kind = this.#custom.get(id)
    if (kind === undefined) return
    const { group, plural } = kind.resource
    this.#custom.delete(id)
    // Another kind may have the plural by now.
    if (this.#byPlural.get(`${group}/${plural}`) === kind) this.#byPlural.delete(`${group}/${plural}`)
    for (const { apiVersion } of kind.versions) this.#byApiVersion.delete(`${apiVersion}/${kind.resource.kind}`)
    customKinds.delete(id)
  }

  /** Whoever has used it has ended: its custom kinds are none any more. */
  close(): void {
    for (const id of [...this.#custom.keys()]) this.delete(id)
    for (const id of this.#ids.values()) customKinds.release(id)
    this.#ids.clear()
  }

  /** Those that definitions define. */
  custom(): CustomKind[] {
    return [...this.#custom.values()]
  }

  customByPlural(group: string, plural: string): CustomKind | undefined {
    return this.#byPlural.get(`${group}/${plural}`)
  }

  /** All kinds, as `object.kind` has them. */
  kinds(): Kind[] {
    return [...resources.map(({ kind }) => kind as Kind), ...this.#custom.keys()]
  }

  /** Every kind that the store keeps now, with the name that clients call it. */
  resources(): ResourceSchema[] {
    return [...resources, ...this.custom().map(({ resource }) => resource)]
  }

  /** The kind that clients call so in this group and version, if that is served. */
  find(apiVersion: string, kind: string): Kind | undefined {
    return findKind(apiVersion, kind) ?? this.#byApiVersion.get(`${apiVersion}/${kind}`)?.id
  }

  /** The kind of a resource: what `object.kind` is in memory. */
  ofResource({ kind, group, plural }: ResourceSchema): Kind {
    return this.customByPlural(group, plural)?.id ?? (kind as Kind)
  }

  /**
   * The resource that a person means by a word on the command line: kind, plural, singular or short name, in any case,
   * optionally with the group behind a dot ("deployments.apps"). Undefined if none fits.
   */
  findWord(word: string): ResourceSchema | undefined {
    const [name = '', ...rest] = word.toLowerCase().split('.')
    const group = rest.join('.')
    const own = resources.find((resource) => {
      if (group !== '' && group !== resource.group && group !== `${resource.version}.${resource.group}`) return false
      return [resource.kind.toLowerCase(), resource.plural, ...resource.shortNames].includes(name)
    })
    return (
      own ??
      this.custom().find(({ resource, names, versions }) => {
        if (
          group !== '' &&
          group !== resource.group &&
          !versions.some((version) => version.served && group === `${version.name}.${resource.group}`)
        )
          return false
        return [resource.kind.toLowerCase(), resource.plural, names.singular, ...resource.shortNames].includes(name)
      })?.resource
    )
  }

  #idOf(name: string): Kind {
    const known = this.#ids.get(name)
    if (known !== undefined) return known
    const id = customKinds.reserve(name)
    this.#ids.set(name, id)
    return id
  }
}

/** A registry to who only looks kinds up. */
export type KnownKinds = Pick<
  KindRegistry,
  'custom' | 'customByPlural' | 'find' | 'findWord' | 'kinds' | 'ofResource' | 'resources'
>

/** The kinds of the schema alone. */
export const SCHEMA_KINDS: KnownKinds = new KindRegistry()
