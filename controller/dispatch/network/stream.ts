/** What one session's node has been told of the network, and how much of it the node has confirmed. */
import type { Input } from '../../../proto/codec/wire.ts'
import type { NetworkEntry, NetworkUpdate } from '../../../proto/gen/types.ts'
import type { ConcernedKeys, FeedEntry, FeedReader, SharedChange } from './contract.ts'
import { splitIntoParts } from './message-parts.ts'

export class NetworkStream {
  readonly node: string
  readonly #feed: FeedReader
  readonly #send: (update: Input<NetworkUpdate>) => void
  /** Versions of what only this node was told, by key. */
  #told = new Map<string, string>()
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
    this.#told = new Map([...own].map(([key, { version }]) => [key, version]))
    const further = [...own].map(([key, { content }]) => ({ key, entry: content() }))
    const parts = [...this.#feed.whole, ...splitIntoParts(further)].filter((part) => part.length > 0)
    this.#tell(revision, true, parts.length === 0 ? [[]] : parts, [])
  }

  /** What has changed: of what every node is told, and of what only this one is. Nothing is sent if that is nothing. */
  tell(revision: number, shared: SharedChange, own: ConcernedKeys): void {
    const set = [...shared.set]
    const removed = [...shared.removed]
    const look = (key: string, entry: FeedEntry | undefined): void => {
      if (entry === undefined) {
        if (this.#told.delete(key)) removed.push(key)
      } else if (this.#told.get(key) !== entry.version) {
        this.#told.set(key, entry.version)
        set.push({ key, entry: entry.content() })
      }
    }
    if (own === 'all') {
      const now = this.#feed.entriesOf(this.node)
      for (const [key, entry] of now) look(key, entry)
      for (const key of [...this.#told.keys()]) if (!now.has(key)) look(key, undefined)
    } else if (own !== 'none') for (const key of own) look(key, this.#feed.entryOf(this.node, key))
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
