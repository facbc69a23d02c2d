/**
 * CustomResourceDefinitions.
 * https://kubernetes.io/docs/reference/kubernetes-api/extend-resources/custom-resource-definition-v1/ Rules in CEL are
 * compiled by the controller.
 */
import { isConditionTrue } from '../objects/conditions.ts'
import type { CustomResourceDefinition, CustomResourceDefinitionVersion, JSONSchemaProps } from '../gen/types.ts'
import { fieldSchemaOf } from '../schema/custom/coerce.ts'
import { validateStructural } from './custom/structural.ts'
import { GantryError } from '../base/errors.ts'
import { parseSinglePath } from '../base/jsonpath/jsonpath.ts'
import { entryPath, fieldPath } from '../base/path.ts'
import { UNSUPPORTED_MESSAGE } from '../base/problem.ts'
import type { KindRules } from './kind-rules.ts'
import type { Report } from './report.ts'

export const definitionRules: KindRules<'CustomResourceDefinition'> = {
  object: validateDefinition,
  update: validateDefinitionUpdate,
}

/** https://github.com/kubernetes/enhancements/pull/1111: who owns such a group says so. */
const APPROVAL = 'api-approved.kubernetes.io'
const LABEL_1035 = /^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/
const SELECTABLE = 8
const SIMPLE_PATH = /^(\.[A-Za-z_][\w-]*)+$/

function validateDefinition(report: Report, { metadata, spec }: CustomResourceDefinition): void {
  const { group, names, versions, conversion } = spec
  if (names === undefined || group === undefined) return // told already
  const wanted = `${names.plural}.${group}`
  if (metadata.name !== wanted)
    report.wrong('metadata.name', metadata.name, `must be spec.names.plural+"."+spec.group`, `call it ${wanted}`)
  if (!group.includes('.')) report.wrong('spec.group', group, 'should be a domain with at least one dot')
  if (/(^|\.)(k8s|kubernetes)\.io$/.test(group) && metadata.annotations?.[APPROVAL] === undefined) {
    report.missing(
      `metadata.annotations[${APPROVAL}]`,
      `groups below k8s.io and kubernetes.io are Kubernetes' own: name where it was approved, or "unapproved, …"`,
    )
  }
  for (const [field, value] of [
    ['kind', names.kind],
    ['listKind', names.listKind],
  ] as const) {
    if (value !== undefined && value !== '' && !LABEL_1035.test(value.toLowerCase()))
      report.wrong(
        `spec.names.${field}`,
        value,
        'may have lower and upper case versions of a DNS-1035 label',
        'write it as CronTab',
      )
  }
  if (names.listKind === names.kind)
    report.wrong('spec.names.listKind', names.listKind, 'and kind must not be the same')
  if (conversion?.strategy === 'Webhook')
    report.refused(
      'spec.conversion.strategy',
      `Webhook: ${UNSUPPORTED_MESSAGE}: versions differ in apiVersion only`,
      'write None',
    )
  const stored = versions.filter(({ storage }) => storage)
  if (stored.length !== 1)
    report.wrong(
      'spec.versions',
      stored.map(({ name }) => name),
      'must have exactly one version marked as storage version',
    )
  versions.forEach((version, index) => {
    const path = entryPath('spec.versions', index)
    if (versions.findIndex(({ name }) => name === version.name) !== index)
      report.wrong('spec.versions', version.name, 'comes twice: must contain unique version names', 'keep one')
    validateVersion(report, version, path)
  })
}

