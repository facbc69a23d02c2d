/**
 * What is served: every kind of the schema, what CustomResourceDefinitions add, and the resources that are made on the
 * spot. Discovery, OpenAPI and the router read it; who answers is registered here once, by api-server.ts.
 */
import { resources } from '../../proto/schema/schema.ts'
import type { ResourceSchema } from '../../proto/schema/model.ts'
import type { Kind } from '../../proto/gen/types.ts'
import type { ServedResource, Subresource, Verb, VirtualResource } from './contract.ts'

const STORED_VERBS: readonly Verb[] = [
  'create',
  'delete',
  'deletecollection',
  'get',
  'list',
  'patch',
  'update',
  'watch',
]

/** A kind that the store keeps, as it is served. */
export function servedResource(schema: ResourceSchema): ServedResource {
  const verbs =
    schema.deletedByName === true ? STORED_VERBS.filter((verb) => verb !== 'deletecollection') : STORED_VERBS
  return { ...servedVirtual(schema, verbs), stored: schema.kind as Kind }
}

/** A kind that is made on the spot, as it is served. */
export function servedVirtual(
  { group, version, kind, plural, namespaced, shortNames, categories = [], message }: ResourceSchema,
  verbs: readonly Verb[],
): ServedResource {
  return {
    group,
    version,
    plural,
    kind,
    namespaced,
    shortNames,
    verbs,
    singular: kind.toLowerCase(),
    listKind: `${kind}List`,
    categories,
    message: message ?? kind,
  }
}

const pathOf = (group: string, version: string, plural: string): string => `${group}/${version}/${plural}`

export class Catalog {
  readonly #virtual: readonly VirtualResource[]
  readonly #subresources = new Map<string, Subresource>()
  readonly #listeners = new Set<() => void>()
  #served = new Map<string, ServedResource>()
  #listed: readonly ServedResource[] = []
  #custom: readonly ServedResource[] = []
  #revision = 0

  constructor(virtual: readonly VirtualResource[]) {
    this.#virtual = virtual
    this.#refresh()
  }

  /** Rises with every change: what was made from the catalog holds as long as this stays. */
  get revision(): number {
    return this.#revision
  }

  /** Every resource that discovery names: the store's, custom ones, virtual ones. A new list whenever it changes. */
  resources(): readonly ServedResource[] {
    return this.#listed
  }

  find(group: string, version: string, plural: string): ServedResource | undefined {
    return this.#served.get(pathOf(group, version, plural))
  }

  virtual(resource: ServedResource): VirtualResource | undefined {
    return this.#virtual.find((virtual) => virtual.resource === resource)
  }

  addSubresource(subresource: Subresource): void {
    const { parent, name } = subresource.served
    this.#subresources.set(`${pathOf(parent.group, parent.version, parent.plural)}/${name}`, subresource)
    this.#revision++
  }

  subresource({ group, version, plural }: ServedResource, name: string): Subresource | undefined {
    return this.#subresources.get(`${pathOf(group, version, plural)}/${name}`)
  }

  subresources(): readonly Subresource[] {
    return [...this.#subresources.values()]
  }

  /** Replaces what CustomResourceDefinitions define, with their subresources. */
  setCustom(resources: readonly ServedResource[], subresources: readonly Subresource[]): void {
    for (const { group, version, plural } of this.#custom) {
      for (const key of this.#subresources.keys())
        if (key.startsWith(`${pathOf(group, version, plural)}/`)) this.#subresources.delete(key)
    }
    this.#custom = resources
    for (const subresource of subresources) this.addSubresource(subresource)
    this.#refresh()
    for (const listener of this.#listeners) listener()
  }

  /** Calls whenever the resources have changed. Returns the call that ends it. */
  on(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  #refresh(): void {
    const own = resources.filter(({ streamed }) => streamed !== true).map(servedResource)
    const byPath = (all: readonly ServedResource[]): Map<string, ServedResource> =>
      new Map(all.map((resource) => [pathOf(resource.group, resource.version, resource.plural), resource]))
    const virtual = (unlisted: boolean): ServedResource[] =>
      this.#virtual.filter((one) => (one.unlisted === true) === unlisted).map(({ resource }) => resource)
    const listed = byPath([...own, ...virtual(false), ...this.#custom])
    this.#listed = [...listed.values()]
    this.#served = new Map([...byPath(virtual(true)), ...listed])
    this.#revision++
  }
}
