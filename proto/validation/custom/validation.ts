/**
 * Whether a value is as an OpenAPI v3 schema says. What an update leaves as it was is not looked at again: an object
 * that was stored under an older schema can still be changed elsewhere (Kubernetes' "ratcheting").
 * https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation and
 * …/#validation-ratcheting
 */
import type { JSONSchemaProps, JsonObject, JsonValue } from '../../gen/types.ts'
import { entryPath, fieldPath } from '../../base/path.ts'
import { showValue } from '../../base/problem.ts'
import { itemKey } from '../../schema/shape.ts'
import { isObject, own, sameJson } from '../../base/json.ts'
import { Report } from '../report.ts'
import { fieldSchemaOf, itemSchema } from '../../schema/custom/coerce.ts'
import { formatFlaw } from './formats.ts'
import { matches } from './pattern.ts'

type Maybe = JsonValue | undefined

/** `previous`: what stood there before, if anything did. */
export function validateSchema(
  report: Report,
  schema: JSONSchemaProps,
  value: JsonValue,
  previous: Maybe,
  path: string,
): void {
  if (previous !== undefined && sameJson(value, previous)) return
  if (value === null) {
    if (schema.nullable !== true && (schema.type ?? '') !== '')
      report.wrong(path, value, `must be of type ${schema.type}: "null"`)
    return
  }
  if (!hasType(schema, value)) {
    const wanted = schema['x-kubernetes-int-or-string'] === true ? 'integer or string' : schema.type!
    report.wrong(path, value, `must be of type ${wanted}: "${typeOf(value)}"`)
    return
  }
  validateEnum(report, schema, value, path)
  if (typeof value === 'string') validateString(report, schema, value, path)
  if (typeof value === 'number') validateNumber(report, schema, value, path)
  if (Array.isArray(value)) validateList(report, schema, value, previous, path)
  if (isObject(value)) validateObject(report, schema, value, previous, path)
  validateLogic(report, schema, value, previous, path)
}

/** Of keys, a path goes on as that of a field where it can. */
export function keyPath(path: string, key: string): string {
  return /^[\w-]+$/.test(key) ? fieldPath(path, key) : entryPath(path, key)
}

function typeOf(value: JsonValue): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'array'
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number'
  return typeof value
}

function hasType(schema: JSONSchemaProps, value: JsonValue): boolean {
  const type = typeOf(value)
  if (schema['x-kubernetes-int-or-string'] === true) return type === 'integer' || type === 'string'
  return (schema.type ?? '') === '' || schema.type === type || (schema.type === 'number' && type === 'integer')
}

function validateEnum(report: Report, { enum: allowed }: JSONSchemaProps, value: JsonValue, path: string): void {
  if (allowed === undefined || allowed.some((item) => sameJson(item, value))) return
  report.unsupported(
    path,
    value,
    allowed.map((item) => JSON.stringify(item)),
  )
}

function validateString(report: Report, schema: JSONSchemaProps, value: string, path: string): void {
  const { minLength, maxLength, pattern, format } = schema
  const length = minLength === undefined && maxLength === undefined ? 0 : [...value].length
  if (maxLength !== undefined && length > maxLength)
    report.wrong(path, value, `may not be more than ${maxLength} characters long`)
  if (minLength !== undefined && length < minLength)
    report.wrong(path, value, `should be at least ${minLength} characters long`)
  if (pattern !== undefined && !matches(pattern, value)) report.wrong(path, value, `should match '${pattern}'`)
  const flaw =
    format === undefined || schema['x-kubernetes-int-or-string'] === true ? undefined : formatFlaw(format, value)
  if (flaw !== undefined) report.wrong(path, value, flaw)
}

/** Ranges of the formats of numbers. */
const RANGES: Readonly<Record<string, readonly [number, number]>> = {
  int32: [-(2 ** 31), 2 ** 31 - 1],
  int64: [-(2 ** 63), 2 ** 63],
}

function validateNumber(
  report: Report,
  { minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf, format }: JSONSchemaProps,
  value: number,
  path: string,
): void {
  if (maximum !== undefined && (exclusiveMaximum === true ? value >= maximum : value > maximum))
    report.wrong(path, value, `should be less than ${exclusiveMaximum === true ? '' : 'or equal to '}${maximum}`)
  if (minimum !== undefined && (exclusiveMinimum === true ? value <= minimum : value < minimum))
    report.wrong(path, value, `should be greater than ${exclusiveMinimum === true ? '' : 'or equal to '}${minimum}`)
  if (multipleOf !== undefined && !isMultiple(value, multipleOf))
    report.wrong(path, value, `should be a multiple of ${multipleOf}`)
  const range = RANGES[format ?? '']
  if (range !== undefined && Number.isInteger(value) && (value < range[0] || value > range[1]))
    report.wrong(path, value, `should be a ${format}`)
}

