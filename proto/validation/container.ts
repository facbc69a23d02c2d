/** Containers of a pod. https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#Container */
import type { Container, EnvFromSource, EnvVar, SeccompProfile, SecurityContext } from '../gen/types.ts'
import { entryPath, fieldPath } from '../base/path.ts'
import { ENVIRONMENT_FIELDS, validateFieldReference, validateResourceReference } from './references.ts'
import { refuseProbes, validateProbes } from './probe.ts'
import { exactlyOne, listNames, type Report } from './report.ts'
import { validateResources } from './resources.ts'

/** What of the pod a container may refer to; read once for all containers, of which a pod may have thousands. */
export interface PodNames {
  readonly volumes: ReadonlySet<string>
  /** Those of them that a remedy tells of, as `listNames` writes them. */
  readonly volumesToName: string
  readonly containers: ReadonlySet<string>
  /** Seconds. */
  readonly terminationGracePeriodSeconds: number
  /** The container is done before the others start. */
  readonly init: boolean
}

export function validateContainer(report: Report, path: string, container: Container, pod: PodNames): void {
  if (container.image === undefined || container.image === '') report.missing(fieldPath(path, 'image'))
  container.env?.forEach((variable, index) =>
    validateVariable(report, entryPath(fieldPath(path, 'env'), index), variable, pod),
  )
  container.envFrom?.forEach((source, index) =>
    validateEnvFrom(report, entryPath(fieldPath(path, 'envFrom'), index), source),
  )
  if (container.resources !== undefined) validateResources(report, fieldPath(path, 'resources'), container.resources)
  validatePortNames(report, fieldPath(path, 'ports'), container)
  validateMounts(report, fieldPath(path, 'volumeMounts'), container, pod)
  if (container.securityContext !== undefined)
    validateSecurityContext(report, fieldPath(path, 'securityContext'), container.securityContext)
  if (pod.init) refuseProbes(report, path, container)
  else validateProbes(report, path, container, pod)
}

function validateVariable(report: Report, path: string, { value, valueFrom }: EnvVar, pod: PodNames): void {
  if (valueFrom === undefined) return
  const at = fieldPath(path, 'valueFrom')
  if (value !== undefined && value !== '')
    report.refused(at, 'cannot stand beside value', 'keep one of the two', 'FieldValueInvalid')
  const { fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef } = valueFrom
  exactlyOne(report, at, valueFrom, ['fieldRef', 'resourceFieldRef', 'configMapKeyRef', 'secretKeyRef'], {
    none: 'FieldValueInvalid',
    many: 'FieldValueInvalid',
  })
  if (fieldRef !== undefined) validateFieldReference(report, fieldPath(at, 'fieldRef'), fieldRef, ENVIRONMENT_FIELDS)
  if (resourceFieldRef !== undefined) {
    validateResourceReference(report, fieldPath(at, 'resourceFieldRef'), resourceFieldRef)
    const { containerName } = resourceFieldRef
    if (containerName !== undefined && containerName !== '' && !pod.containers.has(containerName)) {
      report.wrong(
        fieldPath(at, 'resourceFieldRef.containerName'),
        containerName,
        'is not a container of this pod',
        `use ${listNames(pod.containers)}`,
        'FieldValueNotFound',
      )
    }
  }
  for (const [name, reference] of Object.entries({ configMapKeyRef, secretKeyRef })) {
    if (reference !== undefined && (reference.name ?? '') === '') report.missing(fieldPath(at, `${name}.name`))
  }
}

function validateEnvFrom(report: Report, path: string, source: EnvFromSource): void {
  const name = exactlyOne(report, path, source, ['configMapRef', 'secretRef'], {
    none: 'FieldValueInvalid',
    many: 'FieldValueInvalid',
  })
  if (name === 'configMapRef' || name === 'secretRef') {
    if ((source[name]?.name ?? '') === '') report.missing(fieldPath(path, `${name}.name`))
  }
}

function validatePortNames(report: Report, path: string, { ports = [] }: Container): void {
  const seen = new Set<string>()
  ports.forEach(({ name }, index) => {
    if (name === undefined) return
    if (seen.has(name))
      report.wrong(
        fieldPath(entryPath(path, index), 'name'),
        name,
        'is the name of a port before',
        'choose another',
        'FieldValueDuplicate',
      )
    seen.add(name)
  })
}

function validateMounts(
  report: Report,
  path: string,
  { volumeMounts = [], securityContext }: Container,
  { volumes, volumesToName }: PodNames,
): void {
  volumeMounts.forEach(({ name, mountPropagation, subPath = '', subPathExpr = '' }, index) => {
    const at = entryPath(path, index)
    if (name !== undefined && name !== '' && !volumes.has(name)) {
      report.wrong(
        fieldPath(at, 'name'),
        name,
        'is not a volume of this pod',
        volumesToName === '' ? 'add it under volumes' : `add it under volumes, or use ${volumesToName}`,
        'FieldValueNotFound',
      )
    }
    if (subPath !== '' && subPathExpr !== '')
      report.wrong(fieldPath(at, 'subPathExpr'), subPathExpr, 'cannot stand beside subPath', 'keep one of the two')
    if (mountPropagation === 'Bidirectional' && securityContext?.privileged !== true) {
      report.wrong(
        fieldPath(at, 'mountPropagation'),
        mountPropagation,
        'is for privileged containers only',
        'use HostToContainer',
        'FieldValueForbidden',
      )
    }
  })
}

function validateSecurityContext(report: Report, path: string, context: SecurityContext): void {
  const { privileged, capabilities, allowPrivilegeEscalation, seccompProfile } = context
  const added = (capabilities?.add ?? []).map((name) => name.replace(/^CAP_/, ''))
  if (allowPrivilegeEscalation === false && (privileged === true || added.includes('SYS_ADMIN'))) {
    report.refused(
      path,
      `has allowPrivilegeEscalation: false, which cannot be held with ${privileged === true ? 'privileged: true' : 'capability SYS_ADMIN'}`,
      'leave one of the two out',
      'FieldValueInvalid',
    )
  }
  if (seccompProfile !== undefined) validateSeccomp(report, fieldPath(path, 'seccompProfile'), seccompProfile)
}

/** Also of a pod's security context. */
export function validateSeccomp(report: Report, path: string, { type, localhostProfile }: SeccompProfile): void {
  const at = fieldPath(path, 'localhostProfile')
  if (type === 'Localhost' && (localhostProfile ?? '') === '') report.missing(at, 'name a file of the node')
  if (type !== 'Localhost' && localhostProfile !== undefined)
    report.wrong(at, localhostProfile, `is not allowed with type ${type}`, 'leave it out, or use type Localhost')
}
