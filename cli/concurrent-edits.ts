/** Two changes of one object, made at the same time, as one: what only one of them changed is as that one left it. */
import { entryPath, fieldPath } from '../proto/base/path.ts'
import { isObject, sameJson } from '../proto/base/json.ts'
import type { JsonValue } from '../proto/gen/types.ts'

export interface Merged {
  /** Undefined where both have taken it away. */
  readonly value: JsonValue | undefined
  /** The fields that both changed, and not alike; lists are looked at as a whole. `value` has theirs there. */
  readonly conflicts: readonly { readonly path: string; readonly theirs: JsonValue | undefined }[]
}

/** `base`: what both began with; undefined for a field that was not there. */
export function mergeEdits(
  base: JsonValue | undefined,
  mine: JsonValue | undefined,
  theirs: JsonValue | undefined,
  path = '',
): Merged {
  if (sameJson(mine, base) || sameJson(mine, theirs)) return { value: theirs, conflicts: [] }
  if (sameJson(theirs, base)) return { value: mine, conflicts: [] }
  if (!isObject(mine) || !isObject(theirs)) return { value: theirs, conflicts: [{ path, theirs }] }
  const before = isObject(base) ? base : {}
  const parts = [...new Set([...Object.keys(theirs), ...Object.keys(mine)])].map((name) => ({
    name,
    ...mergeEdits(
      before[name],
      mine[name],
      theirs[name],
      path === '' ? name : /^\w+$/.test(name) ? fieldPath(path, name) : entryPath(path, name),
    ),
  }))
  return {
    value: Object.fromEntries(
      parts.flatMap(({ name, value }) => (value === undefined ? [] : [[name, value] as const])),
    ),
    conflicts: parts.flatMap(({ conflicts }) => conflicts),
  }
}
