/**
 * From what a client sent, or what is stored, to what the schema of a version knows: unknown fields go, nulls go where
 * they are not allowed, defaults come. In place.
 * https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#pruning-versus-preserving-unknown-fields
 * and …/#defaulting
 */
import type { JSONSchemaProps, JsonObject, JsonValue } from '../../gen/types.ts'
import { entryPath, fieldPath } from '../../base/path.ts'
import { isObject, own, setOwn } from '../../base/json.ts'

/** What every object has, and what is embedded in it. */
const HEADER: ReadonlySet<string> = new Set(['apiVersion', 'kind', 'metadata'])

/** The schema of an item of a list. */
export function itemSchema({ items }: JSONSchemaProps): JSONSchemaProps | undefined {
  return Array.isArray(items) ? items[0] : items
}

/** The schema of a field; undefined if the schema says nothing of it. `anything`: every field is allowed. */
export function fieldSchemaOf(
  { properties, additionalProperties }: JSONSchemaProps,
  name: string,
): JSONSchemaProps | 'anything' | undefined {
  if (properties !== undefined && Object.hasOwn(properties, name)) return properties[name]
  if (additionalProperties === undefined || additionalProperties === false) return undefined
  return additionalProperties === true ? 'anything' : additionalProperties
}

/**
 * Removes every field that the schema does not name; the paths of those. At the root, apiVersion, kind and metadata are
 * not looked at.
 */
export function prune(value: JsonObject, schema: JSONSchemaProps): string[] {
  const removed: string[] = []
  pruneValue(value, schema, '', true, removed)
  return removed
}

function pruneValue(value: JsonValue, schema: JSONSchemaProps, path: string, header: boolean, removed: string[]): void {
  if (Array.isArray(value)) {
    const items = itemSchema(schema)
    if (items === undefined && schema['x-kubernetes-preserve-unknown-fields'] === true) return
    value.forEach((item, index) =>
      pruneValue(
        item,
        items ?? {},
        entryPath(path, index),
        items?.['x-kubernetes-embedded-resource'] === true,
        removed,
      ),
    )
    return
  }
  if (!isObject(value)) return
  for (const [name, part] of Object.entries(value)) {
    if (header && HEADER.has(name)) continue
    const child = fieldSchemaOf(schema, name)
    const at = fieldPath(path, name)
    // `additionalProperties: true` names the fields and not what is in them.
    if (child !== undefined)
      pruneValue(
        part,
        child === 'anything' ? {} : child,
        at,
        child !== 'anything' && child['x-kubernetes-embedded-resource'] === true,
        removed,
      )
    else if (schema['x-kubernetes-preserve-unknown-fields'] !== true) {
      delete value[name]
      removed.push(at)
    }
  }
}

/** Fills in defaults, and takes out nulls that may not be and have none. */
export function fillDefaults(value: JsonValue, schema: JSONSchemaProps): void {
  if (Array.isArray(value)) {
    const items = itemSchema(schema)
    if (items === undefined) return
    value.forEach((item, index) => {
      if (item === null && items.nullable !== true && items.default !== undefined)
        value[index] = structuredClone(items.default)
      fillDefaults(value[index]!, items)
    })
    return
  }
  if (!isObject(value)) return
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    const present = own(value, name)
    if (present === undefined || (present === null && property.nullable !== true)) {
      if (property.default !== undefined) setOwn(value, name, structuredClone(property.default))
      else if (present === null) delete value[name]
    }
  }
  for (const name of Object.keys(value)) {
    const child = fieldSchemaOf(schema, name)
    if (child === undefined || child === 'anything') continue
    if (value[name] === null && child.nullable !== true) {
      if (child.default === undefined) {
        delete value[name]
        continue
      }
      setOwn(value, name, structuredClone(child.default))
    }
    fillDefaults(value[name]!, child)
  }
}
