/** Pods and pod templates. https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/ */
import type { Container, PodSecurityContext, PodSpec, Toleration, TopologySpreadConstraint } from '../gen/types.ts'
import { HostPortSet, type HostPortClaim } from '../objects/host-ports.ts'
import { entryPath, fieldPath } from '../base/path.ts'
import { validateContainer, validateSeccomp } from './container.ts'
import { validateSelector } from './metadata.ts'
import { listNames, type Report } from './report.ts'
import { validateDns } from './pod-dns.ts'
import { validateVolume } from './volume.ts'

/** Seconds; the largest that Kubernetes takes. */
const DEADLINE_LIMIT = 2 ** 31 - 1

/** What the volume's name begins with that the control plane adds to a pod for its account's token. */
const ACCOUNT_VOLUME = 'kube-api-access-'

export function validatePodSpec(report: Report, path: string, spec: PodSpec): void {
  validateContainers(report, path, spec)
  spec.volumes?.forEach((volume, index) => validateVolume(report, entryPath(fieldPath(path, 'volumes'), index), volume))
  if (spec.activeDeadlineSeconds !== undefined && spec.activeDeadlineSeconds > DEADLINE_LIMIT) {
    report.wrong(
      fieldPath(path, 'activeDeadlineSeconds'),
      spec.activeDeadlineSeconds,
      'is too large',
      `give a number from 1 to ${DEADLINE_LIMIT}`,
    )
  }
  if (spec.hostPID === true && spec.shareProcessNamespace === true) {
    report.wrong(
      fieldPath(path, 'shareProcessNamespace'),
      true,
      "cannot stand beside hostPID: the processes are the node's then",
      'keep one of the two',
    )
  }
  if (
    spec.serviceAccount !== undefined &&
    spec.serviceAccountName !== undefined &&
    spec.serviceAccount !== spec.serviceAccountName
  ) {
    report.wrong(
      fieldPath(path, 'serviceAccount'),
      spec.serviceAccount,
      'differs from serviceAccountName',
      'keep serviceAccountName',
    )
  }
  spec.imagePullSecrets?.forEach(({ name }, index) => {
    if ((name ?? '') === '') report.missing(fieldPath(entryPath(fieldPath(path, 'imagePullSecrets'), index), 'name'))
  })
  validateDns(report, path, spec)
  validateHostPorts(report, path, spec)
  spec.tolerations?.forEach((toleration, index) =>
    validateToleration(report, entryPath(fieldPath(path, 'tolerations'), index), toleration),
  )
  spec.topologySpreadConstraints?.forEach((constraint, index) =>
    validateSpread(report, entryPath(fieldPath(path, 'topologySpreadConstraints'), index), constraint),
  )
  validateProcMounts(report, path, spec)
  if (spec.securityContext !== undefined)
    validateSecurity(report, fieldPath(path, 'securityContext'), spec.securityContext, spec)
}

/** All of /proc is for the pod's own user namespace: without one, what /proc tells of and leads to is the node's. */
function validateProcMounts(
  report: Report,
  path: string,
  { containers, initContainers = [], ephemeralContainers = [], hostUsers }: PodSpec,
): void {
  if (hostUsers === false) return
  for (const [field, list] of Object.entries({ initContainers, containers, ephemeralContainers })) {
    list.forEach(({ securityContext }, index) => {
      if (securityContext?.procMount !== 'Unmasked') return
      report.wrong(
        fieldPath(entryPath(fieldPath(path, field), index), 'securityContext.procMount'),
        'Unmasked',
        'needs hostUsers: false',
        'leave it out: pods have no user namespace of their own yet',
      )
    })
  }
}

/** They come to a pod that runs. */
export function refuseEphemeralContainers(report: Report, path: string, { ephemeralContainers = [] }: PodSpec): void {
  if (ephemeralContainers.length > 0)
    report.refused(
      fieldPath(path, 'ephemeralContainers'),
      'cannot be there from the beginning',
      'add them to the pod once it is there, by its subresource ephemeralcontainers: kubectl debug',
    )
}

