/** Changes, made up and undone. */
import type { AnyResource } from '../../proto/gen/types.ts'
import type { Cached, Change } from './contract.ts'
import { joined } from './kind-cache.ts'

/** An object's end at a revision. */
export function deletion(cached: Cached, revision: number): Change {
  const { object } = cached
  const last = { ...object, metadata: { ...object.metadata, resourceVersion: String(revision) } } as AnyResource
  return { type: 'deleted', cached: { object: last, bytes: cached.bytes, revision }, previous: cached, revision }
}

/** What there was before the changes, in key order. */
export function undone(now: readonly Cached[], changes: readonly Change[]): readonly Cached[] {
  const keyOf = ({
    object: {
      metadata: { namespace, name },
    },
  }: Cached): string => joined(namespace, name)
  const then = new Map(now.map((cached) => [keyOf(cached), cached]))
  for (const { cached, previous } of changes.toReversed()) {
    if (previous === undefined) then.delete(keyOf(cached))
    else then.set(keyOf(previous), previous)
  }
  return [...then].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, cached]) => cached)
}
