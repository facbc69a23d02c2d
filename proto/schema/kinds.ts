/** Kinds by what a manifest calls them, and what to say of a name that is none. */
import type { Kind } from '../gen/types.ts'
import { nearest } from '../base/nearest.ts'
import { UNSUPPORTED_MESSAGE, problem, showValue, type Problem } from '../base/problem.ts'
import { SCHEMA_KINDS, type KnownKinds } from './kind-registry.ts'
import { apiVersionOf } from './schema.ts'

/**
 * Kinds of Kubernetes' own API that Gantry does not serve, by group.
 * https://kubernetes.io/docs/reference/kubernetes-api/
 */
const UNSERVED_KINDS: Readonly<Record<string, string>> = {
  '': 'ComponentStatus LimitRange PersistentVolume PersistentVolumeClaim ResourceQuota',
  'apiregistration.k8s.io': 'APIService',
  apps: 'ControllerRevision DaemonSet StatefulSet',
  autoscaling: 'HorizontalPodAutoscaler',
  batch: 'CronJob Job',
  'certificates.k8s.io': 'CertificateSigningRequest',
  'flowcontrol.apiserver.k8s.io': 'FlowSchema PriorityLevelConfiguration',
  'gateway.networking.k8s.io': 'BackendTLSPolicy GRPCRoute TCPRoute TLSRoute UDPRoute',
  'networking.k8s.io': 'IPAddress ServiceCIDR',
  'node.k8s.io': 'RuntimeClass',
  policy: 'PodDisruptionBudget',
  'rbac.authorization.k8s.io': 'ClusterRole ClusterRoleBinding Role RoleBinding',
  'resource.k8s.io': 'DeviceClass ResourceClaim ResourceClaimTemplate ResourceSlice',
  'scheduling.k8s.io': 'PriorityClass',
  'storage.k8s.io': 'CSIDriver CSINode CSIStorageCapacity StorageClass VolumeAttachment VolumeAttributesClass',
}

/** What does the same here. */
const SERVED_ALTERNATIVES: Readonly<Record<string, string>> = {
  GRPCRoute: 'an HTTPRoute serves gRPC, too: each method is a path',
}

/** Short names that people type for some of them. */
const UNSERVED_SHORT_NAMES: Readonly<Record<string, string>> = {
  cj: 'CronJob',
  ds: 'DaemonSet',
  hpa: 'HorizontalPodAutoscaler',
  limits: 'LimitRange',
  pc: 'PriorityClass',
  pdb: 'PodDisruptionBudget',
  pv: 'PersistentVolume',
  pvc: 'PersistentVolumeClaim',
  quota: 'ResourceQuota',
  sc: 'StorageClass',
  sts: 'StatefulSet',
}

/**
 * The kind of Kubernetes' own API that a word of a command line means (`svc`, `services`, `Service`) and that Gantry
 * does not serve; undefined if none.
 */
export function unservedKind(word: string): string | undefined {
  const typed = word.toLowerCase().split('.')[0]!
  const kinds = Object.values(UNSERVED_KINDS).flatMap((names) => names.split(' '))
  if (Object.hasOwn(UNSERVED_SHORT_NAMES, typed)) return UNSERVED_SHORT_NAMES[typed]
  return kinds.find((kind) =>
    [kind, `${kind}s`, `${kind}es`, kind.replace(/y$/, 'ies')].some((name) => name.toLowerCase() === typed),
  )
}

/** What does the same as a kind that Gantry does not serve; undefined if nothing does. */
export function servedAlternative(kind: string): string | undefined {
  return SERVED_ALTERNATIVES[kind]
}

function isUnserved(apiVersion: string, kind: string): boolean {
  const group = apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : ''
  return UNSERVED_KINDS[group]?.split(' ').includes(kind) === true
}

/** Said of a kind that is not known and that a CustomResourceDefinition may define. */
export const UNDEFINED_KIND = 'FieldValueNotFound'

/** The kind of that name in that version, or the problem with the two names. */
export function findAnyKind(
  apiVersion: string,
  kind: string,
  kinds: Pick<KnownKinds, 'find' | 'resources'> = SCHEMA_KINDS,
): { kind: Kind } | { problem: Problem } {
  const found = kinds.find(apiVersion, kind)
  if (found !== undefined) return { kind: found }
  const known = kinds.resources()
  // Only a group with a dot in it can have kinds that definitions define.
  const undefinedYet = /\..*\//.test(apiVersion) ? { reason: UNDEFINED_KIND } : {}
  const named = known.filter((resource) => resource.kind === kind)
  if (named.length > 0) {
    const right = named.map(apiVersionOf).join(' or ')
    return {
      problem: problem('apiVersion', `is not a version of ${kind} that Gantry serves`, {
        value: showValue(apiVersion),
        remedy: `write apiVersion: ${right}`,
        ...undefinedYet,
      }),
    }
  }
  if (isUnserved(apiVersion, kind))
    return {
      problem: problem('kind', `${kind}: ${UNSUPPORTED_MESSAGE}`, {
        remedy: servedAlternative(kind) ?? 'leave this object out',
        unsupported: true,
      }),
    }
  const meant = nearest(
    kind,
    known.map((resource) => resource.kind),
  )
  const remedy =
    meant === undefined ? `Gantry has ${known.map((resource) => resource.kind).join(', ')}` : `did you mean ${meant}?`
  return { problem: problem('kind', 'is not a known kind', { value: showValue(kind), remedy, ...undefinedYet }) }
}