/** As exact as decimal notation is: 0.3 is a multiple of 0.1. */
function isMultiple(value: number, factor: number): boolean {
  const quotient = value / factor
  return Math.abs(quotient - Math.round(quotient)) <= 1e-9 * Math.max(1, Math.abs(quotient))
}

function validateList(
  report: Report,
  schema: JSONSchemaProps,
  list: readonly JsonValue[],
  previous: Maybe,
  path: string,
): void {
  const { minItems, maxItems } = schema
  if (maxItems !== undefined && list.length > maxItems)
    report.wrong(path, list.length, `must have at most ${maxItems} items`)
  if (minItems !== undefined && list.length < minItems)
    report.wrong(path, list.length, `should have at least ${minItems} items`)
  const items = itemSchema(schema)
  const before = previousItems(schema, previous)
  if (items !== undefined)
    list.forEach((item, index) => validateSchema(report, items, item, before(item), entryPath(path, index)))
  const identity = identityOf(schema)
  if (identity === undefined) return
  const seen = new Set<string>()
  list.forEach((item, index) => {
    const key = identity(item)
    if (seen.has(key))
      report.duplicate(entryPath(path, index), schema['x-kubernetes-list-type'] === 'map' ? JSON.parse(key) : item)
    seen.add(key)
  })
}

/** What may not come twice in a list: the whole item of a set, the keys of an item of a map. */
function identityOf(schema: JSONSchemaProps): ((item: JsonValue) => string) | undefined {
  switch (schema['x-kubernetes-list-type']) {
    case 'set':
      return (item) => canonical(item)
    case 'map': {
      const properties = itemSchema(schema)?.properties ?? {}
      const keys = (schema['x-kubernetes-list-map-keys'] ?? []).map((name) => ({
        name,
        fallback: properties[name]?.default ?? null,
      }))
      return (item) => itemKey(keys, item)
    }
    case 'atomic':
    case undefined:
    default:
      return undefined
  }
}

function canonical(value: JsonValue): string {
  return JSON.stringify(value, (_key, part: JsonValue) =>
    isObject(part) ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1))) : part,
  )
}

/** The item of before that an item corresponds to: only those of a list of type map have names. */
export function previousItems(schema: JSONSchemaProps, previous: Maybe): (item: JsonValue) => Maybe {
  const identity = identityOf(schema)
  if (!Array.isArray(previous) || identity === undefined || schema['x-kubernetes-list-type'] !== 'map')
    return () => undefined
  const before = new Map(previous.map((item) => [identity(item), item]))
  return (item) => before.get(identity(item))
}

function validateObject(
  report: Report,
  schema: JSONSchemaProps,
  object: JsonObject,
  previous: Maybe,
  path: string,
): void {
  const { required = [], minProperties, maxProperties } = schema
  const before = isObject(previous) ? previous : {}
  for (const name of required) if (own(object, name) === undefined) report.missing(keyPath(path, name))
  const size = Object.keys(object).length
  if (maxProperties !== undefined && size > maxProperties)
    report.wrong(path, size, `must have at most ${maxProperties} items`)
  if (minProperties !== undefined && size < minProperties)
    report.wrong(path, size, `should have at least ${minProperties} properties`)
  if (schema['x-kubernetes-embedded-resource'] === true) validateEmbedded(report, object, path)
  for (const [name, value] of Object.entries(object)) {
    const child = fieldSchemaOf(schema, name)
    if (child !== undefined && child !== 'anything')
      validateSchema(report, child, value, own(before, name), keyPath(path, name))
  }
}

function validateEmbedded(report: Report, object: JsonObject, path: string): void {
  for (const name of ['apiVersion', 'kind']) {
    const value = own(object, name)
    if (value === undefined || value === '') report.missing(fieldPath(path, name))
    else if (typeof value !== 'string')
      report.wrong(fieldPath(path, name), value, `must be of type string: "${typeOf(value)}"`)
  }
  const { metadata } = object
  if (metadata !== undefined && !isObject(metadata))
    report.wrong(fieldPath(path, 'metadata'), metadata, `must be of type object: "${typeOf(metadata)}"`)
}

function validateLogic(
  report: Report,
  { allOf = [], anyOf = [], oneOf = [], not }: JSONSchemaProps,
  value: JsonValue,
  previous: Maybe,
  path: string,
): void {
  for (const part of allOf) validateSchema(report, part, value, previous, path)
  const holds = (part: JSONSchemaProps): boolean => {
    const trial = new Report()
    validateSchema(trial, part, value, undefined, path)
    return trial.details.length === 0
  }
  if (anyOf.length > 0 && !anyOf.some(holds))
    report.wrong(path, showValue(value), 'must validate at least one schema (anyOf)')
  if (oneOf.length > 0 && oneOf.filter(holds).length !== 1)
    report.wrong(path, showValue(value), 'must validate one and only one schema (oneOf)')
  if (not !== undefined && holds(not)) report.wrong(path, showValue(value), 'must not validate the schema (not)')
}
