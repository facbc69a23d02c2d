/**
 * Whether a schema is structural: every field has a type, and what holds of it can be said without knowing the object.
 * https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
 */
import type { JSONSchemaProps } from '../../gen/types.ts'
import { entryPath, fieldPath } from '../../base/path.ts'
import { Report } from '../report.ts'
import { itemSchema, prune } from '../../schema/custom/coerce.ts'
import { patternFlaw } from './pattern.ts'
import { validateSchema } from './validation.ts'

const TYPES = ['array', 'boolean', 'integer', 'number', 'object', 'string']
const SCALARS: ReadonlySet<string> = new Set(['boolean', 'integer', 'number', 'string'])
const FORBIDDEN = ['definitions', 'dependencies', 'patternProperties', 'additionalItems', 'id', '$ref'] as const
/** What may not be said within allOf, anyOf, oneOf and not: it would depend on the value. */
const FORBIDDEN_IN_LOGIC = [
  'description',
  'title',
  'type',
  'default',
  'additionalProperties',
  'nullable',
  'x-kubernetes-preserve-unknown-fields',
  'x-kubernetes-embedded-resource',
  'x-kubernetes-int-or-string',
  'x-kubernetes-list-type',
  'x-kubernetes-list-map-keys',
  'x-kubernetes-map-type',
  'x-kubernetes-validations',
] as const
/** How deep schemas may lie in each other. */
const DEEPEST = 100

export function validateStructural(report: Report, schema: JSONSchemaProps, path: string): void {
  if ((schema.type ?? '') === '') report.missing(fieldPath(path, 'type'), 'write type: object')
  else if (schema.type !== 'object') report.wrong(fieldPath(path, 'type'), schema.type, 'must be object at the root')
  if (schema['x-kubernetes-embedded-resource'] === true)
    report.refused(fieldPath(path, 'x-kubernetes-embedded-resource'), 'is not allowed at the root')
  if (schema['x-kubernetes-map-type'] === 'atomic')
    report.refused(fieldPath(path, 'x-kubernetes-map-type'), 'is not allowed at the root')
  if (schema.nullable === true) report.refused(fieldPath(path, 'nullable'), 'is not allowed at the root')
  if (schema.default !== undefined) report.refused(fieldPath(path, 'default'), 'is not allowed at the root')
  validateMetadataSchema(report, schema.properties?.metadata, entryPath(fieldPath(path, 'properties'), 'metadata'))
  validateLevel(report, schema, path, 0)
}

/** The object's own metadata is not the schema's affair, but for the form of its name. */
function validateMetadataSchema(report: Report, metadata: JSONSchemaProps | undefined, path: string): void {
  for (const [name, property] of Object.entries(metadata?.properties ?? {})) {
    const at = entryPath(fieldPath(path, 'properties'), name)
    if (name !== 'name' && name !== 'generateName')
      report.refused(at, 'is not allowed: only name and generateName of metadata can be restricted')
    if (property.default !== undefined) report.refused(fieldPath(at, 'default'), 'is not allowed in metadata')
  }
}

