/**
 * The store on etcd, v3.5.8 or later: earlier ones tell progress before the events it covers.
 * https://etcd.io/docs/v3.5/learning/api/
 */
import type { ILeaseGrantResponse } from 'etcd3'
import { GantryError } from '../../proto/base/errors.ts'
import type { Random } from '../../proto/base/random.ts'
import { OBJECTS_PREFIX } from './keys.ts'
import type { CommitResult, Entry, Operation, Page, Store, Term, WatchBatch } from './contract.ts'
import { DEFAULT_TIMEOUT_MS, EtcdConnection, type EtcdOptions } from './etcd-connection.ts'
import {
  decodeCommit,
  decodeRange,
  encodeCommit,
  encodeRange,
  type RangeAnswer,
  type RangeRequest,
} from './etcd-messages.ts'
import { EtcdWatch, prefixEnd } from './etcd-watch.ts'
import { GrpcChannel } from './grpc/channel.ts'
import { checkOperations } from './operations.ts'

export type { EtcdOptions }

const RANGE = '/etcdserverpb.KV/Range'
const TXN = '/etcdserverpb.KV/Txn'
/** A range is answered only after the leader has confirmed with a majority how far the log is. */
const HOW_FAR = encodeRange({ key: Buffer.from(OBJECTS_PREFIX), countOnly: true })

/**
 * Every call succeeds or fails within `timeout` (Unavailable), also while etcd is away, and works again by itself once
 * it is back. A commit that fails with Unavailable may have happened.
 */
export class EtcdStore implements Store {
  readonly #channel: GrpcChannel
  /** For leases, which are rare: it connects when there is one. */
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
    const { endpoints, tls, timeout = DEFAULT_TIMEOUT_MS, clock } = options
    this.#channel = new GrpcChannel({ endpoints, tls, timeout, clock, random })
    this.#connection = new EtcdConnection(options)
  }

  async get(key: string): Promise<Entry | undefined> {
    return (await this.#range({ key: Buffer.from(key) })).entries[0]
  }

  async list(prefix: string, options: { limit?: number; after?: string; revision?: number } = {}): Promise<Page> {
    const { limit = 500, after, revision } = options
    const start = Buffer.from(prefix)
    const range: RangeRequest = {
      key: after === undefined ? start : Buffer.concat([Buffer.from(after), Buffer.from([0])]),
      rangeEnd: prefixEnd(start),
      limit,
      ...(revision === undefined ? {} : { revision }),
    }
    // A page after the first does not say how many entries there are before it.
    const counting = after === undefined || revision === undefined ? undefined : this.#count(prefix, revision)
    counting?.catch(() => undefined) // told below
    let answer: RangeAnswer
    try {
      answer = await this.#range(range)
    } catch (error) {
      // Larger than one message may be: half as many entries.
      if (!GantryError.is(error, 'ResourceExhausted') || limit <= 1) throw error
      return this.list(prefix, { ...options, limit: Math.floor(limit / 2) })
    }
    const { entries } = answer
    const shown = revision ?? answer.revision
    const count = after === undefined ? answer.count : await (counting ?? this.#count(prefix, shown))
    return { entries, revision: shown, next: answer.more ? entries.at(-1)!.key : undefined, count }
  }

  async commit(operations: readonly Operation[], term?: Term): Promise<CommitResult> {
    checkOperations(operations)
    const answer = decodeCommit(await this.#channel.call(TXN, encodeCommit(operations, term), 'write'))
    if (answer.succeeded) return { outcome: 'committed', revision: answer.revision }
    const found = [...answer.found]
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
    const watch = new EtcdWatch(this.#channel, this.#options.clock, this.#random, prefix, after)
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
    this.#channel.close()
    this.#connection.close()
  }

  async #range(request: RangeRequest): Promise<RangeAnswer> {
    return decodeRange(await this.#channel.call(RANGE, encodeRange(request), 'read'))
  }

  async #count(prefix: string, revision: number): Promise<number> {
    const key = Buffer.from(prefix)
    return (await this.#range({ key, rangeEnd: prefixEnd(key), revision, countOnly: true })).count
  }

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
    const asked = this.#channel.call(RANGE, HOW_FAR, 'read').then((message) => decodeRange(message).revision)
    this.#currentRevision = asked
    return asked.finally(() => {
      if (this.#currentRevision === asked) this.#currentRevision = undefined
    })
  }
}
