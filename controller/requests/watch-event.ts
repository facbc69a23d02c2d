/** What a watcher is told; each face has its own form of it. */
import type { GantryError } from '../../proto/base/errors.ts'
import type { CachedObject } from '../informer/contract.ts'
import type { Freshness } from './freshness.ts'
import type { Selection } from './selection.ts'

export type ObjectEvent =
  /** The state after the change; for DELETED the last state that the watcher may see, with the change's revision. */
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly cached: CachedObject }
  /** All is told up to a revision. `initial`: it stands behind what was there when the watch began. */
  | { readonly type: 'BOOKMARK'; readonly revision: number; readonly initial: boolean }
  /** The last one: why the watch cannot go on. */
  | { readonly type: 'ERROR'; readonly error: GantryError }

export interface WatchOptions {
  readonly selection: Selection
  /** Where it begins. */
  readonly freshness: Freshness
  readonly bookmarks: boolean
  /** Whether it begins with what is there; `marked`: a bookmark says when that has been told. */
  readonly initial: 'none' | 'told' | 'marked'
  /** Seconds after which it ends; undefined: it goes on for as long as the caller wants. */
  readonly timeout: number | undefined
}
