import { isObject } from '../../../proto/base/json.ts'
import type { JsonObject, JsonValue } from '../../../proto/gen/types.ts'
import { REFERENCE } from './schemas.ts'

const REFERENCE_V2 = '#/definitions/'

/** What only OpenAPI 3 has. Clients that validate by version 2 pass over it. */
const NEWER = new Set(['oneOf', 'anyOf', 'not', 'nullable', 'deprecated', 'writeOnly'])

export function toV2(schema: JsonObject): JsonObject {
  const { allOf, oneOf } = schema
  // A reference with something beside it: version 2 allows a description and extensions there.
  const [only, ...more] = Array.isArray(allOf) ? allOf : []
  if (isObject(only) && only.$ref !== undefined && more.length === 0) {
    const { allOf: _allOf, default: _default, ...rest } = schema
    return { ...rest, ...toV2(only) }
  }
  const result: JsonObject = {}
  for (const [name, value] of Object.entries(schema)) if (!NEWER.has(name)) result[name] = translate(name, value)
  // "a or b" is what version 2 cannot say: a string, which clients take for either.
  if (Array.isArray(oneOf) && schema.type === undefined && schema.properties === undefined) result.type = 'string'
  // A value that may be null has no type there.
  if (schema.nullable === true)
    for (const name of ['type', 'items', 'properties', 'additionalProperties']) delete result[name]
  // Clients would refuse what is not among the properties.
  if (schema['x-kubernetes-preserve-unknown-fields'] === true)
    for (const name of ['items', 'properties']) delete result[name]
  return result
}

function translate(name: string, value: JsonValue): JsonValue {
  switch (name) {
    case '$ref':
      return String(value).replace(REFERENCE, REFERENCE_V2)
    case 'properties':
      return isObject(value)
        ? Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, isObject(inner) ? toV2(inner) : inner]))
        : value
    case 'items':
    case 'additionalProperties':
      return isObject(value) ? toV2(value) : value
    case 'allOf':
      return Array.isArray(value) ? value.map((inner) => (isObject(inner) ? toV2(inner) : inner)) : value
    default:
      return value
  }
}
