/** Pods and pod templates. https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/ */
import type { PodSecurityContext, PodSpec, Toleration, TopologySpreadConstraint } from '../../gen/types.ts'
import { entryPath, fieldPath } from '../path.ts'
import { validateContainer, validateSeccomp } from './container.ts'
import { validateSelector } from './metadata.ts'
import type { Report } from './report.ts'
import { validateVolume } from './volume.ts'

/** Seconds; the largest that Kubernetes takes. */
const DEADLINE_LIMIT = 2 ** 31 - 1

export function validatePodSpec(report: Report, path: string, spec: PodSpec): void {
  validateContainers(report, path, spec)
  spec.volumes?.forEach((volume, index) => validateVolume(report, entryPath(fieldPath(path, 'volumes'), index), volume))
  if (spec.activeDeadlineSeconds !== undefined && spec.activeDeadlineSeconds > DEADLINE_LIMIT) {
    report.wrong(fieldPath(path, 'activeDeadlineSeconds'), spec.activeDeadlineSeconds, 'is too large', `give a number from 1 to ${DEADLINE_LIMIT}`)
  }
  if (spec.hostPID === true && spec.shareProcessNamespace === true) {
    report.refused(fieldPath(path, 'shareProcessNamespace'), 'cannot stand beside hostPID: the processes are the node\'s then', 'keep one of the two')
  }
  if (spec.serviceAccount !== undefined && spec.serviceAccountName !== undefined && spec.serviceAccount !== spec.serviceAccountName) {
    report.wrong(fieldPath(path, 'serviceAccount'), spec.serviceAccount, 'differs from serviceAccountName', 'keep serviceAccountName')
  }
  spec.imagePullSecrets?.forEach(({ name }, index) => {
    if ((name ?? '') === '') report.missing(fieldPath(entryPath(fieldPath(path, 'imagePullSecrets'), index), 'name'))
  })
  spec.tolerations?.forEach((toleration, index) => validateToleration(report, entryPath(fieldPath(path, 'tolerations'), index), toleration))
  spec.topologySpreadConstraints?.forEach((constraint, index) => validateSpread(report, entryPath(fieldPath(path, 'topologySpreadConstraints'), index), constraint))
  if (spec.securityContext !== undefined) validateSecurity(report, fieldPath(path, 'securityContext'), spec.securityContext, spec)
}

function validateContainers(report: Report, path: string, { containers, initContainers = [], volumes = [] }: PodSpec): void {
  const names = new Set<string>()
  const pod = {
    volumes: new Set(volumes.map((volume) => volume.name)),
    containers: new Set([...initContainers, ...containers].map((container) => container.name)),
  }
  for (const [field, list] of Object.entries({ initContainers, containers })) {
    list.forEach((container, index) => {
      const at = entryPath(fieldPath(path, field), index)
      if (field === 'containers' && names.has(container.name)) report.wrong(fieldPath(at, 'name'), container.name, 'is the name of an init container', 'choose another')
      else if (field === 'initContainers') names.add(container.name)
      validateContainer(report, at, container, pod)
    })
  }
}

function validateToleration(report: Report, path: string, { key = '', operator = 'Equal', value = '', effect, tolerationSeconds }: Toleration): void {
  if (key === '' && operator !== 'Exists') report.wrong(fieldPath(path, 'operator'), operator, 'needs a key', 'give a key, or use Exists for every taint')
  if (operator === 'Exists' && value !== '') report.wrong(fieldPath(path, 'value'), value, 'is not allowed with Exists', 'leave it out, or use Equal')
  if (tolerationSeconds !== undefined && effect !== 'NoExecute') report.wrong(fieldPath(path, 'tolerationSeconds'), tolerationSeconds, 'is for effect NoExecute only', 'leave it out, or say effect: NoExecute')
}

function validateSpread(report: Report, path: string, constraint: TopologySpreadConstraint): void {
  const { labelSelector, minDomains, whenUnsatisfiable, matchLabelKeys = [] } = constraint
  if (minDomains !== undefined && whenUnsatisfiable !== 'DoNotSchedule') report.wrong(fieldPath(path, 'minDomains'), minDomains, 'is for DoNotSchedule only', 'leave it out')
  if (labelSelector !== undefined) validateSelector(report, fieldPath(path, 'labelSelector'), labelSelector)
  if (matchLabelKeys.length > 0 && labelSelector === undefined) report.refused(fieldPath(path, 'matchLabelKeys'), 'needs a labelSelector to add to', 'give a labelSelector')
  matchLabelKeys.forEach((key, index) => {
    const taken = labelSelector?.matchLabels?.[key] !== undefined || labelSelector?.matchExpressions?.some((item) => item.key === key) === true
    if (taken) report.wrong(entryPath(fieldPath(path, 'matchLabelKeys'), index), key, 'is in labelSelector already', 'name it in one of the two')
  })
}

/** Kernel settings that belong to a pod's namespaces, by the namespace. https://kubernetes.io/docs/tasks/administer-cluster/sysctl-cluster/ */
const SYSCTLS: readonly { readonly pattern: RegExp; readonly host: 'hostIPC' | 'hostNetwork' }[] = [
  { pattern: /^(kernel\.(shm|msg)\w+|kernel\.sem|fs\.mqueue\..+)$/, host: 'hostIPC' },
  { pattern: /^net\..+$/, host: 'hostNetwork' },
]

function validateSecurity(report: Report, path: string, { sysctls = [], seccompProfile }: PodSecurityContext, spec: PodSpec): void {
  if (seccompProfile !== undefined) validateSeccomp(report, fieldPath(path, 'seccompProfile'), seccompProfile)
  const seen = new Set<string>()
  sysctls.forEach(({ name }, index) => {
    if (name === undefined) return
    const at = fieldPath(entryPath(fieldPath(path, 'sysctls'), index), 'name')
    const setting = name.replaceAll('/', '.')
    const rule = SYSCTLS.find(({ pattern }) => pattern.test(setting))
    if (rule === undefined) report.wrong(at, name, 'does not belong to a pod\'s namespaces', 'use kernel.shm*, kernel.msg*, kernel.sem, fs.mqueue.* or net.*; set others on the node')
    else if (spec[rule.host] === true) report.wrong(at, name, `cannot be set with ${rule.host}: it is the node's then`, 'set it on the node')
    if (seen.has(setting)) report.wrong(at, name, 'is set twice', 'keep one')
    seen.add(setting)
  })
}
