/** Kinds by what a manifest calls them, and what to say of a name that is none. */
import type { Kind } from '../gen/types.ts'
import { nearest } from './nearest.ts'
import { NOT_YET, problem, showValue, type Problem } from './problem.ts'
import { apiVersionOf, findKind, resources } from './schema.ts'

/** Kinds of Kubernetes' own API that Gantry does not serve, by group. https://kubernetes.io/docs/reference/kubernetes-api/ */
const ELSEWHERE: Readonly<Record<string, string>> = {
  '': 'Binding ComponentStatus Endpoints LimitRange PersistentVolume PersistentVolumeClaim PodTemplate ReplicationController ResourceQuota Service ServiceAccount',
  'admissionregistration.k8s.io': 'MutatingWebhookConfiguration ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding ValidatingWebhookConfiguration',
  'apiextensions.k8s.io': 'CustomResourceDefinition',
  'apiregistration.k8s.io': 'APIService',
  apps: 'ControllerRevision DaemonSet StatefulSet',
  autoscaling: 'HorizontalPodAutoscaler',
  batch: 'CronJob Job',
  'certificates.k8s.io': 'CertificateSigningRequest',
  'discovery.k8s.io': 'EndpointSlice',
  'flowcontrol.apiserver.k8s.io': 'FlowSchema PriorityLevelConfiguration',
  'networking.k8s.io': 'IPAddress Ingress IngressClass NetworkPolicy ServiceCIDR',
  'node.k8s.io': 'RuntimeClass',
  policy: 'PodDisruptionBudget',
  'rbac.authorization.k8s.io': 'ClusterRole ClusterRoleBinding Role RoleBinding',
  'resource.k8s.io': 'DeviceClass ResourceClaim ResourceClaimTemplate ResourceSlice',
  'scheduling.k8s.io': 'PriorityClass',
  'storage.k8s.io': 'CSIDriver CSINode CSIStorageCapacity StorageClass VolumeAttachment VolumeAttributesClass',
}

/** Short names that people type for some of them. */
const ELSEWHERE_SHORT: Readonly<Record<string, string>> = {
  cj: 'CronJob', crd: 'CustomResourceDefinition', ds: 'DaemonSet', ep: 'Endpoints', hpa: 'HorizontalPodAutoscaler', ing: 'Ingress', limits: 'LimitRange',
  netpol: 'NetworkPolicy', pc: 'PriorityClass', pdb: 'PodDisruptionBudget', pv: 'PersistentVolume', pvc: 'PersistentVolumeClaim', quota: 'ResourceQuota',
  rc: 'ReplicationController', sa: 'ServiceAccount', sc: 'StorageClass', sts: 'StatefulSet', svc: 'Service',
}

/** The kind of Kubernetes' own API that a word of a command line means (`svc`, `services`, `Service`) and that Gantry does not serve; undefined if none. */
export function kindElsewhere(word: string): string | undefined {
  const typed = word.toLowerCase().split('.')[0]!
  const kinds = Object.values(ELSEWHERE).flatMap((names) => names.split(' '))
  if (Object.hasOwn(ELSEWHERE_SHORT, typed)) return ELSEWHERE_SHORT[typed]
  return kinds.find((kind) => [kind, `${kind}s`, `${kind}es`, kind.replace(/y$/, 'ies')].some((name) => name.toLowerCase() === typed))
}

function isElsewhere(apiVersion: string, kind: string): boolean {
  const group = apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : ''
  return ELSEWHERE[group]?.split(' ').includes(kind) === true
}

/** The kind of that name in that version, or the problem with the two names. */
export function findAnyKind(apiVersion: string, kind: string): { kind: Kind } | { problem: Problem } {
  const found = findKind(apiVersion, kind)
  if (found !== undefined) return { kind: found }
  const named = resources.filter((resource) => resource.kind === kind)
  if (named.length > 0) {
    const right = named.map(apiVersionOf).join(' or ')
    return { problem: problem('apiVersion', `is not a version of ${kind} that Gantry serves`, { value: showValue(apiVersion), remedy: `write apiVersion: ${right}` }) }
  }
  if (isElsewhere(apiVersion, kind)) return { problem: problem('kind', `${kind}: ${NOT_YET}`, { remedy: 'leave this object out', unsupported: true }) }
  const meant = nearest(kind, resources.map((resource) => resource.kind))
  const remedy = meant === undefined ? `Gantry has ${resources.map((resource) => resource.kind).join(', ')}` : `did you mean ${meant}?`
  return { problem: problem('kind', 'is not a known kind', { value: showValue(kind), remedy }) }
}
