/** Names, annotations and owners. https://kubernetes.io/docs/concepts/overview/working-with-objects/ */
import type { AnyResource, LabelSelector, ObjectMeta } from '../gen/types.ts'
import { formatRule, type Format } from '../base/format.ts'
import { entryPath, fieldPath } from '../base/path.ts'
import { resourceOf } from '../schema/schema.ts'
import type { Report } from './report.ts'

/** Bytes of all annotations, keys and texts together. */
const ANNOTATIONS_LIMIT = 256 * 1024
/** What generateName adds. */
const SUFFIX_LENGTH = 5

export function validateMetadata(report: Report, { kind, metadata }: AnyResource): void {
  const { name, generateName = '', namespace } = metadata
  const { namespaced, nameFormat = 'dnsSubdomain' } = resourceOf(kind)
  const format = formatRule(nameFormat)
  if (name === '' && generateName === '') report.missing('metadata.name', 'give the object a name')
  else if (name !== '') validateName(report, 'metadata.name', name, format)
  else
    validateName(report, 'metadata.generateName', generateName, (value) =>
      format(String(value) + 'x'.repeat(SUFFIX_LENGTH)),
    )
  if (!namespaced && namespace !== '')
    report.wrong(
      'metadata.namespace',
      namespace,
      `is not allowed, a ${kind} belongs to no namespace`,
      'leave it out',
      'FieldValueForbidden',
    )
  validateAnnotations(report, 'metadata', metadata)
  validateOwners(report, metadata)
}

function validateName(report: Report, path: string, name: string, format: Format): void {
  const flaw = format(name)
  if (flaw !== undefined) report.wrong(path, name, flaw.message, flaw.remedy)
}

/** Also of a pod template. */
export function validateAnnotations(report: Report, path: string, { annotations = {} }: ObjectMeta): void {
  const size = Object.entries(annotations).reduce(
    (sum, [key, value]) => sum + Buffer.byteLength(key) + Buffer.byteLength(value),
    0,
  )
  if (size > ANNOTATIONS_LIMIT)
    report.refused(
      fieldPath(path, 'annotations'),
      `have ${size} bytes, at most ${ANNOTATIONS_LIMIT} are allowed`,
      'keep large texts in a ConfigMap',
      'FieldValueTooLong',
    )
}

function validateOwners(report: Report, { ownerReferences = [] }: ObjectMeta): void {
  const controllers = ownerReferences.filter((owner) => owner.controller === true)
  if (controllers.length > 1) {
    report.refused(
      'metadata.ownerReferences',
      `have ${controllers.length} controllers (${controllers.map((owner) => `${owner.kind} ${owner.name}`).join(', ')}), at most one is allowed`,
      'keep one',
      'FieldValueInvalid',
    )
  }
}

/** Identity does not change. */
export function validateMetadataUpdate(report: Report, next: ObjectMeta, previous: ObjectMeta): void {
  for (const name of ['name', 'namespace', 'uid'] as const) {
    if (next[name] !== previous[name]) report.immutable(`metadata.${name}`, next[name], `it is ${previous[name]}`)
  }
  if (previous.deletionTimestamp === undefined) return
  const known = new Set(previous.finalizers)
  const added = (next.finalizers ?? []).filter((finalizer) => !known.has(finalizer))
  for (const finalizer of added)
    report.wrong(
      'metadata.finalizers',
      finalizer,
      'cannot be added, the object is being deleted',
      'finalizers can only be taken out now',
      'FieldValueForbidden',
    )
}

/** Operators have the values they need; true if they do. */
export function validateSelector(report: Report, path: string, { matchExpressions = [] }: LabelSelector): boolean {
  const before = report.details.length
  let known = true
  matchExpressions.forEach(({ operator, values = [] }, index) => {
    const at = fieldPath(entryPath(fieldPath(path, 'matchExpressions'), index), 'values')
    switch (operator) {
      case 'In':
      case 'NotIn':
        if (values.length === 0) report.missing(at, `${operator} needs at least one`)
        break
      case 'Exists':
      case 'DoesNotExist':
        if (values.length > 0)
          report.wrong(at, values, `are not allowed with ${operator}`, 'leave them out', 'FieldValueForbidden')
        break
      default: // absent or unknown: the schema's rules report it
        known = false
    }
  })
  return known && report.details.length === before
}
