/**
 * Gathers what the sources have to tell, and tells it to the stream of each session when a batch of changes is over.
 */
import type { Input } from '../../../proto/codec/wire.ts'
import type { NetworkEntry } from '../../../proto/gen/types.ts'
import type { Informer } from '../../informer/contract.ts'
import type { EntryContent, EntrySink, FeedEntry, FeedReader, NetworkSource, SharedChange } from './contract.ts'
import { splitIntoParts } from './message-parts.ts'
import type { NetworkStream } from './stream.ts'

export class NetworkFeed implements EntrySink, FeedReader {
  readonly #sources: readonly NetworkSource[]
  readonly #shared = new Map<string, FeedEntry>()
  readonly #changed = new Set<string>()
  /** By node, the keys that may have changed. */
  readonly #concerned = new Map<string, Set<string> | 'all'>()
  #everyNode = false
  readonly #streams = new Set<NetworkStream>()
  /** By node, the one opened last. */
  readonly #current = new Map<string, NetworkStream>()
  /**
   * Everything shared, in parts that fit into a message each, until it changes: a thousand nodes that dial in at once
   * are told the same bytes.
   */
  #whole: readonly Input<NetworkEntry>[][] | undefined
  readonly #flushed = new Set<() => void>()
  #revision = 0

  constructor(sources: readonly NetworkSource[]) {
    this.#sources = sources
  }

  /** The revision up to which every stream has been told everything. */
  get revision(): number {
    return this.#revision
  }

  /** The stream of a node's session; undefined if it has none here. */
  streamOf(node: string): NetworkStream | undefined {
    return this.#current.get(node)
  }

  /**
   * All that every node is told, in parts that fit into a message each. Shared by those who send it: not to be changed.
   */
  get whole(): readonly Input<NetworkEntry>[][] {
    return (this.#whole ??= splitIntoParts([...this.#shared].map(([key, { content }]) => ({ key, entry: content() }))))
  }

  /** What only this node is told, by key. */
  entriesOf(node: string): Map<string, FeedEntry> {
    const entries = new Map<string, FeedEntry>()
    for (const source of this.#sources)
      for (const [key, entry] of source.entriesOf?.(node) ?? []) entries.set(key, entry)
    return entries
  }

  entryOf(node: string, key: string): FeedEntry | undefined {
    for (const source of this.#sources) {
      const entry = source.entriesOf?.(node).get(key)
      if (entry !== undefined) return entry
    }
    return undefined
  }

  /**
   * Follows the cache, which must be complete; answers with the call that ends it. Streams are told with each batch
   * from then on.
   */
  start(informer: Informer): () => void {
    const stops = this.#sources.map((source) => source.start(informer, this))
    stops.push(informer.onBatch((revision) => this.#flush(revision)))
    this.#flush(informer.revision)
    return () => stops.forEach((stop) => stop())
  }

  /** Tells a new stream everything; it follows until `drop`. */
  open(stream: NetworkStream): void {
    this.#streams.add(stream)
    this.#current.set(stream.node, stream)
    stream.begin(this.#revision)
  }

  drop(stream: NetworkStream): void {
    this.#streams.delete(stream)
    if (this.#current.get(stream.node) === stream) this.#current.delete(stream.node)
  }

  /** Calls after each flush; answers with the call that ends it. */
  onFlush(call: () => void): () => void {
    this.#flushed.add(call)
    return () => this.#flushed.delete(call)
  }

  all(key: string, version: string, content: (() => EntryContent) | undefined): void {
    if (content === undefined) {
      if (!this.#shared.delete(key)) return
    } else {
      if (this.#shared.get(key)?.version === version) return
      this.#shared.set(key, { version, content })
    }
    this.#changed.add(key)
    this.#whole = undefined
  }

  node(name: string, key?: string): void {
    if (name === '*') this.#everyNode = true
    else if (key === undefined) this.#concerned.set(name, 'all')
    else {
      const keys = this.#concerned.get(name)
      if (keys === undefined) this.#concerned.set(name, new Set([key]))
      else if (keys !== 'all') keys.add(key)
    }
  }

  #flush(revision: number): void {
    this.#revision = revision
    if (this.#changed.size > 0 || this.#everyNode || this.#concerned.size > 0) {
      const change = this.#sharedChange()
      for (const stream of this.#streams)
        stream.tell(revision, change, this.#everyNode ? 'all' : (this.#concerned.get(stream.node) ?? 'none'))
      this.#changed.clear()
      this.#concerned.clear()
      this.#everyNode = false
    }
    for (const call of this.#flushed) call()
  }

  /** Made once for all streams. */
  #sharedChange(): SharedChange {
    const set: Input<NetworkEntry>[] = []
    const removed: string[] = []
    for (const key of this.#changed) {
      const entry = this.#shared.get(key)
      if (entry === undefined) removed.push(key)
      else set.push({ key, entry: entry.content() })
    }
    return { set, removed }
  }
}