function validateContainers(
  report: Report,
  path: string,
  {
    containers,
    initContainers = [],
    ephemeralContainers = [],
    volumes = [],
    restartPolicy,
    terminationGracePeriodSeconds,
  }: PodSpec,
): void {
  const names = new Set(containers.map(({ name }) => name))
  const volumeNames = new Set(volumes.map((volume) => volume.name))
  const pod = {
    volumes: volumeNames,
    // The volume of the account's token is there for every container by itself, and nobody names it.
    volumesToName: listNames([...volumeNames].filter((name) => !name.startsWith(ACCOUNT_VOLUME))),
    containers: new Set([...initContainers, ...containers].map((container) => container.name)),
    terminationGracePeriodSeconds,
  }
  for (const [field, list] of Object.entries({ initContainers, containers })) {
    list.forEach((container, index) => {
      const at = entryPath(fieldPath(path, field), index)
      if (field === 'initContainers' && names.has(container.name))
        report.wrong(
          fieldPath(at, 'name'),
          container.name,
          'is the name of a container, too',
          'choose another',
          'FieldValueDuplicate',
        )
      if (field === 'containers' && container.restartPolicy !== undefined)
        report.refused(
          fieldPath(at, 'restartPolicy'),
          'is for init containers only',
          'say it of the pod, or make it an init container to run beside the others',
        )
      validateContainer(report, at, container, {
        ...pod,
        init: field === 'initContainers' && container.restartPolicy !== 'Always',
      })
      validateResizePolicy(report, fieldPath(at, 'resizePolicy'), container, restartPolicy)
    })
  }
  ephemeralContainers.forEach((container, index) => {
    const at = entryPath(fieldPath(path, 'ephemeralContainers'), index)
    if (pod.containers.has(container.name))
      report.wrong(
        fieldPath(at, 'name'),
        container.name,
        'is the name of another container of the pod',
        'choose another',
        'FieldValueDuplicate',
      )
    const { targetContainerName: target = '' } = container
    if (target !== '' && !pod.containers.has(target))
      report.wrong(
        fieldPath(at, 'targetContainerName'),
        target,
        'is not a container of this pod',
        `use ${listNames(pod.containers)}`,
        'FieldValueNotFound',
      )
    validateContainer(report, at, container, { ...pod, init: false })
  })
}

/**
 * A restart with the new resources is none where nothing is ever started again.
 * https://kubernetes.io/docs/tasks/configure-pod-container/resize-container-resources/
 */
function validateResizePolicy(
  report: Report,
  path: string,
  { resizePolicy = [], restartPolicy: own }: Container,
  restartPolicy: PodSpec['restartPolicy'],
): void {
  resizePolicy.forEach(({ restartPolicy: asked }) => {
    if (asked === 'RestartContainer' && restartPolicy === 'Never' && own !== 'Always')
      report.wrong(path, asked, "cannot be: the pod's restartPolicy is Never", 'use NotRequired')
  })
}

/** One port of the node leads to one port of the pod. In the node's network there is nothing to lead. */
function validateHostPorts(
  report: Report,
  path: string,
  { containers, initContainers = [], hostNetwork }: PodSpec,
): void {
  const seen = new HostPortSet()
  for (const [field, list] of Object.entries({ initContainers, containers })) {
    list.forEach(({ ports = [] }, index) =>
      ports.forEach(({ hostPort = 0, containerPort, hostIP = '', protocol }, at) => {
        if (hostPort === 0) return
        const place = entryPath(fieldPath(entryPath(fieldPath(path, field), index), 'ports'), at)
        const claim: HostPortClaim = { protocol, port: hostPort, address: hostIP }
        if (hostNetwork === true && hostPort !== containerPort)
          report.wrong(
            fieldPath(place, 'hostPort'),
            hostPort,
            `differs from containerPort, and the pod is in the node's network`,
            `leave it out, or say ${containerPort}`,
          )
        if (field === 'containers' && seen.clashesWith(claim))
          report.wrong(
            fieldPath(place, 'hostPort'),
            hostPort,
            'is the host port of another port of the pod',
            'choose another',
            'FieldValueDuplicate',
          )
        seen.add(claim)
      }),
    )
  }
}

