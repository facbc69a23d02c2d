/**
 * What nodes are told of the cluster's network (NetworkUpdate in proto/gantry/v1/node.proto). Sources say what there is
 * to tell; the stream of each session tells what has changed since its last message, and the confirmations know which
 * node follows which revision.
 *
 *   informer ─▶ sources ─▶ journal (the same for all nodes) ─┐
 *                    └───▶ what concerns one node only ──────┴─▶ NetworkStream ─▶ session ─▶ node
 *   node ─▶ NetworkApplied ─▶ confirmations ─▶ withdrawals ─▶ session of the pod's node: Withdrawn
 */
import type { Input } from '../../../proto/codec/wire.ts'
import type { NetworkEntry } from '../../../proto/gen/types.ts'
import type { Informer } from '../../informer/contract.ts'

export type EntryContent = Input<NetworkEntry>['entry']

/** Where a source puts what it has to tell; each call is cheap and takes effect with the batch of changes under way. */
export interface EntrySink {
  /**
   * For every node. `undefined` removes it. Equal bytes are not told again: `version` must change whenever the content
   * does.
   */
  all(key: string, version: string, content: (() => EntryContent) | undefined): void
  /**
   * Something that only this node is told may have changed: its `entriesOf` is asked again when the batch is over. '*':
   * of every node. With a key, only the entry of that key may have.
   */
  node(name: string | '*', key?: string): void
}

/**
 * One subject of the network. `start` subscribes to the informer and first tells everything present; it returns the
 * call that ends it. Never waits; must not throw.
 */
export interface NetworkSource {
  readonly name: string
  start(informer: Informer, sink: EntrySink): () => void
  /** What only this node is told, whole, by key. */
  entriesOf?(node: string): ReadonlyMap<string, { readonly version: string; readonly content: () => EntryContent }>
}

export interface FeedEntry {
  readonly version: string
  readonly content: () => EntryContent
}

/** What of the shared has changed. Shared by those who send it: not to be changed. */
export interface SharedChange {
  readonly set: readonly Input<NetworkEntry>[]
  readonly removed: readonly string[]
}

/** What a stream reads of the feed when it begins, and when something that concerns only its node has changed. */
export interface FeedReader {
  /**
   * All that every node is told, in parts that fit into a message each. Shared by those who send it: not to be changed.
   */
  readonly whole: readonly Input<NetworkEntry>[][]
  /** What only this node is told, by key. */
  entriesOf(node: string): Map<string, FeedEntry>
  /** Undefined: it is not told that. */
  entryOf(node: string, key: string): FeedEntry | undefined
}

/** Of what only one node is told, the keys that may have changed. */
export type ConcernedKeys = ReadonlySet<string> | 'all' | 'none'
