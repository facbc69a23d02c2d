/**
 * What each level of access allows in its own namespace, resource by resource. What is not listed here is for
 * administrators.
 *
 * The model is what Kubernetes aggregates into its roles view and edit
 * (https://kubernetes.io/docs/reference/access-authn-authz/rbac/#user-facing-roles). It differs in these points:
 * - ServiceAccounts, their tokens and impersonation are not part of edit, because here an account carries its own level
 *   of access.
 * - Kinds of the Gateway API, of gantry.dev and of CustomResourceDefinitions are part of view and edit, because there
 *   are no roles yet that
 *   could add them. Their status is not.
 * - The subresources ephemeralcontainers and resize of pods are part of edit: they do no more than a new pod does.
 *
 * Resources that are not served yet stand here already: a question about them gets the answer that it will have.
 */
import type { KnownKinds } from '../../proto/schema/kind-registry.ts'
import type { Access } from '../../proto/objects/account-access.ts'

/** Resources as "RESOURCE" or "RESOURCE/SUBRESOURCE", by group. */
type ResourcesByGroup = Readonly<Record<string, readonly string[]>>

const READ: ReadonlySet<string> = new Set(['get', 'list', 'watch'])
const WRITE: ReadonlySet<string> = new Set(['create', 'update', 'patch', 'delete', 'deletecollection'])

/** What view reads. */
const VIEWED: ResourcesByGroup = {
  '': [
    'configmaps',
    'endpoints',
    'events',
    'limitranges',
    'persistentvolumeclaims',
    'persistentvolumeclaims/status',
    'pods',
    'pods/log',
    'pods/status',
    'replicationcontrollers',
    'replicationcontrollers/scale',
    'replicationcontrollers/status',
    'resourcequotas',
    'resourcequotas/status',
    'serviceaccounts',
    'services',
    'services/status',
  ],
  apps: [
    'controllerrevisions',
    'daemonsets',
    'daemonsets/status',
    'deployments',
    'deployments/scale',
    'deployments/status',
    'replicasets',
    'replicasets/scale',
    'replicasets/status',
    'statefulsets',
    'statefulsets/scale',
    'statefulsets/status',
  ],
  autoscaling: ['horizontalpodautoscalers', 'horizontalpodautoscalers/status'],
  batch: ['cronjobs', 'cronjobs/status', 'jobs', 'jobs/status'],
  'discovery.k8s.io': ['endpointslices'],
  'events.k8s.io': ['events'],
  'gantry.dev': ['networks', 'networks/status'],
  'gateway.networking.k8s.io': ['gateways', 'gateways/status', 'httproutes', 'httproutes/status', 'referencegrants'],
  'metrics.k8s.io': ['pods'],
  'networking.k8s.io': ['ingresses', 'ingresses/status', 'networkpolicies'],
  policy: ['poddisruptionbudgets', 'poddisruptionbudgets/status'],
}

/** What edit reads beyond that. */
const READ_BY_EDITORS: ResourcesByGroup = {
  '': [
    'secrets',
    'pods/attach',
    'pods/ephemeralcontainers',
    'pods/exec',
    'pods/portforward',
    'pods/proxy',
    'pods/resize',
    'services/proxy',
  ],
  'coordination.k8s.io': ['leases'],
}

/** What edit writes. No status, no endpoints of Services, nothing that says where pods run or who somebody is. */
const EDITED: ResourcesByGroup = {
  '': [
    'configmaps',
    'events',
    'persistentvolumeclaims',
    'pods',
    'pods/attach',
    'pods/ephemeralcontainers',
    'pods/exec',
    'pods/portforward',
    'pods/proxy',
    'pods/resize',
    'replicationcontrollers',
    'replicationcontrollers/scale',
    'secrets',
    'services',
    'services/proxy',
  ],
  apps: [
    'daemonsets',
    'deployments',
    'deployments/scale',
    'replicasets',
    'replicasets/scale',
    'statefulsets',
    'statefulsets/scale',
  ],
  autoscaling: ['horizontalpodautoscalers'],
  batch: ['cronjobs', 'jobs'],
  'coordination.k8s.io': ['leases'],
  'events.k8s.io': ['events'],
  'gantry.dev': ['networks'],
  'gateway.networking.k8s.io': ['gateways', 'httproutes', 'referencegrants'],
  'networking.k8s.io': ['ingresses', 'networkpolicies'],
  policy: ['poddisruptionbudgets'],
}

/** What edit may only create. */
const CREATED: ResourcesByGroup = { '': ['pods/eviction'] }

/** Subresources of custom kinds that are read, and those that are written. */
const CUSTOM_READ: ReadonlySet<string> = new Set(['', 'scale', 'status'])
const CUSTOM_WRITTEN: ReadonlySet<string> = new Set(['', 'scale'])

const viewed = keysOf(VIEWED)
const readByEditors = keysOf(READ_BY_EDITORS)
const edited = keysOf(EDITED)
const created = keysOf(CREATED)

export interface AccessRequest {
  readonly verb: string
  readonly group: string
  readonly resource: string
  readonly subresource: string
}

/** The least level of access that may do this in its own namespace. */
export function leastAccess(
  { verb, group, resource, subresource }: AccessRequest,
  kinds: Pick<KnownKinds, 'customByPlural'>,
): Extract<Access, 'view' | 'edit' | 'admin'> {
  const key = `${group}/${resource}${subresource === '' ? '' : `/${subresource}`}`
  const custom = kinds.customByPlural(group, resource)?.resource.namespaced === true
  if (READ.has(verb)) {
    if (viewed.has(key) || (custom && CUSTOM_READ.has(subresource))) return 'view'
    return readByEditors.has(key) ? 'edit' : 'admin'
  }
  if (verb === 'create' && created.has(key)) return 'edit'
  return WRITE.has(verb) && (edited.has(key) || (custom && CUSTOM_WRITTEN.has(subresource))) ? 'edit' : 'admin'
}

/** "GROUP/RESOURCE[/SUBRESOURCE]" */
function keysOf(resources: ResourcesByGroup): ReadonlySet<string> {
  return new Set(Object.entries(resources).flatMap(([group, names]) => names.map((name) => `${group}/${name}`)))
}