function validateToleration(
  report: Report,
  path: string,
  { key = '', operator = 'Equal', value = '', effect, tolerationSeconds }: Toleration,
): void {
  if (key === '' && operator !== 'Exists')
    report.wrong(fieldPath(path, 'operator'), operator, 'needs a key', 'give a key, or use Exists for every taint')
  if (operator === 'Exists' && value !== '')
    report.wrong(fieldPath(path, 'operator'), operator, 'does not go with a value', 'leave the value out, or use Equal')
  if (tolerationSeconds !== undefined && effect !== 'NoExecute')
    report.wrong(
      fieldPath(path, 'effect'),
      effect ?? '',
      'does not go with tolerationSeconds',
      'leave tolerationSeconds out, or say effect: NoExecute',
    )
}

function validateSpread(report: Report, path: string, constraint: TopologySpreadConstraint): void {
  const { labelSelector, minDomains, whenUnsatisfiable, matchLabelKeys = [] } = constraint
  if (minDomains !== undefined && whenUnsatisfiable !== 'DoNotSchedule')
    report.wrong(fieldPath(path, 'minDomains'), minDomains, 'is for DoNotSchedule only', 'leave it out')
  if (labelSelector !== undefined) validateSelector(report, fieldPath(path, 'labelSelector'), labelSelector)
  if (matchLabelKeys.length > 0 && labelSelector === undefined)
    report.refused(fieldPath(path, 'matchLabelKeys'), 'needs a labelSelector to add to', 'give a labelSelector')
  const expressed = new Set(labelSelector?.matchExpressions?.map(({ key }) => key))
  matchLabelKeys.forEach((key, index) => {
    if (labelSelector?.matchLabels?.[key] !== undefined || expressed.has(key))
      report.wrong(
        entryPath(fieldPath(path, 'matchLabelKeys'), index),
        key,
        'is in labelSelector already',
        'name it in one of the two',
      )
  })
}

/**
 * Kernel settings that belong to a pod's namespaces, by the namespace.
 * https://kubernetes.io/docs/tasks/administer-cluster/sysctl-cluster/
 */
const SYSCTLS: readonly { readonly pattern: RegExp; readonly host: 'hostIPC' | 'hostNetwork' }[] = [
  { pattern: /^(kernel\.(shm|msg)\w+|kernel\.sem|fs\.mqueue\..+)$/, host: 'hostIPC' },
  { pattern: /^net\..+$/, host: 'hostNetwork' },
]

function validateSecurity(
  report: Report,
  path: string,
  { sysctls = [], seccompProfile }: PodSecurityContext,
  spec: PodSpec,
): void {
  if (seccompProfile !== undefined) validateSeccomp(report, fieldPath(path, 'seccompProfile'), seccompProfile)
  const seen = new Set<string>()
  sysctls.forEach(({ name }, index) => {
    if (name === undefined) return
    const at = fieldPath(entryPath(fieldPath(path, 'sysctls'), index), 'name')
    const setting = name.replaceAll('/', '.')
    const rule = SYSCTLS.find(({ pattern }) => pattern.test(setting))
    if (rule === undefined)
      report.wrong(
        at,
        name,
        "does not belong to a pod's namespaces",
        'use kernel.shm*, kernel.msg*, kernel.sem, fs.mqueue.* or net.*; set others on the node',
      )
    else if (spec[rule.host] === true)
      report.wrong(at, name, `cannot be set with ${rule.host}: it is the node's then`, 'set it on the node')
    if (seen.has(setting)) report.wrong(at, name, 'is set twice', 'keep one', 'FieldValueDuplicate')
    seen.add(setting)
  })
}
