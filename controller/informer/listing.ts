/** Everything that the store has of objects, or of one kind, at one revision. */
import type { Entry, Store } from '../store/contract.ts'
import { OBJECTS_PREFIX } from '../store/keys.ts'

/** By key; the newest unless a revision is given. Unavailable; Expired for a revision that is compacted, also between two pages. */
export async function readAll(store: Store, at?: number, prefix = OBJECTS_PREFIX): Promise<{ entries: Map<string, Entry>; revision: number }> {
  const entries = new Map<string, Entry>()
  let page = await store.list(prefix, at === undefined ? {} : { revision: at })
  const { revision } = page
  for (;;) {
    for (const entry of page.entries) entries.set(entry.key, entry)
    if (page.next === undefined) return { entries, revision }
    page = await store.list(prefix, { after: page.next, revision })
  }
}
