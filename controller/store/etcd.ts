/**
 * The store on etcd, v3.5.8 or later: earlier ones tell progress before the events it covers.
 * https://etcd.io/docs/v3.5/learning/api/
 */
import type {
  ICompare,
  ILeaseGrantResponse,
  IRangeRequest,
  IRangeResponse,
  IRequestOp,
  ITxnRequest,
  ITxnResponse,
} from 'etcd3'
import { GantryError } from '../../proto/base/errors.ts'
import type { Random } from '../../proto/base/random.ts'
import { OBJECTS_PREFIX } from './keys.ts'
import type { CommitResult, Entry, Operation, Page, Store, Term, WatchBatch } from './contract.ts'
import { EtcdConnection, type EtcdOptions } from './etcd-connection.ts'
import { EtcdWatch, entryOf, prefixEnd } from './etcd-watch.ts'
import { checkOperations } from './operations.ts'

export type { EtcdOptions }

/**
 * Every call succeeds or fails within `timeout` (Unavailable), also while etcd is away, and works again by itself once
 * it is back. A commit that fails with Unavailable may have happened.
 */
export class EtcdStore implements Store {
  readonly #connection: EtcdConnection
  readonly #options: EtcdOptions
  readonly #random: Random
  readonly #watches = new Set<EtcdWatch>()
  readonly #end = new AbortController()
  /** A question that those who come while one is under way share: an answer must have been asked for after the call. */
  #nextRevision: Promise<number> | undefined
  #currentRevision: Promise<number> | undefined

  constructor(options: EtcdOptions, random: Random) {
    this.#options = options
    this.#random = random
    this.#connection = new EtcdConnection(options)
  }

  async get(key: string): Promise<Entry | undefined> {
    const response = await this.#range({ key: Buffer.from(key) })
    return response.kvs.map(entryOf)[0]
  }

  async list(prefix: string, options: { limit?: number; after?: string; revision?: number } = {}): Promise<Page> {
    const { limit = 500, after, revision } = options
    const start = Buffer.from(prefix)
    const range: IRangeRequest = {
      key: after === undefined ? start : Buffer.concat([Buffer.from(after), Buffer.from([0])]),
      range_end: prefixEnd(start),
      limit,
      ...(revision === undefined ? {} : { revision }),
    }
    let response: IRangeResponse
    try {
      response = await this.#range(range)
    } catch (error) {
      // Larger than one message may be: half as many entries.
      if (!GantryError.is(error, 'ResourceExhausted') || limit <= 1) throw error
      return this.list(prefix, { ...options, limit: Math.floor(limit / 2) })
    }
    const entries = response.kvs.map(entryOf)
    const shown = revision ?? Number(response.header.revision)
    const count =
      after === undefined
        ? Number(response.count)
        : Number(
            (await this.#range({ key: start, range_end: prefixEnd(start), revision: shown, count_only: true })).count,
          )
    return { entries, revision: shown, next: response.more ? entries.at(-1)!.key : undefined, count }
  }

  async commit(operations: readonly Operation[], term?: Term): Promise<CommitResult> {
    checkOperations(operations)
    const request: ITxnRequest = {
      compare: [
        ...(term === undefined ? [] : [createdAt(term.key, term.createRevision)]),
        ...operations.flatMap(compareOf),
      ],
      success: operations.map(requestOf),
      failure: [...(term === undefined ? [] : [term.key]), ...operations.map(({ key }) => key)].map((key) => ({
        request_range: { key: Buffer.from(key) },
      })),
    }
    const response = await this.#connection.call<ITxnResponse>('KV', 'txn', request, 'write')
    if (response.succeeded) return { outcome: 'committed', revision: Number(response.header.revision) }
    const found = response.responses.map(({ response_range: range }) => range.kvs.map(entryOf)[0])
    if (term !== undefined && found.shift()?.createRevision !== term.createRevision) return { outcome: 'deposed' }
    const conflicts = operations.flatMap(({ expect }, index) => {
      const current = found[index]
      const met =
        expect.is === 'any' || (expect.is === 'absent' ? current === undefined : current?.revision === expect.revision)
      return met ? [] : [{ index, current }]
    })
    return { outcome: 'conflict', conflicts }
  }

  async *watch(prefix: string, after: number, signal: AbortSignal): AsyncGenerator<WatchBatch, void, undefined> {
    const watch = new EtcdWatch(this.#connection, this.#options.clock, this.#random, prefix, after)
    this.#watches.add(watch)
    try {
      yield* watch.batches(AbortSignal.any([signal, this.#end.signal]))
      if (!signal.aborted) throw new GantryError('Unavailable', 'the store is closed')
    } finally {
      this.#watches.delete(watch)
    }
  }

  async revision(): Promise<number> {
    const revision = await this.#askRevision()
    for (const watch of this.#watches) watch.want(revision)
    return revision
  }

  async grantLease(ttlSeconds: number): Promise<string> {
    const response = await this.#connection.call<ILeaseGrantResponse>(
      'Lease',
      'leaseGrant',
      { TTL: ttlSeconds, ID: 0 },
      'write',
    )
    return response.ID
  }

  async keepLease(leaseId: string): Promise<boolean> {
    return (await this.#connection.keepAlive(leaseId)) > 0
  }

  /** A lease that is gone already is no failure. */
  async revokeLease(leaseId: string): Promise<void> {
    try {
      await this.#connection.call('Lease', 'leaseRevoke', { ID: leaseId }, 'write')
    } catch (error) {
      if (!GantryError.is(error, 'NotFound')) throw error
    }
  }

  async close(): Promise<void> {
    this.#end.abort()
    this.#connection.close()
  }

  #range(request: IRangeRequest): Promise<IRangeResponse> {
    return this.#connection.call<IRangeResponse>('KV', 'range', request, 'read')
  }

  /** A range is answered only after the leader has confirmed with a majority how far the log is. */
  #askRevision(): Promise<number> {
    if (this.#currentRevision === undefined) return this.#startRevision()
    this.#nextRevision ??= this.#currentRevision.then(
      () => this.#startRevision(),
      () => this.#startRevision(),
    )
    return this.#nextRevision
  }

  #startRevision(): Promise<number> {
    this.#nextRevision = undefined
    const asked = this.#range({ key: Buffer.from(OBJECTS_PREFIX), count_only: true }).then(({ header }) =>
      Number(header.revision),
    )
    this.#currentRevision = asked
    return asked.finally(() => {
      if (this.#currentRevision === asked) this.#currentRevision = undefined
    })
  }
}

function createdAt(key: string, revision: number): ICompare {
  return { key: Buffer.from(key), target: 'Create', result: 'Equal', create_revision: revision }
}

function compareOf({ key, expect }: Operation): ICompare[] {
  switch (expect.is) {
    case 'any':
      return []
    case 'absent':
      return [createdAt(key, 0)]
    case 'at':
      return [{ key: Buffer.from(key), target: 'Mod', result: 'Equal', mod_revision: expect.revision }]
  }
}

function requestOf(operation: Operation): IRequestOp {
  const key = Buffer.from(operation.key)
  if (operation.kind === 'delete') return { request_delete_range: { key } }
  const { value, leaseId } = operation
  return {
    request_put: {
      key,
      value: Buffer.from(value.buffer, value.byteOffset, value.length),
      ...(leaseId === undefined ? {} : { lease: leaseId }),
    },
  }
}
