/**
 * Discovery in one document: every group, version and resource below /api or /apis.
 * https://kubernetes.io/docs/concepts/overview/kubernetes-api/#aggregated-discovery
 * A client says that it knows it by parameters of the media type:
 * application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList.
 */
import type { JsonObject } from '../../../proto/gen/types.ts'
import type { ServedSubresource } from '../contract.ts'
import { clientVerbs, type ApiGroup, type ApiResource } from './groups.ts'
import type { Document } from './documents.ts'

const AGGREGATED_VERSIONS = ['v2', 'v2beta1'] as const
export type AggregatedVersion = (typeof AGGREGATED_VERSIONS)[number]

/** The Content-Type of the answer. */
export function aggregatedType(version: AggregatedVersion): string {
  return `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`
}

/**
 * The version that is asked for before anything plainer; undefined if the client wants plain discovery. `accept`: the
 * header.
 */
export function wantedAggregation(accept: string): AggregatedVersion | undefined {
  for (const range of accept.split(',')) {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim())
    const value = new Map(parameters.map((parameter) => parameter.split('=', 2) as [string, string]))
    if (value.get('as') === undefined) {
      if (type === 'application/json' || type === 'application/*' || type === '*/*') return undefined
      continue
    }
    const version = AGGREGATED_VERSIONS.find((known) => known === value.get('v'))
    if (
      version !== undefined &&
      type === 'application/json' &&
      value.get('g') === 'apidiscovery.k8s.io' &&
      value.get('as') === 'APIGroupDiscoveryList'
    )
      return version
  }
  return undefined
}

export function aggregatedDocument(groups: readonly ApiGroup[], version: AggregatedVersion): Document {
  return {
    kind: 'APIGroupDiscoveryList',
    apiVersion: `apidiscovery.k8s.io/${version}`,
    metadata: {},
    items: groups.map(({ name, versions }) => ({
      metadata: { ...(name !== '' && { name }), creationTimestamp: null },
      versions: versions.map((item) => ({
        version: item.version,
        resources: item.resources.map((resource) => entry(resource, name, item.version)),
        freshness: 'Current',
      })),
    })),
  }
}

function entry({ served, subresources }: ApiResource, group: string, version: string): JsonObject {
  const { plural, singular, namespaced, kind, verbs, shortNames, categories } = served
  return {
    resource: plural,
    responseKind: { group, version, kind },
    scope: namespaced ? 'Namespaced' : 'Cluster',
    singularResource: singular,
    verbs: clientVerbs(verbs),
    ...(shortNames.length > 0 && { shortNames: [...shortNames] }),
    ...(categories.length > 0 && { categories: [...categories] }),
    ...(subresources.length > 0 && {
      subresources: subresources.map((subresource) => subentry(subresource, group, version)),
    }),
  }
}

function subentry({ name, kind, verbs, ...other }: ServedSubresource, group: string, version: string): JsonObject {
  return {
    subresource: name,
    responseKind: { group: other.group ?? group, version: other.version ?? version, kind },
    verbs: clientVerbs(verbs, name),
  }
}