function validateLevel(report: Report, schema: JSONSchemaProps, path: string, depth: number): void {
  if (depth > DEEPEST)
    return report.refused(
      path,
      `lies deeper than ${DEEPEST} levels`,
      'let a field of unknown structure say x-kubernetes-preserve-unknown-fields: true',
      'FieldValueInvalid',
    )
  validateType(report, schema, path)
  for (const name of FORBIDDEN)
    if (schema[name] !== undefined) report.refused(fieldPath(path, name), 'is not allowed in a structural schema')
  if (schema.uniqueItems === true)
    report.refused(fieldPath(path, 'uniqueItems'), 'cannot be true', 'x-kubernetes-list-type: set says it')
  if (schema.additionalProperties === false)
    report.refused(
      fieldPath(path, 'additionalProperties'),
      'cannot be false',
      'leave it out: fields that the schema does not name are not kept anyway',
    )
  // True adds nothing to what is named; a schema would make a map of what is a structure.
  if (typeof schema.additionalProperties === 'object' && Object.keys(schema.properties ?? {}).length > 0)
    report.refused(fieldPath(path, 'additionalProperties'), 'and properties exclude each other', 'keep one')
  if (Array.isArray(schema.items)) report.refused(fieldPath(path, 'items'), 'must be one schema, not a list of them')
  if (schema.type === 'array' && schema.items === undefined)
    report.missing(fieldPath(path, 'items'), 'say what each item is')
  if (schema['x-kubernetes-preserve-unknown-fields'] === false)
    report.refused(fieldPath(path, 'x-kubernetes-preserve-unknown-fields'), 'must be true or left out')
  const flaw = schema.pattern === undefined ? undefined : patternFlaw(schema.pattern)
  if (flaw !== undefined) report.wrong(fieldPath(path, 'pattern'), schema.pattern, flaw)
  validateEmbedding(report, schema, path)
  validateLists(report, schema, path)
  for (const name of ['allOf', 'anyOf', 'oneOf'] as const)
    (schema[name] ?? []).forEach((part, index) =>
      validateLogicPart(report, part, schema, entryPath(fieldPath(path, name), index), depth),
    )
  if (schema.not !== undefined) validateLogicPart(report, schema.not, schema, fieldPath(path, 'not'), depth)
  for (const [name, property] of Object.entries(schema.properties ?? {}))
    validateLevel(report, property, entryPath(fieldPath(path, 'properties'), name), depth + 1)
  const items = itemSchema(schema)
  if (items !== undefined) validateLevel(report, items, fieldPath(path, 'items'), depth + 1)
  if (typeof schema.additionalProperties === 'object')
    validateLevel(report, schema.additionalProperties, fieldPath(path, 'additionalProperties'), depth + 1)
  validateDefault(report, schema, path)
}

function validateType(report: Report, schema: JSONSchemaProps, path: string): void {
  const { type = '' } = schema
  const at = fieldPath(path, 'type')
  if (schema['x-kubernetes-int-or-string'] === true) {
    if (type !== '') report.refused(at, 'must be left out where x-kubernetes-int-or-string is true')
  } else if (type === '' && schema['x-kubernetes-preserve-unknown-fields'] !== true)
    report.missing(at, `write one of ${TYPES.join(', ')}`)
  else if (type !== '' && !TYPES.includes(type)) report.unsupported(at, type, TYPES)
  if (type !== 'object' && type !== '') {
    for (const name of ['properties', 'additionalProperties'] as const)
      if (schema[name] !== undefined) report.refused(fieldPath(path, name), `is not allowed with type ${type}`)
  }
  if (type !== 'array' && schema.items !== undefined)
    report.refused(fieldPath(path, 'items'), `is not allowed with type ${type === '' ? 'left out' : type}`)
}

function validateEmbedding(report: Report, schema: JSONSchemaProps, path: string): void {
  if (schema['x-kubernetes-embedded-resource'] !== true) return
  if (schema.type !== 'object')
    report.wrong(fieldPath(path, 'type'), schema.type, 'must be object where x-kubernetes-embedded-resource is true')
  if (schema.properties === undefined && schema['x-kubernetes-preserve-unknown-fields'] !== true)
    report.missing(fieldPath(path, 'properties'), 'or write x-kubernetes-preserve-unknown-fields: true')
}

