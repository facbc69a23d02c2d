/** Changes, made up, found and undone. */
import { atResourceVersion } from '../../proto/codec/canonical.ts'
import type { Kind } from '../../proto/gen/types.ts'
import type { Entry } from '../store/contract.ts'
import type { CachedObject, Change } from './contract.ts'
import type { EntryDecoder } from './entry-decoder.ts'
import { namespacedKey, type KindCache } from './kind-cache.ts'

/** An object's end at a revision. */
export function deletion(cached: CachedObject, revision: number): Change {
  const last = atResourceVersion(cached.object, String(revision))
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

interface Cached {
  readonly cache: Pick<KindCache<Kind>, 'cached' | 'cachedList'>
}

/**
 * The changes that lead from what the caches have to what a list of the store has, in order of revision. `of` also
 * knows the cache of a kind that `caches` has nothing of yet.
 */
export function differences(
  entries: ReadonlyMap<string, Entry>,
  revision: number,
  decoder: EntryDecoder,
  caches: ReadonlyMap<Kind, Cached>,
  of: (kind: Kind) => Cached,
): Change[] {
  const changes: Change[] = []
  const listed = new Map<Kind, Set<string>>()
  for (const entry of entries.values()) {
    const key = decoder.parse(entry)
    if (key === undefined) continue
    let names = listed.get(key.kind)
    if (names === undefined) listed.set(key.kind, (names = new Set()))
    names.add(`${key.namespace}/${key.name}`)
    const previous = of(key.kind).cache.cached(key.namespace, key.name)
    if (previous?.revision === entry.revision) continue
    const cached = decoder.decode(key, entry)
    if (cached === undefined) continue
    const isSame = previous?.object.metadata.uid === cached.object.metadata.uid
    if (previous !== undefined && !isSame) changes.push(deletion(previous, entry.revision))
    const before = isSame ? previous : undefined
    changes.push({
      type: before === undefined ? 'added' : 'modified',
      cached,
      previous: before,
      revision: entry.revision,
    })
  }
  changes.sort((one, other) => one.revision - other.revision)
  for (const [kind, { cache }] of caches) {
    for (const cached of cache.cachedList()) {
      const { namespace, name } = cached.object.metadata
      if (listed.get(kind)?.has(`${namespace}/${name}`) !== true) changes.push(deletion(cached, revision))
    }
  }
  return changes
}
