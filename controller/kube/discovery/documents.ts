/**
 * Discovery as it has always been: one document for the groups, and one for each group and version.
 * https://kubernetes.io/docs/concepts/overview/kubernetes-api/#unaggregated-discovery
 */
import { createHash } from 'node:crypto'
import type { JsonObject } from '../../../proto/gen/types.ts'
import type { ServedResource, ServedSubresource } from '../contract.ts'
import { clientVerbs, type ApiGroup, type ApiResource, type ApiVersion } from './groups.ts'

export type Document = JsonObject & { apiVersion: string; kind: string }

/** /api */
export function coreVersions(core: ApiGroup | undefined): Document {
  return {
    kind: 'APIVersions',
    apiVersion: 'v1',
    versions: core?.versions.map(({ version }) => version) ?? [],
    serverAddressByClientCIDRs: [],
  }
}

/** /apis. The core group is not among them. */
export function groupList(groups: readonly ApiGroup[]): Document {
  return { kind: 'APIGroupList', apiVersion: 'v1', groups: groups.filter(({ name }) => name !== '').map(groupFields) }
}

/** /apis/GROUP */
export function groupDocument(group: ApiGroup): Document {
  return { kind: 'APIGroup', apiVersion: 'v1', ...groupFields(group) }
}

function groupFields({ name, versions }: ApiGroup): JsonObject {
  const known = versions.map(({ groupVersion, version }) => ({ groupVersion, version }))
  return { name, versions: known, preferredVersion: known[0]! }
}

/** /api/v1, /apis/GROUP/VERSION */
export function resourceList({ groupVersion, resources }: ApiVersion): Document {
  return {
    kind: 'APIResourceList',
    apiVersion: 'v1',
    groupVersion,
    resources: resources.flatMap((resource) => [resourceLine(resource), ...resource.subresources.map(subresourceLine)]),
  }
}

function resourceLine({ served }: ApiResource): JsonObject {
  const { plural, singular, namespaced, kind, verbs, shortNames, categories } = served
  return {
    name: plural,
    singularName: singular,
    namespaced,
    kind,
    verbs: clientVerbs(verbs),
    ...(shortNames.length > 0 && { shortNames: [...shortNames] }),
    ...(categories.length > 0 && { categories: [...categories] }),
    ...(served.stored !== undefined && { storageVersionHash: storageVersionHash(served) }),
  }
}

function subresourceLine({ parent, name, group, version, kind, verbs }: ServedSubresource): JsonObject {
  return {
    name: `${parent.plural}/${name}`,
    singularName: '',
    namespaced: parent.namespaced,
    ...(group !== undefined && { group }),
    ...(version !== undefined && { version }),
    kind,
    verbs: clientVerbs(verbs, name),
  }
}

/**
 * Another whenever objects are stored as another group, version or kind: 8 bytes, base64. Clients compare it with what
 * they had.
 */
function storageVersionHash({ group, version, kind }: ServedResource): string {
  return createHash('sha256').update(`${group}/${version}/${kind}`).digest().subarray(0, 8).toString('base64')
}
