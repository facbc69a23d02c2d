/**
 * One watch of etcd that goes on over lost connections: what etcd3's own watcher does not (it misses compaction and
 * fragments).
 */
import { GantryError } from '../../proto/base/errors.ts'
import { backoffDelay } from '../../proto/base/backoff.ts'
import { delay, type Clock, type Timer } from '../../proto/base/clock.ts'
import type { Random } from '../../proto/base/random.ts'
import type { StoreEvent, WatchBatch } from './contract.ts'
import { decodeWatchAnswer, encodeProgressRequest, encodeWatch, type WatchAnswer } from './etcd-messages.ts'
import type { GrpcChannel } from './grpc/channel.ts'
import type { MessageStream } from './grpc/message-stream.ts'

const WATCH = '/etcdserverpb.Watch/Watch'
/** Of a member that has a leader: the watch ends when it loses it. */
const METADATA = { hasleader: 'true' }
const PROGRESS_REQUEST = encodeProgressRequest()

const RECONNECT = { first: 50, max: 1000 }
/** Milliseconds until progress is asked for again: etcd does not answer while the watch is still catching up. */
const PROGRESS_AGAIN = 50

export class EtcdWatch {
  readonly #channel: GrpcChannel
  readonly #clock: Clock
  readonly #random: Random
  readonly #prefix: string
  /** Everything up to here is told. */
  #told: number
  /** Somebody waits for the watch to tell this much. */
  #wanted = 0
  #stream: MessageStream | undefined
  #again: Timer | undefined

  constructor(channel: GrpcChannel, clock: Clock, random: Random, prefix: string, after: number) {
    this.#channel = channel
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
    const stream = await this.#channel.stream(WATCH, METADATA)
    const end = (): void => stream.cancel()
    signal.addEventListener('abort', end, { once: true })
    if (signal.aborted) end()
    // From the last revision told, which is then left out: etcd takes the compacted revision itself as a start, but may
    // have lost deletions in it.
    const key = Buffer.from(this.#prefix)
    stream.send(encodeWatch(key, prefixEnd(key), Math.max(1, this.#told)))
    let fragments: StoreEvent[] = []
    try {
      for await (const message of stream.messages()) {
        if (signal.aborted) return
        const answer = decodeWatchAnswer(message)
        if (answer.canceled) throw canceled(answer, this.#told)
        if (answer.created) {
          this.#stream = stream
          this.#askProgress()
          continue
        }
        fragments = fragments.length === 0 ? answer.events : fragments.concat(answer.events)
        if (answer.fragment) continue
        const batch = this.#batch(fragments, answer.revision)
        fragments = []
        if (batch !== undefined) yield batch
      }
    } finally {
      this.#stream = undefined
      this.#again?.cancel()
      this.#again = undefined
      signal.removeEventListener('abort', end)
      stream.cancel()
    }
  }

  #batch(received: readonly StoreEvent[], headerRevision: number): WatchBatch | undefined {
    // While it catches up, the header is ahead of the events: only an answer without events is progress.
    const reached = received.length === 0 ? headerRevision : received.at(-1)!.entry.revision
    const after = this.#told
    if (reached <= after) return undefined
    this.#told = reached
    if (this.#told >= this.#wanted) {
      this.#again?.cancel()
      this.#again = undefined
    }
    return { revision: reached, events: received.filter(({ entry }) => entry.revision > after) }
  }

  #askProgress(): void {
    this.#again = undefined
    if (this.#stream === undefined || this.#told >= this.#wanted) return
    this.#stream.send(PROGRESS_REQUEST)
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

function canceled(response: WatchAnswer, told: number): GantryError {
  const compacted = response.compactRevision
  if (compacted > 0)
    return new GantryError('Expired', `revision ${told} is compacted; history begins after ${compacted}`)
  return new GantryError('Unavailable', `etcd ended the watch: ${response.cancelReason}`)
}
