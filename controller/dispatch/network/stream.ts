/** What one session's node has been told of the network, and how much of it the node has confirmed. */
import type { Input } from '../../../proto/codec/wire.ts'
import type { NetworkEntry, NetworkUpdate } from '../../../proto/gen/types.ts'
import type { FeedEntry, FeedReader, SharedChange } from './contract.ts'
import { splitIntoParts } from './message-parts.ts'

export class NetworkStream {
  readonly node: string
  readonly #feed: FeedReader
  readonly #send: (update: Input<NetworkUpdate>) => void
  /** What only this node was told, by key. */
  #told: ReadonlyMap<string, FeedEntry> = new Map()
  #sequence = 0
  /** The revision of the last message. */
  #sent = 0
  #applied = 0

  constructor(parts: { node: string; feed: FeedReader; send: (update: Input<NetworkUpdate>) => void }) {
    this.node = parts.node
    this.#feed = parts.feed
    this.#send = parts.send
  }

  /** True once the node follows all that it was told. */
  get upToDate(): boolean {
    return this.#applied >= this.#sent
  }

  /** The revision that the node follows. */
  get applied(): number {
    return this.#applied
  }

  /** The first message: everything. */
  begin(revision: number): void {
    const own = this.#feed.entriesOf(this.node)
    this.#told = own
    const further = [...own].map(([key, { content }]) => ({ key, entry: content() }))
    const parts = [...this.#feed.whole, ...splitIntoParts(further)].filter((part) => part.length > 0)
    this.#tell(revision, true, parts.length === 0 ? [[]] : parts, [])
  }

  /**
   * What has changed: of what every node is told, and what only this one is if `own`. Nothing is sent if that is
   * nothing.
   */
  tell(revision: number, shared: SharedChange, own: boolean): void {
    const set = [...shared.set]
    const removed = [...shared.removed]
    if (own) {
      const now = this.#feed.entriesOf(this.node)
      for (const [key, { version, content }] of now)
        if (this.#told.get(key)?.version !== version) set.push({ key, entry: content() })
      for (const key of this.#told.keys()) if (!now.has(key)) removed.push(key)
      this.#told = now
    }
    if (set.length > 0 || removed.length > 0) this.#tell(revision, false, splitIntoParts(set), removed)
  }

  /** The node says that it follows a revision. */
  confirm(revision: number): void {
    this.#applied = Math.max(this.#applied, revision)
  }

  #tell(
    revision: number,
    complete: boolean,
    parts: readonly Input<NetworkEntry>[][],
    removed: readonly string[],
  ): void {
    this.#sent = revision
    for (const [index, part] of parts.entries()) {
      this.#send({
        complete: complete && index === 0,
        sequence: ++this.#sequence,
        revision,
        set: part,
        removed: index === 0 ? [...removed] : [],
        more: index < parts.length - 1,
      })
    }
  }
}
