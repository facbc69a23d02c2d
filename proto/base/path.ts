/**
 * Where in an object: `spec.containers[0].image`, `metadata.labels[app]`. A dot leads to a field, brackets to a list's
 * item (by index) or a map's entry (by key). Errors name fields in this form; a path that is empty is the object
 * itself.
 */

/** The path of a field of the message at `path`. */
export function fieldPath(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`
}

/** The path of a list's item or a map's entry. */
export function entryPath(path: string, key: string | number): string {
  return `${path}[${key}]`
}

/** The steps of a path: field names, keys and indexes, all as text. */
export function pathSteps(path: string): string[] {
  return [...path.matchAll(/\[([^\]]*)\]|([^.[\]]+)/g)].map(([, key, name]) => key ?? name ?? '')
}