function validateVersion(report: Report, version: CustomResourceDefinitionVersion, path: string): void {
  const {
    name,
    schema,
    subresources,
    additionalPrinterColumns = [],
    deprecated,
    deprecationWarning,
    selectableFields = [],
  } = version
  if (name !== undefined && !LABEL_1035.test(name))
    report.wrong(fieldPath(path, 'name'), name, 'is not a DNS-1035 label', 'write it as v1 or v1beta1')
  const root = schema?.openAPIV3Schema
  if (root === undefined) report.missing(fieldPath(path, 'schema.openAPIV3Schema'), 'schemas are required')
  else validateStructural(report, root, fieldPath(path, 'schema.openAPIV3Schema'))
  if (deprecationWarning !== undefined && deprecated !== true)
    report.wrong(fieldPath(path, 'deprecationWarning'), deprecationWarning, 'can only be set for deprecated versions')
  if (subresources?.scale !== undefined)
    validateScale(report, subresources.scale, fieldPath(path, 'subresources.scale'))
  additionalPrinterColumns.forEach(({ jsonPath = '', priority = 0 }, index) => {
    const at = entryPath(fieldPath(path, 'additionalPrinterColumns'), index)
    if (priority < 0) report.wrong(fieldPath(at, 'priority'), priority, 'must be greater than or equal to 0')
    if (jsonPath !== '') validateColumnPath(report, jsonPath, fieldPath(at, 'jsonPath'))
  })
  if (selectableFields.length > SELECTABLE)
    report.wrong(
      fieldPath(path, 'selectableFields'),
      selectableFields.length,
      `must have at most ${SELECTABLE} items`,
      '',
      'FieldValueTooMany',
    )
  selectableFields.forEach(({ jsonPath = '' }, index) =>
    validateSelectable(
      report,
      jsonPath,
      root,
      fieldPath(entryPath(fieldPath(path, 'selectableFields'), index), 'jsonPath'),
    ),
  )
}

function validateColumnPath(report: Report, jsonPath: string, path: string): void {
  try {
    parseSinglePath(jsonPath)
  } catch (thrown) {
    report.wrong(path, jsonPath, `is not a JSONPath: ${GantryError.from(thrown).message}`)
  }
}

function validateScale(
  report: Report,
  scale: { specReplicasPath?: string; statusReplicasPath?: string; labelSelectorPath?: string | undefined },
  path: string,
): void {
  const check = (name: keyof typeof scale, roots: readonly string[]): void => {
    const value = scale[name] ?? ''
    if (value === '') return // required ones are told already
    if (!SIMPLE_PATH.test(value))
      report.wrong(fieldPath(path, name), value, 'should be a json path without array notation')
    else if (!roots.some((root) => value.startsWith(`${root}.`)))
      report.wrong(fieldPath(path, name), value, `should be a json path under ${roots.join(' or ')}`)
  }
  check('specReplicasPath', ['.spec'])
  check('statusReplicasPath', ['.status'])
  check('labelSelectorPath', ['.spec', '.status'])
}

function validateSelectable(report: Report, jsonPath: string, root: JSONSchemaProps | undefined, path: string): void {
  if (!SIMPLE_PATH.test(jsonPath)) return report.wrong(path, jsonPath, 'is an invalid path: write it as .spec.color')
  if (jsonPath.startsWith('.metadata')) return report.wrong(path, jsonPath, 'must not point to fields in metadata')
  const schema = jsonPath
    .slice(1)
    .split('.')
    .reduce<ReturnType<typeof fieldSchemaOf>>(
      (found, name) => (found === undefined || found === 'anything' ? undefined : fieldSchemaOf(found, name)),
      root,
    )
  if (schema === undefined || schema === 'anything')
    return report.wrong(path, jsonPath, 'is an invalid path: does not refer to a valid field')
  if (!['string', 'integer', 'boolean'].includes(schema.type ?? ''))
    report.wrong(path, jsonPath, 'must point to a field of type string, boolean or integer')
}

/** What of a definition may change. */
function validateDefinitionUpdate(
  report: Report,
  next: CustomResourceDefinition,
  previous: CustomResourceDefinition,
): void {
  const kept = new Set(next.spec.versions.map(({ name }) => name))
  for (const [index, version] of (previous.status.storedVersions ?? []).entries()) {
    if (!kept.has(version))
      report.wrong(
        entryPath('status.storedVersions', index),
        version,
        'must appear in spec.versions: objects are stored in it',
        'write every object once in the version that is stored, and take it out of status.storedVersions',
      )
  }
  const established = isConditionTrue(previous.status.conditions, 'Established')
  if (established && next.spec.names.kind !== previous.spec.names.kind)
    report.wrong(
      'spec.names.kind',
      next.spec.names.kind,
      'cannot be changed once the definition is established: field is immutable',
      `it is ${previous.spec.names.kind}`,
    )
}
