/**
 * The kinds that CustomResourceDefinitions define, known to this process. The schema of all other kinds is part of the
 * program; these come and go while it runs, and every function that takes a kind asks here when the schema has none of
 * that name.
 *
 * There is one registry a process, not one handed from caller to caller: a kind is a name that is meant the same way
 * everywhere, as those of the schema are, and nearly every function of the contract would have to carry it through. It
 * is filled in one place of each program: a controller's informer fills it as it takes in definitions, before the objects
 * of their kinds; a command fills it from the server when it meets a word that it does not know. Two clusters in one
 * process (tests) share it.
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
  /** As `object.kind` in memory: no kind of the schema has a dot in its name. */
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

/** "CronTab.stable.example.com" */
export function customKindId(kind: string, group: string): Kind {
  return `${kind}.${group}` as Kind
}

/** What objects carry that have no schema: everything is kept. */
const PRESERVE_UNKNOWN_SCHEMA: JSONSchemaProps = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true }

/** Undefined while the definition is not established: its names are not its own yet. */
export function customKindOf({ metadata, spec, status }: CustomResourceDefinition): CustomKind | undefined {
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
    id: customKindId(kind, group),
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

class CustomKinds {
  readonly #byId = new Map<string, CustomKind>()
  /** "GROUP/PLURAL" and "GROUP/VERSION/KIND". */
  readonly #byPlural = new Map<string, CustomKind>()
  readonly #byApiVersion = new Map<string, CustomKind>()

  get(id: string): CustomKind | undefined {
    return this.#byId.get(id)
  }

  all(): IterableIterator<CustomKind> {
    return this.#byId.values()
  }

  byPlural(group: string, plural: string): CustomKind | undefined {
    return this.#byPlural.get(`${group}/${plural}`)
  }

  /** The kind that clients call `kind` in this group and version, if that version is served. */
  find(apiVersion: string, kind: string): CustomKind | undefined {
    return this.#byApiVersion.get(`${apiVersion}/${kind}`)
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

  /** Adds a kind, or replaces it. */
  set(kind: CustomKind): void {
    this.delete(kind.id)
    const { group, plural } = kind.resource
    this.#byId.set(kind.id, kind)
    this.#byPlural.set(`${group}/${plural}`, kind)
    for (const { apiVersion, served } of kind.versions)
      if (served) this.#byApiVersion.set(`${apiVersion}/${kind.resource.kind}`, kind)
  }

  delete(id: string): void {
    const kind = this.#byId.get(id)
    if (kind === undefined) return
    const { group, plural } = kind.resource
    this.#byId.delete(id)
    // Another kind may have the plural by now.
    if (this.#byPlural.get(`${group}/${plural}`) === kind) this.#byPlural.delete(`${group}/${plural}`)
    for (const { apiVersion } of kind.versions) this.#byApiVersion.delete(`${apiVersion}/${kind.resource.kind}`)
  }
}

export type { CustomKinds }

export const customKinds = new CustomKinds()

/** The version that an object in memory is of; the stored one where it says none that there is. */
export function versionOfObject({ versions, stored }: CustomKind, apiVersion: string): CustomVersion {
  return versions.find((version) => version.apiVersion === apiVersion) ?? stored
}
