/** Everything that the store has of objects, or of one kind, at one revision. */
import { GantryError } from '../../proto/base/errors.ts'
import type { Entry, Store } from '../store/contract.ts'
import { OBJECTS_PREFIX } from '../store/keys.ts'
import { deletion } from './changes.ts'
import type { CachedObject, Change } from './contract.ts'

/**
 * By key; the newest unless a revision is given. Unavailable; Expired for a revision that is compacted, also between
 * two pages.
 */
export async function readAll(
  store: Store,
  at?: number,
  prefix = OBJECTS_PREFIX,
): Promise<{ entries: Map<string, Entry>; revision: number }> {
  const entries = new Map<string, Entry>()
  let page = await store.list(prefix, at === undefined ? {} : { revision: at })
  const { revision } = page
  for (;;) {
    for (const entry of page.entries) entries.set(entry.key, entry)
    if (page.next === undefined) return { entries, revision }
    page = await store.list(prefix, { after: page.next, revision })
  }
}

/**
 * What the newest commit of a first list changed. A watcher of another cache, or of this controller before it was
 * killed, may have been told only some of it and goes on here from its revision. Nothing if it is compacted: then it is
 * minutes old.
 */
export async function newestCommit(
  store: Store,
  entries: ReadonlyMap<string, Entry>,
  revision: number,
  cachedOf: (entry: Entry) => CachedObject | undefined,
): Promise<Change[]> {
  const written = [...entries.values()].filter((entry) => entry.revision === revision)
  if (revision <= 1) return []
  try {
    const { count } = await store.list(OBJECTS_PREFIX, { revision: revision - 1, limit: 1 })
    if (written.length === 0 && count === entries.size) return []
    const before = (await readAll(store, revision - 1)).entries
    const put = written.flatMap((entry): Change[] => {
      const cached = cachedOf(entry)
      const earlier = before.get(entry.key)
      const previous = earlier === undefined ? undefined : cachedOf(earlier)
      return cached === undefined
        ? []
        : [{ type: previous === undefined ? 'added' : 'modified', cached, previous, revision }]
    })
    const gone = [...before.values()]
      .filter(({ key }) => !entries.has(key))
      .flatMap((entry) => {
        const cached = cachedOf(entry)
        return cached === undefined ? [] : [deletion(cached, revision)]
      })
    return [...put, ...gone]
  } catch (error) {
    if (!GantryError.is(error, 'Expired')) throw error
    return []
  }
}
