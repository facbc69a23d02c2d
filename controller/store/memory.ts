/** The store in memory, with history: for unit tests and simulation. Nothing survives the process. */
import { GantryError } from '../../proto/base/errors.ts'
import { Channel } from '../../proto/base/channel.ts'
import type { Clock, Timer } from '../../proto/base/clock.ts'
import type { CommitResult, Entry, Operation, Page, Store, StoreEvent, Term, WatchBatch } from './contract.ts'
import { checkOperations } from './operations.ts'

interface Commit {
  readonly revision: number
  readonly changes: readonly {
    readonly key: string
    readonly before: Entry | undefined
    readonly after: Entry | undefined
  }[]
}

interface Lease {
  readonly millis: number
  readonly keys: Set<string>
  timer: Timer
}

interface Watcher {
  readonly prefix: string
  readonly batches: Channel<WatchBatch>
}

interface Snapshot {
  readonly revision: number
  readonly entries: ReadonlyMap<string, Entry>
  readonly keys: readonly string[]
}

export class MemoryStore implements Store {
  readonly #clock: Clock
  readonly #keep: number
  readonly #entries = new Map<string, Entry>()
  readonly #leases = new Map<string, Lease>()
  readonly #leaseOf = new Map<string, string>()
  readonly #watchers = new Set<Watcher>()
  /** Commits after the compacted revision, oldest first. */
  #commits: Commit[] = []
  #compacted = 0
  /** An empty etcd is at revision 1 as well. */
  #revision = 1
  #leasesGranted = 0
  #snapshot: Snapshot | undefined
  #closed = false

  /**
   * Leases expire by the clock. At least `keep` commits stay in the history; older ones are compacted from time to
   * time.
   */
  constructor(clock: Clock, keep = 50_000) {
    this.#clock = clock
    this.#keep = keep
  }

  async get(key: string): Promise<Entry | undefined> {
    this.#checkOpen()
    return this.#entries.get(key)
  }