function validateLists(report: Report, schema: JSONSchemaProps, path: string): void {
  const {
    type,
    'x-kubernetes-list-type': listType,
    'x-kubernetes-list-map-keys': keys,
    'x-kubernetes-map-type': mapType,
  } = schema
  const at = fieldPath(path, 'x-kubernetes-list-type')
  if (listType !== undefined) {
    if (!['atomic', 'set', 'map'].includes(listType)) report.unsupported(at, listType, ['atomic', 'map', 'set'])
    if (type !== 'array')
      report.wrong(fieldPath(path, 'type'), type ?? '', 'must be array where x-kubernetes-list-type is given')
  }
  if (mapType !== undefined) {
    if (!['atomic', 'granular'].includes(mapType))
      report.unsupported(fieldPath(path, 'x-kubernetes-map-type'), mapType, ['atomic', 'granular'])
    if (type !== 'object')
      report.wrong(fieldPath(path, 'type'), type ?? '', 'must be object where x-kubernetes-map-type is given')
  }
  const items = itemSchema(schema)
  if (listType === 'set' && items !== undefined && !isOneValue(items))
    report.wrong(at, listType, 'needs items that are one value: scalars, or atomic objects and lists')
  if (listType !== 'map') {
    if (keys !== undefined)
      report.refused(fieldPath(path, 'x-kubernetes-list-map-keys'), 'is only for x-kubernetes-list-type: map')
    return
  }
  const keysAt = fieldPath(path, 'x-kubernetes-list-map-keys')
  if (keys === undefined) report.missing(keysAt, 'name the fields that tell items apart')
  if (items !== undefined && items.type !== 'object')
    report.wrong(
      fieldPath(fieldPath(path, 'items'), 'type'),
      items.type ?? '',
      'must be object where x-kubernetes-list-type is map',
    )
  keys?.forEach((key, index) => {
    const property = items?.properties?.[key]
    const place = entryPath(keysAt, index)
    if (property === undefined) report.wrong(place, key, 'is not a property of the items')
    else if (!SCALARS.has(property.type ?? '')) report.wrong(place, key, 'must be a scalar')
    else if (items?.required?.includes(key) !== true && property.default === undefined)
      report.wrong(place, key, 'must be required, or have a default')
    if (keys.indexOf(key) !== index) report.duplicate(place, key)
  })
}

function isOneValue(schema: JSONSchemaProps): boolean {
  if (schema.type === 'object') return schema['x-kubernetes-map-type'] === 'atomic'
  if (schema.type === 'array') return (schema['x-kubernetes-list-type'] ?? 'atomic') === 'atomic'
  return true
}

/** Within allOf, anyOf, oneOf and not only values are restricted, of fields that stand outside of it, too. */
function validateLogicPart(
  report: Report,
  part: JSONSchemaProps,
  around: JSONSchemaProps,
  path: string,
  depth: number,
): void {
  if (depth > DEEPEST) return
  const intOrString = around['x-kubernetes-int-or-string'] === true
  for (const name of FORBIDDEN_IN_LOGIC) {
    if (part[name] === undefined || (name === 'type' && intOrString && ['integer', 'string'].includes(part.type ?? '')))
      continue
    report.refused(fieldPath(path, name), 'is not allowed within allOf, anyOf, oneOf and not', 'say it outside')
  }
  for (const name of FORBIDDEN)
    if (part[name] !== undefined) report.refused(fieldPath(path, name), 'is not allowed in a structural schema')
  const flaw = part.pattern === undefined ? undefined : patternFlaw(part.pattern)
  if (flaw !== undefined) report.wrong(fieldPath(path, 'pattern'), part.pattern, flaw)
  for (const [name, property] of Object.entries(part.properties ?? {})) {
    const at = entryPath(fieldPath(path, 'properties'), name)
    const outside =
      around.properties?.[name] ??
      (typeof around.additionalProperties === 'object' ? around.additionalProperties : undefined)
    if (outside !== undefined) validateLogicPart(report, property, outside, at, depth + 1)
    else if (around['x-kubernetes-preserve-unknown-fields'] !== true && around.additionalProperties !== true)
      report.missing(at, 'every field must stand outside of allOf, anyOf, oneOf and not, too')
  }
  const [items, outside] = [itemSchema(part), itemSchema(around)]
  if (items !== undefined && outside !== undefined)
    validateLogicPart(report, items, outside, fieldPath(path, 'items'), depth + 1)
  for (const name of ['allOf', 'anyOf', 'oneOf'] as const)
    (part[name] ?? []).forEach((inner, index) =>
      validateLogicPart(report, inner, around, entryPath(fieldPath(path, name), index), depth + 1),
    )
  if (part.not !== undefined) validateLogicPart(report, part.not, around, fieldPath(path, 'not'), depth + 1)
}

/** A default must be what the schema allows. */
function validateDefault(report: Report, schema: JSONSchemaProps, path: string): void {
  if (schema.default === undefined) return
  const at = fieldPath(path, 'default')
  const value = structuredClone(schema.default)
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    for (const unknown of prune(value, schema))
      report.wrong(fieldPath(at, unknown), unknown, 'is not a field of the schema')
  }
  const found = new Report()
  validateSchema(found, schema, value, undefined, at)
  report.details.push(...found.details)
}
