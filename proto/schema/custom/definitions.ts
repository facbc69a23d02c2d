/**
 * What a CustomResourceDefinition says of the kind that it defines, and what the names of such kinds in memory stand
 * for. Which of them there are for a control plane is its KindRegistry's affair (kind-registry.ts).
 */
import type {
  CustomResourceColumnDefinition,
  CustomResourceDefinition,
  CustomResourceDefinitionNames,
  CustomResourceDefinitionVersion,
  CustomResourceSubresourceScale,
  JSONSchemaProps,
  Kind,
} from '../../gen/types.ts'
import type { ResourceSchema } from '../model.ts'
import { apiPriority } from './version-order.ts'

/** One version of a custom kind. */
export interface CustomVersion {
  readonly name: string
  /** "stable.example.com/v1" */
  readonly apiVersion: string
  readonly served: boolean
  readonly storage: boolean
  /** What is said to who uses it; undefined for a version that may be used. */
  readonly deprecation: string | undefined
  readonly schema: JSONSchemaProps
  readonly status: boolean
  readonly scale: CustomResourceSubresourceScale | undefined
  readonly columns: readonly CustomResourceColumnDefinition[]
  /** Paths without the first dot: spec.color. */
  readonly selectable: readonly string[]
}

export interface CustomKind {
  /**
   * As `object.kind` in memory, where it means one kind in the whole process: no kind of the schema has a dot in its
   * name, and what two registries define has two. Clients never see it.
   */
  readonly id: Kind
  /** Of the version that is stored. */
  readonly resource: ResourceSchema
  readonly names: CustomResourceDefinitionNames
  /** The most stable and newest first. */
  readonly versions: readonly CustomVersion[]
  readonly stored: CustomVersion
  /** Of the definition. */
  readonly uid: string
  /** The definition is being deleted: nothing new is made. */
  readonly terminating: boolean
}

/** What objects carry that have no schema: everything is kept. */
const PRESERVE_UNKNOWN_SCHEMA: JSONSchemaProps = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true }

/** Undefined while the definition is not established: its names are not its own yet. */
export function customKindOf(
  { metadata, spec, status }: CustomResourceDefinition,
  idOf: (kind: string, group: string) => Kind,
): CustomKind | undefined {
  if (status.conditions?.some(({ type, status: holds }) => type === 'Established' && holds === 'True') !== true)
    return undefined
  const { group } = spec
  const names = status.acceptedNames ?? spec.names
  const versions = [...spec.versions]
    .sort((a, b) => apiPriority(a.name, b.name))
    .map((version) => versionOf(version, group, names.kind, spec.versions))
  const stored = versions.find(({ storage }) => storage)
  if (stored === undefined) return undefined
  const { plural, shortNames = [], kind } = names
  return {
    id: idOf(kind, group),
    names,
    versions,
    stored,
    uid: metadata.uid,
    terminating: metadata.deletionTimestamp !== undefined,
    resource: { group, version: stored.name, kind, plural, namespaced: spec.scope === 'Namespaced', shortNames },
  }
}

function versionOf(
  version: CustomResourceDefinitionVersion,
  group: string,
  kind: string,
  all: readonly CustomResourceDefinitionVersion[],
): CustomVersion {
  const { name, served, storage, schema, subresources, additionalPrinterColumns = [], selectableFields = [] } = version
  return {
    name,
    served,
    storage,
    apiVersion: `${group}/${name}`,
    deprecation:
      version.deprecated === true ? (version.deprecationWarning ?? deprecation(version, group, kind, all)) : undefined,
    schema: schema?.openAPIV3Schema ?? PRESERVE_UNKNOWN_SCHEMA,
    status: subresources?.status !== undefined,
    scale: subresources?.scale,
    columns: additionalPrinterColumns,
    selectable: selectableFields.map(({ jsonPath }) => jsonPath.replace(/^\./, '')),
  }
}

/** Names the newest version that is as stable, as Kubernetes does. */
function deprecation(
  { name }: CustomResourceDefinitionVersion,
  group: string,
  kind: string,
  all: readonly CustomResourceDefinitionVersion[],
): string {
  const better = all
    .filter((other) => other.served && other.deprecated !== true && apiPriority(other.name, name) < 0)
    .map((other) => other.name)
    .sort(apiPriority)[0]
  return `${group}/${name} ${kind} is deprecated${better === undefined ? '' : `; use ${group}/${better} ${kind}`}`
}

/**
 * What the custom kinds of objects in memory are, whichever registry has defined them. Only registries write; names do
 * not clash, so none sees another's.
 */
class CustomKinds {
  readonly #byId = new Map<string, CustomKind>()
  readonly #reserved = new Set<string>()

  get(id: string): CustomKind | undefined {
    return this.#byId.get(id)
  }

  /** Whether this is what clients call a kind in one of its versions, be it served or not. */
  isVersion(id: string, apiVersion: string, kind: string): boolean {
    const custom = this.#byId.get(id)
    return (
      custom !== undefined &&
      custom.resource.kind === kind &&
      custom.versions.some((version) => version.apiVersion === apiVersion)
    )
  }

  /** "CronTab.stable.example.com", with a number behind it where another registry in this process has that already. */
  reserve(name: string): Kind {
    let id = name
    for (let number = 2; this.#reserved.has(id); number++) id = `${name}@${number}`
    this.#reserved.add(id)
    return id as Kind
  }

  release(id: Kind): void {
    this.#reserved.delete(id)
  }

  set(kind: CustomKind): void {
    this.#byId.set(kind.id, kind)
  }

  delete(id: string): void {
    this.#byId.delete(id)
  }
}

export const customKinds = new CustomKinds()

/** The version that an object in memory is of; the stored one where it says none that there is. */
export function versionOfObject({ versions, stored }: CustomKind, apiVersion: string): CustomVersion {
  return versions.find((version) => version.apiVersion === apiVersion) ?? stored
}
