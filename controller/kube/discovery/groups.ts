/** The catalog by group and version, in the order in which clients look for a name. */
import { apiPriority } from '../../../proto/schema/custom/version-order.ts'
import type { ServedResource, ServedSubresource, Verb } from '../contract.ts'
import type { Catalog } from '../catalog.ts'

export interface ApiGroup {
  /** '' for the core group. */
  readonly name: string
  /** The preferred one first. */
  readonly versions: readonly ApiVersion[]
}

export interface ApiVersion {
  /** "v1" */
  readonly version: string
  /** "v1", "apps/v1" */
  readonly groupVersion: string
  /** By name. */
  readonly resources: readonly ApiResource[]
}

export interface ApiResource {
  readonly served: ServedResource
  readonly subresources: readonly ServedSubresource[]
}

/**
 * Where a name is meant that several groups have (events, ingresses), clients take the first group. Those of Kubernetes
 * come first, in its own order; then all others by name; metrics, which have the plurals of what they measure, are
 * last.
 */
const FIRST = [
  '',
  'apps',
  'events.k8s.io',
  'authentication.k8s.io',
  'authorization.k8s.io',
  'autoscaling',
  'batch',
  'certificates.k8s.io',
  'networking.k8s.io',
  'policy',
  'rbac.authorization.k8s.io',
  'storage.k8s.io',
  'admissionregistration.k8s.io',
  'apiextensions.k8s.io',
  'scheduling.k8s.io',
  'coordination.k8s.io',
  'node.k8s.io',
  'discovery.k8s.io',
  'resource.k8s.io',
  'gantry.dev',
  'gateway.networking.k8s.io',
]
const LAST = 'metrics.k8s.io'

function rank(group: string): number {
  const index = FIRST.indexOf(group)
  return group === LAST ? FIRST.length + 1 : index === -1 ? FIRST.length : index
}

const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** Every group with everything in it. */
export function groupsOf(catalog: Catalog): ApiGroup[] {
  const subresources = catalog.subresources().map(({ served }) => served)
  const groups = new Map<string, Map<string, ApiResource[]>>()
  for (const served of [...catalog.resources()].sort((a, b) => byText(a.plural, b.plural))) {
    const { group, version, plural } = served
    const versions = groups.get(group) ?? groups.set(group, new Map()).get(group)!
    const own = subresources
      .filter(({ parent }) => parent.group === group && parent.version === version && parent.plural === plural)
      .sort((a, b) => byText(a.name, b.name))
    versions.set(version, [...(versions.get(version) ?? []), { served, subresources: own }])
  }
  return [...groups.keys()]
    .sort((a, b) => rank(a) - rank(b) || byText(a, b))
    .map((name) => ({
      name,
      versions: [...groups.get(name)!.entries()]
        .sort(([a], [b]) => apiPriority(a, b))
        .map(([version, resources]) => ({ version, groupVersion: groupVersionOf(name, version), resources })),
    }))
}

/** As in apiVersion. */
export function groupVersionOf(group: string, version: string): string {
  return group === '' ? version : `${group}/${version}`
}

/**
 * `connect` is a word of the server's own: clients know the methods that open the connection, which for a proxy are
 * those of what is behind it.
 * https://kubernetes.io/docs/reference/access-authn-authz/authorization/#determine-the-request-verb
 */
export function clientVerbs(verbs: readonly Verb[], subresource = ''): string[] {
  const opening = subresource === 'proxy' ? ['create', 'delete', 'get', 'patch', 'update'] : ['create', 'get']
  const known = verbs.flatMap((verb): readonly string[] => (verb === 'connect' ? opening : [verb]))
  return [...new Set(known)].sort(byText)
}