  async list(prefix: string, options: { limit?: number; after?: string; revision?: number } = {}): Promise<Page> {
    this.#checkOpen()
    const { limit = 500, after = '', revision = this.#revision } = options
    const snapshot = this.#snapshotAt(revision)
    const keys = snapshot.keys.filter((key) => key.startsWith(prefix))
    const rest = keys.filter((key) => key > after)
    const entries = rest.slice(0, limit).map((key) => snapshot.entries.get(key)!)
    return { entries, revision, next: rest.length > limit ? entries.at(-1)!.key : undefined, count: keys.length }
  }

  async commit(operations: readonly Operation[], term?: Term): Promise<CommitResult> {
    this.#checkOpen()
    checkOperations(operations)
    if (term !== undefined && this.#entries.get(term.key)?.createRevision !== term.createRevision)
      return { outcome: 'deposed' }
    const conflicts = operations.flatMap((operation, index) => {
      const current = this.#entries.get(operation.key)
      return meets(operation, current) ? [] : [{ index, current }]
    })
    if (conflicts.length > 0) return { outcome: 'conflict', conflicts }
    for (const operation of operations) {
      if (operation.kind === 'put' && operation.leaseId !== undefined && !this.#leases.has(operation.leaseId))
        throw noLease(operation.leaseId)
    }
    this.#write(operations)
    return { outcome: 'committed', revision: this.#revision }
  }

  async *watch(prefix: string, after: number, signal: AbortSignal): AsyncGenerator<WatchBatch, void, undefined> {
    if (signal.aborted) return
    this.#checkOpen()
    if (after < this.#compacted) throw expired(after, this.#compacted)
    const watcher: Watcher = { prefix, batches: new Channel() }
    for (const commit of this.#commits) if (commit.revision > after) watcher.batches.push(batchOf(commit, prefix))
    this.#watchers.add(watcher)
    const end = (): void => watcher.batches.close()
    signal.addEventListener('abort', end, { once: true })
    try {
      for await (const batch of watcher.batches) {
        if (signal.aborted) return
        yield batch
      }
    } finally {
      signal.removeEventListener('abort', end)
      this.#watchers.delete(watcher)
    }
  }

  async revision(): Promise<number> {
    this.#checkOpen()
    return this.#revision
  }

  async grantLease(ttlSeconds: number): Promise<string> {
    this.#checkOpen()
    const id = String(++this.#leasesGranted)
    const millis = ttlSeconds * 1000
    this.#leases.set(id, { millis, keys: new Set(), timer: this.#clock.after(millis, () => this.#endLease(id)) })
    return id
  }

  async keepLease(leaseId: string): Promise<boolean> {
    this.#checkOpen()
    const lease = this.#leases.get(leaseId)
    if (lease === undefined) return false
    lease.timer.cancel()
    lease.timer = this.#clock.after(lease.millis, () => this.#endLease(leaseId))
    return true
  }

  async revokeLease(leaseId: string): Promise<void> {
    this.#checkOpen()
    this.#endLease(leaseId)
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const { timer } of this.#leases.values()) timer.cancel()
    this.#leases.clear()
    for (const { batches } of this.#watchers) batches.close(closed())
  }

  /**
   * Forgets the history up to and including this revision, as etcd's compaction does: watches that have been told less
   * end with Expired.
   */
  compact(revision: number): void {
    if (revision > this.#revision) throw new GantryError('InvalidArgument', `revision ${revision} is not reached yet`)
    if (revision <= this.#compacted) return
    this.#compacted = revision
    this.#commits = this.#commits.filter((commit) => commit.revision > revision)
    if (this.#snapshot !== undefined && this.#snapshot.revision < revision) this.#snapshot = undefined
  }

  #write(operations: readonly Operation[]): void {
    const revision = this.#revision + 1
    const changes: Commit['changes'][number][] = []
    for (const operation of operations) {
      const { key } = operation
      const before = this.#entries.get(key)
      if (operation.kind === 'delete' && before === undefined) continue
      this.#detach(key)
      if (operation.kind === 'delete') {
        this.#entries.delete(key)
        changes.push({ key, before, after: undefined })
        continue
      }
      const after: Entry = { key, value: operation.value, revision, createRevision: before?.createRevision ?? revision }
      this.#entries.set(key, after)
      if (operation.leaseId !== undefined) {
        this.#leases.get(operation.leaseId)!.keys.add(key)
        this.#leaseOf.set(key, operation.leaseId)
      }
      changes.push({ key, before, after })
    }
    if (changes.length === 0) return
    this.#revision = revision
    const commit = { revision, changes }
    this.#commits.push(commit)
    if (this.#commits.length > 2 * this.#keep)
      this.compact(this.#commits[this.#commits.length - this.#keep - 1]!.revision)
    for (const watcher of this.#watchers) watcher.batches.push(batchOf(commit, watcher.prefix))
  }

  #detach(key: string): void {
    const leaseId = this.#leaseOf.get(key)
    if (leaseId === undefined) return
    this.#leaseOf.delete(key)
    this.#leases.get(leaseId)?.keys.delete(key)
  }

  #endLease(id: string): void {
    const lease = this.#leases.get(id)
    if (lease === undefined) return
    lease.timer.cancel()
    this.#leases.delete(id)
    this.#write([...lease.keys].map((key) => ({ kind: 'delete', key, expect: { is: 'any' } })))
  }

  #snapshotAt(revision: number): Snapshot {
    if (revision < this.#compacted) throw expired(revision, this.#compacted)
    if (revision > this.#revision) throw new GantryError('Expired', `revision ${revision} is not reached yet`)
    if (this.#snapshot?.revision === revision) return this.#snapshot
    const entries = new Map(this.#entries)
    for (let index = this.#commits.length - 1; index >= 0 && this.#commits[index]!.revision > revision; index--) {
      for (const { key, before } of this.#commits[index]!.changes) {
        if (before === undefined) entries.delete(key)
        else entries.set(key, before)
      }
    }
    return (this.#snapshot = { revision, entries, keys: [...entries.keys()].sort() })
  }

  #checkOpen(): void {
    if (this.#closed) throw closed()
  }
}

function meets({ expect }: Operation, current: Entry | undefined): boolean {
  switch (expect.is) {
    case 'any':
      return true
    case 'absent':
      return current === undefined
    case 'at':
      return current?.revision === expect.revision
  }
}

function batchOf({ revision, changes }: Commit, prefix: string): WatchBatch {
  const events = changes
    .filter(({ key }) => key.startsWith(prefix))
    .map(({ key, after }): StoreEvent =>
      after === undefined
        ? { type: 'delete', entry: { key, value: new Uint8Array(), revision, createRevision: 0 } }
        : { type: 'put', entry: after },
    )
  return { revision, events }
}

function expired(revision: number, compacted: number): GantryError {
  return new GantryError('Expired', `revision ${revision} is compacted; history begins after ${compacted}`)
}

function noLease(id: string): GantryError {
  return new GantryError('NotFound', `no lease ${id}`)
}

function closed(): GantryError {
  return new GantryError('Unavailable', 'the store is closed')
}
