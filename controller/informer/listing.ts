/** Everything that the store has of objects, or of one kind, at one revision. */
import { GantryError } from '../../proto/base/errors.ts'
import type { Entry, Store } from '../store/contract.ts'
import { OBJECTS_PREFIX } from '../store/keys.ts'
import { deletion } from './changes.ts'
import type { CachedObject, Change } from './contract.ts'

/**
 * By key; the newest unless a revision is given. `arrived` is called with the entries of each page while the store is
 * asked for the next one. Unavailable; Expired for a revision that is compacted, also between two pages.
 */
export async function readAll(
  store: Store,
  at?: number,
  prefix = OBJECTS_PREFIX,
  arrived?: (entries: readonly Entry[]) => void,
): Promise<{ entries: Map<string, Entry>; revision: number }> {
  const entries = new Map<string, Entry>()
  let page = await store.list(prefix, at === undefined ? {} : { revision: at })
  const { revision } = page
  for (;;) {
    for (const entry of page.entries) entries.set(entry.key, entry)
    const following = page.next === undefined ? undefined : store.list(prefix, { after: page.next, revision })
    if (arrived !== undefined) {
      // Its failure is told where it is waited for.
      following?.catch(() => undefined)
      // The request is on its way before this thread is busy.
      if (following !== undefined) await new Promise<void>((resolve) => process.nextTick(resolve))
      arrived(page.entries)
    }
    if (following === undefined) return { entries, revision }
    page = await following
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
    const made = written.filter(({ createRevision }) => createRevision === revision).length
    // Where nothing was deleted, only what was changed has an earlier state to ask for.
    const before =
      count === entries.size - made
        ? await earlierStates(store, written, revision)
        : (await readAll(store, revision - 1)).entries
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

/** What there was before of entries that a commit changed; nothing of those that it made. */
async function earlierStates(
  store: Store,
  written: readonly Entry[],
  revision: number,
): Promise<ReadonlyMap<string, Entry>> {
  const changed = written.filter(({ createRevision }) => createRevision !== revision)
  const found = await Promise.all(
    // A key comes before all others that begin with it.
    changed.map(async ({ key }) => (await store.list(key, { revision: revision - 1, limit: 1 })).entries[0]),
  )
  return new Map(found.flatMap((entry) => (entry === undefined ? [] : [[entry.key, entry]])))
}
