/**
 * The store: a map of keys to bytes with one revision for the whole, as etcd has it
 * (https://etcd.io/docs/v3.5/learning/api/). Implementations: etcd.ts for clusters, memory.ts for unit tests and
 * simulation; test/contract/store.ts is the suite both pass.
 *
 * Every commit raises the revision by one, and every entry it touched carries that revision. A watch begun after
 * revision R tells every change with a revision > R, once, in order, whole commits at a time.
 */

export interface Entry {
  readonly key: string
  readonly value: Uint8Array
  /** Revision of the last write of this key: an object's resourceVersion. */
  readonly revision: number
  /** Revision of the write that made the key. */
  readonly createRevision: number
}

/** What a key must be for an operation to happen. */
export type Precondition =
  | { readonly is: 'absent' }
  | { readonly is: 'at'; readonly revision: number }
  | { readonly is: 'any' }

export type Operation =
  | {
      readonly kind: 'put'
      readonly key: string
      readonly value: Uint8Array
      readonly expect: Precondition
      readonly leaseId?: string
    }
  | { readonly kind: 'delete'; readonly key: string; readonly expect: Precondition }

/** The term of a leader: the commit happens only while the key still has this create revision. */
export interface Term {
  readonly key: string
  readonly createRevision: number
}

export type CommitResult =
  | { readonly outcome: 'committed'; readonly revision: number }
  /**
   * Nothing happened: these operations (by index) met another state; `current` is that state, undefined for a key that
   * is absent.
   */
  | {
      readonly outcome: 'conflict'
      readonly conflicts: readonly { readonly index: number; readonly current: Entry | undefined }[]
    }
  /** Nothing happened: the writer leads no more. */
  | { readonly outcome: 'deposed' }

export interface Page {
  readonly entries: readonly Entry[]
  /** The revision of the snapshot that the page shows. */
  readonly revision: number
  /** Begin the next page after this key, at the same revision; undefined on the last. */
  readonly next: string | undefined
  /** Entries in all, this page and those before included. */
  readonly count: number
}

export interface StoreEvent {
  readonly type: 'put' | 'delete'
  /** After the change; for a delete the key and the revision of the deletion: what was there, whoever follows knows. */
  readonly entry: Entry
}

export interface WatchBatch {
  /** Everything up to here is told. May be empty of events: progress. */
  readonly revision: number
  readonly events: readonly StoreEvent[]
}

export interface Store {
  get(key: string): Promise<Entry | undefined>

  /**
   * Entries under a prefix in key order, at most `limit` (default 500) a page; `revision` fixes the snapshot (Expired
   * once it is compacted).
   */
  list(prefix: string, options?: { limit?: number; after?: string; revision?: number }): Promise<Page>

  /** All of the operations or none; at most 100 (InvalidArgument beyond). No key twice. */
  commit(operations: readonly Operation[], term?: Term): Promise<CommitResult>

  /**
   * Changes under a prefix after a revision. Survives lost connections by itself. Throws Expired when the revision is
   * compacted, also when that happens while the connection is lost; ends when the signal is aborted.
   */
  watch(prefix: string, after: number, signal: AbortSignal): AsyncIterable<WatchBatch>

  /** The newest revision, asked of a majority: what a consistent read must wait for. */
  revision(): Promise<number>

  /** A lease that keeps keys alive while its holder does; see controller/election. Returns its id. */
  grantLease(ttlSeconds: number): Promise<string>
  /** True while the lease lives. */
  keepLease(leaseId: string): Promise<boolean>
  revokeLease(leaseId: string): Promise<void>

  close(): Promise<void>
}

/** The most operations in one commit: etcd's own default limit is 128. */
export const COMMIT_LIMIT = 100

/** The largest value. An object over this is refused before it reaches the store. */
export const VALUE_LIMIT = 1_500_000
