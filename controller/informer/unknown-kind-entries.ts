/**
 * Entries of kinds whose definition is not known: kept until it is. Their definition may come after them, and may come
 * back.
 */
import type { Entry } from '../store/contract.ts'
import { prefixOf } from '../store/keys.ts'

export class UnknownKindEntries {
  /** By what the keys of a kind begin with. */
  readonly #entries = new Map<string, Map<string, Entry>>()

  /** False for a key that is of no object at all. */
  keep(entry: Entry): boolean {
    const prefix = prefixOf(entry.key)
    if (prefix === undefined) return false
    let entries = this.#entries.get(prefix)
    if (entries === undefined) this.#entries.set(prefix, (entries = new Map()))
    entries.set(entry.key, entry)
    return true
  }

  drop(key: string): void {
    const prefix = prefixOf(key) ?? ''
    const entries = this.#entries.get(prefix)
    if (entries?.delete(key) === true && entries.size === 0) this.#entries.delete(prefix)
  }

  /** Takes what was kept of a kind, oldest change first. */
  take(prefix: string): Entry[] {
    const entries = [...(this.#entries.get(prefix)?.values() ?? [])]
    this.#entries.delete(prefix)
    return entries.sort((one, other) => one.revision - other.revision)
  }

  clear(): void {
    this.#entries.clear()
  }
}
