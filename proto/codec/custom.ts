/**
 * Objects of custom kinds between JSON, memory and bytes. In memory: `{ apiVersion, kind: id, metadata, …everything
 * else as in its JSON }`; `apiVersion` is the version that the object is meant in, the stored one in the watch cache.
 * Stored: a CustomObject.
 */
import type { AnyResource, JsonObject, JsonValue } from '../gen/types.ts'
import { nearest } from '../base/nearest.ts'
import { problem, MAX_REPORTED_PROBLEMS, type Problem } from '../base/problem.ts'
import { isObject } from '../base/json.ts'
import { fillDefaults, prune } from '../schema/custom/coerce.ts'
import { versionOfObject, type CustomKind } from '../schema/custom/definitions.ts'

type Fields = Record<string, unknown>

/** What an object has beside apiVersion, kind and metadata. */
export function contentOf(object: object): JsonObject {
  const { apiVersion: _apiVersion, kind: _kind, metadata: _metadata, ...content } = object as JsonObject
  return content
}

/**
 * An object as it comes in, `metadata` decoded already, without what its schema does not know: each such field is a
 * problem.
 */
export function readCustom(
  kind: CustomKind,
  value: JsonObject,
  metadata: Fields,
  dropStatus: boolean,
): { object: Fields; problems: Problem[] } {
  const version = versionOfObject(kind, typeof value.apiVersion === 'string' ? value.apiVersion : '')
  const content = structuredClone(contentOf(value))
  if (dropStatus && version.status) delete content.status
  const problems = prune(content, version.schema).map((path, index) =>
    problem(path, 'unknown field', {
      key: true,
      unknownOrDuplicate: true,
      remedy: index < MAX_REPORTED_PROBLEMS ? remedyFor(path, version.schema.properties) : '',
    }),
  )
  return { object: { apiVersion: version.apiVersion, kind: kind.id, metadata, ...content }, problems }
}

/** At the top only: there the names that there are fit into a line. */
function remedyFor(path: string, properties: Readonly<Record<string, unknown>> | undefined): string {
  const meant = /[.[]/.test(path) ? undefined : nearest(path, Object.keys(properties ?? {}))
  return meant === undefined ? '' : `did you mean ${meant}?`
}

/**
 * The JSON of an object in a version: the one that it is meant in, if none is named. `metadata` is its JSON already.
 */
export function writeCustom(
  kind: CustomKind,
  object: AnyResource,
  metadata: JsonObject,
  apiVersion = object.apiVersion as string,
): JsonObject {
  let content = contentOf(object)
  const version = versionOfObject(kind, apiVersion)
  if (version.apiVersion !== object.apiVersion && version.schema !== versionOfObject(kind, object.apiVersion).schema) {
    content = structuredClone(content)
    prune(content, version.schema)
    fillDefaults(content, version.schema)
  }
  return { apiVersion: version.apiVersion, kind: kind.resource.kind, metadata, ...content }
}

/** The text that is stored: keys sorted, so that equal objects have equal bytes. */
export function contentText(object: object): string {
  return JSON.stringify(sorted(contentOf(object)))
}

/** What is stored as it is in memory: without what the schema does not know any more, with what it has defaults for. */
export function readContent(kind: CustomKind | undefined, text: string): JsonObject {
  const content = (text === '' ? {} : JSON.parse(text)) as JsonObject
  if (kind !== undefined) {
    prune(content, kind.stored.schema)
    fillDefaults(content, kind.stored.schema)
  }
  return content
}

function sorted(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(sorted)
  if (!isObject(value)) return value
  const result: JsonObject = {}
  for (const name of Object.keys(value).sort()) {
    if ((value[name] as JsonValue | undefined) !== undefined)
      Object.defineProperty(result, name, {
        value: sorted(value[name]!),
        enumerable: true,
        writable: true,
        configurable: true,
      })
  }
  return result
}

/** The value of a field by its path, `spec.color`; undefined if there is none. */
export function fieldAt(object: object, path: string): JsonValue | undefined {
  let value: unknown = object
  for (const name of path.replace(/^\./, '').split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined
    value = (value as Record<string, unknown>)[name]
  }
  return value as JsonValue
}
