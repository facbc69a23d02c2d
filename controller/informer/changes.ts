/** Changes, made up and undone. */
import type { AnyResource } from '../../proto/gen/types.ts'
import type { CachedObject, Change } from './contract.ts'
import { namespacedKey } from './kind-cache.ts'

/** An object's end at a revision. */
export function deletion(cached: CachedObject, revision: number): Change {
  const { object } = cached
  const last = { ...object, metadata: { ...object.metadata, resourceVersion: String(revision) } } as AnyResource
  return { type: 'deleted', cached: { object: last, bytes: cached.bytes, revision }, previous: cached, revision }
}

/** What there was before the changes, in key order. */
export function revertChanges(now: readonly CachedObject[], changes: readonly Change[]): readonly CachedObject[] {
  const keyOf = ({
    object: {
      metadata: { namespace, name },
    },
  }: CachedObject): string => namespacedKey(namespace, name)
  const then = new Map(now.map((cached) => [keyOf(cached), cached]))
  for (const { cached, previous } of changes.toReversed()) {
    if (previous === undefined) then.delete(keyOf(cached))
    else then.set(keyOf(previous), previous)
  }
  return [...then].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, cached]) => cached)
}
