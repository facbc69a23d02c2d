/**
 * References to the pod's own fields, from environment variables and from downwardAPI volumes.
 * https://kubernetes.io/docs/concepts/workloads/pods/downward-api/
 */
import type { ObjectFieldSelector, ResourceFieldSelector } from '../gen/types.ts'
import { fieldPath } from '../base/path.ts'
import type { Report } from './report.ts'
import { amountOf } from './resources.ts'

const COMMON_FIELDS = ['metadata.name', 'metadata.namespace', 'metadata.uid']
export const VOLUME_FIELDS: readonly string[] = [...COMMON_FIELDS, 'metadata.labels', 'metadata.annotations']
export const ENVIRONMENT_FIELDS: readonly string[] = [
  ...COMMON_FIELDS,
  'spec.nodeName',
  'spec.serviceAccountName',
  'status.hostIP',
  'status.hostIPs',
  'status.podIP',
  'status.podIPs',
]

/**
 * Fields of pods that Kubernetes knows; what it gives to some places only is not supported elsewhere, anything else is
 * invalid.
 */
const CONVERTED: ReadonlySet<string> = new Set([
  ...VOLUME_FIELDS,
  ...ENVIRONMENT_FIELDS,
  'spec.restartPolicy',
  'spec.schedulerName',
  'status.phase',
])

const ONE_ENTRY = /^metadata\.(labels|annotations)\['[^']+'\]$/
const RESOURCES = [
  'limits.cpu',
  'limits.memory',
  'limits.ephemeral-storage',
  'requests.cpu',
  'requests.memory',
  'requests.ephemeral-storage',
]
const DIVISORS: Readonly<Record<string, readonly string[]>> = {
  cpu: ['0', '1', '1m'],
  other: ['0', '1', '1k', '1M', '1G', '1T', '1P', '1E', '1Ki', '1Mi', '1Gi', '1Ti', '1Pi', '1Ei'],
}

export function validateFieldReference(
  report: Report,
  path: string,
  { apiVersion, fieldPath: field }: ObjectFieldSelector,
  known: readonly string[],
): void {
  if (apiVersion !== undefined && apiVersion !== 'v1')
    report.wrong(fieldPath(path, 'apiVersion'), apiVersion, 'is not the version of pods', 'write v1')
  if (field === undefined || field === '' || known.includes(field) || ONE_ENTRY.test(field)) return
  const reason = CONVERTED.has(field) ? 'FieldValueNotSupported' : 'FieldValueInvalid'
  report.wrong(
    fieldPath(path, 'fieldPath'),
    field,
    'is not a field that can be referred to here',
    `use ${known.join(', ')}, metadata.labels['KEY'] or metadata.annotations['KEY']`,
    reason,
  )
}

export function validateResourceReference(
  report: Report,
  path: string,
  { resource, divisor }: ResourceFieldSelector,
): void {
  if (resource === undefined || resource === '') return
  if (!RESOURCES.includes(resource))
    report.wrong(
      fieldPath(path, 'resource'),
      resource,
      'is not a resource that can be referred to',
      `use ${RESOURCES.join(', ')}`,
      'FieldValueNotSupported',
    )
  const allowed = DIVISORS[resource.endsWith('.cpu') ? 'cpu' : 'other']!
  if (divisor === undefined || allowed.some((text) => amountOf(text) === amountOf(divisor))) return
  report.wrong(
    fieldPath(path, 'divisor'),
    divisor,
    `is not a unit of ${resource}`,
    `use ${allowed.slice(1).join(', ')}`,
  )
}
