/**
 * One watch of etcd that goes on over lost connections: what etcd3's own watcher does not (it misses compaction and
 * fragments).
 */
import type { IDuplexStream, IEvent, IKeyValue, IWatchRequest, IWatchResponse } from 'etcd3'
import { GantryError } from '../../proto/base/errors.ts'
import { backoffDelay } from '../../proto/base/backoff.ts'
import { Channel } from '../../proto/base/channel.ts'
import { delay, type Clock, type Timer } from '../../proto/base/clock.ts'
import type { Random } from '../../proto/base/random.ts'
import type { Entry, StoreEvent, WatchBatch } from './contract.ts'
import { fromGrpc, type EtcdConnection } from './etcd-connection.ts'

const RECONNECT = { first: 50, max: 1000 }
/** Milliseconds until progress is asked for again: etcd does not answer while the watch is still catching up. */
const PROGRESS_AGAIN = 50

export class EtcdWatch {
  readonly #connection: EtcdConnection
  readonly #clock: Clock
  readonly #random: Random
  readonly #prefix: string
  /** Everything up to here is told. */
  #told: number
  /** Somebody waits for the watch to tell this much. */
  #wanted = 0
  #stream: IDuplexStream<IWatchRequest, IWatchResponse> | undefined
  #again: Timer | undefined

  constructor(connection: EtcdConnection, clock: Clock, random: Random, prefix: string, after: number) {
    this.#connection = connection
    this.#clock = clock
    this.#random = random
    this.#prefix = prefix
    this.#told = after
  }

  /**
   * Makes the watch say soon that it has reached a revision, even if nothing under its prefix changed: etcd tells
   * progress by itself only every ten minutes (https://etcd.io/docs/v3.5/learning/api/#watch-streams).
   */
  want(revision: number): void {
    this.#wanted = Math.max(this.#wanted, revision)
    if (this.#again === undefined) this.#askProgress()
  }

  async *batches(signal: AbortSignal): AsyncGenerator<WatchBatch, void, undefined> {
    let failures = 0
    while (!signal.aborted) {
      try {
        for await (const batch of this.#follow(signal)) {
          failures = 0
          yield batch
        }
        if (signal.aborted) return
      } catch (error) {
        if (signal.aborted) return
        if (!GantryError.is(error, 'Unavailable')) throw error
      }
      if (!(await this.#pause(backoffDelay(RECONNECT, ++failures, this.#random), signal))) return
    }
  }

  /** One stream, until it breaks. */
  async *#follow(signal: AbortSignal): AsyncGenerator<WatchBatch, void, undefined> {
    const responses = new Channel<IWatchResponse>()
    const stream = await this.#connection.watch()
    const end = (): void => responses.close()
    stream.on('data', (response) => void responses.push(response))
    stream.on('error', (error) => responses.close(fromGrpc(error as Parameters<typeof fromGrpc>[0])))
    stream.on('end', () => responses.close(new GantryError('Unavailable', 'etcd ended the watch')))
    signal.addEventListener('abort', end, { once: true })
    if (signal.aborted) end()
    // From the last revision told, which is then left out: etcd takes the compacted revision itself as a start, but may
    // have lost deletions in it.
    const key = Buffer.from(this.#prefix)
    stream.write({
      create_request: {
        key,
        range_end: prefixEnd(key),
        start_revision: Math.max(1, this.#told),
        progress_notify: true,
        prev_kv: true,
        fragment: true,
      },
    })
    let fragments: IEvent[] = []
    try {
      for await (const response of responses) {
        if (signal.aborted) return
        if (response.canceled) throw canceled(response, this.#told)
        if (response.created) {
          this.#stream = stream
          this.#askProgress()
          continue
        }
        fragments = fragments.concat(response.events)
        if (response.fragment) continue
        const batch = this.#batch(fragments, Number(response.header.revision))
        fragments = []
        if (batch !== undefined) yield batch
      }
    } finally {
      this.#stream = undefined
      this.#again?.cancel()
      this.#again = undefined
      signal.removeEventListener('abort', end)
      responses.close()
      stream.cancel()
    }
  }

  #batch(received: readonly IEvent[], headerRevision: number): WatchBatch | undefined {
    // While it catches up, the header is ahead of the events: only an answer without events is progress.
    const reached = received.length === 0 ? headerRevision : Number(received.at(-1)!.kv.mod_revision)
    const after = this.#told
    if (reached <= after) return undefined
    this.#told = reached
    if (this.#told >= this.#wanted) {
      this.#again?.cancel()
      this.#again = undefined
    }
    return { revision: reached, events: received.filter((event) => Number(event.kv.mod_revision) > after).map(eventOf) }
  }

  #askProgress(): void {
    this.#again = undefined
    if (this.#stream === undefined || this.#told >= this.#wanted) return
    this.#stream.write({ progress_request: {} })
    this.#again = this.#clock.after(PROGRESS_AGAIN, () => this.#askProgress())
  }

  /** False when the signal was aborted meanwhile. */
  async #pause(millis: number, signal: AbortSignal): Promise<boolean> {
    try {
      await delay(this.#clock, millis, signal)
      return true
    } catch (error) {
      if (signal.aborted) return false
      throw error
    }
  }
}

/** The first key after all that begin with the prefix. */
export function prefixEnd(prefix: Buffer): Buffer {
  const end = Buffer.from(prefix)
  for (let index = end.length - 1; index >= 0; index--) {
    if (end[index]! < 0xff) {
      end[index]! += 1
      return end.subarray(0, index + 1)
    }
  }
  return Buffer.from([0])
}

export function entryOf({ key, value, mod_revision: revision, create_revision: createRevision }: IKeyValue): Entry {
  return { key: key.toString(), value, revision: Number(revision), createRevision: Number(createRevision) }
}

function eventOf({ type, kv, prev_kv: previous }: IEvent): StoreEvent {
  if (type === 'Put') return { type: 'put', entry: entryOf(kv) }
  const revision = Number(kv.mod_revision)
  const known = previous ?? undefined
  if (known === undefined)
    return { type: 'delete', entry: { key: kv.key.toString(), value: new Uint8Array(), revision, createRevision: 0 } }
  return { type: 'delete', entry: { ...entryOf(known), revision } }
}

function canceled(response: IWatchResponse, told: number): GantryError {
  const compacted = Number(response.compact_revision)
  if (compacted > 0)
    return new GantryError('Expired', `revision ${told} is compacted; history begins after ${compacted}`)
  return new GantryError('Unavailable', `etcd ended the watch: ${response.cancel_reason}`)
}
