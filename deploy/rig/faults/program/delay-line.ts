/** A stream that hands on what it gets later, in order: what a slow or long line does to a connection. */
import { Duplex } from 'node:stream'
import type { Clock, Timer } from '../../../../proto/base/clock.ts'
import type { Random } from '../../../../proto/base/random.ts'
import type { Conditions } from './task.ts'

/** Bytes on the line at once where no rate bounds them. */
const LONG_LINE = 16 * 1024 * 1024
/**
 * With a rate: milliseconds of it that are taken in beyond those under way, and the milliseconds that are handed on as
 * one piece.
 */
const AHEAD = 250
const PIECE = 20
/** Bytes of a piece: no smaller, so that a low rate does not take a timer for each byte, and no larger. */
const SMALLEST = 512
const LARGEST = 64 * 1024

interface Piece {
  /** By the monotonic clock. */
  readonly due: number
  /** Null: the end. */
  readonly bytes: Buffer | null
}

export class DelayLine extends Duplex {
  readonly #conditions: Conditions
  readonly #clock: Clock
  readonly #random: Random
  readonly #room: number
  readonly #queue: Piece[] = []
  #held = 0
  /** When the line is free for the next piece, and when the last one arrives. */
  #free = 0
  #last = 0
  #wanted = false
  #accept: (() => void) | undefined
  #timer: Timer | undefined

  constructor(conditions: Conditions, clock: Clock, random: Random) {
    super({ allowHalfOpen: true })
    const { by = 0, jitter = 0, rate } = conditions
    this.#conditions = conditions
    this.#clock = clock
    this.#random = random
    this.#room = rate === undefined ? LONG_LINE : Math.max(LARGEST, (rate * (by + jitter + AHEAD)) / 1000)
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    const { rate } = this.#conditions
    const size = rate === undefined ? LARGEST : Math.min(LARGEST, Math.max(SMALLEST, Math.floor((rate * PIECE) / 1000)))
    for (let start = 0; start < chunk.length; start += size) this.#put(chunk.subarray(start, start + size))
    this.#accept = done
    this.#release()
  }

  override _final(done: () => void): void {
    this.#put(null)
    this.#release()
    done()
  }

  override _read(): void {
    this.#wanted = true
    this.#release()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#timer?.cancel()
    this.#queue.length = 0
    done(error)
  }

  #put(bytes: Buffer | null): void {
    const { by = 0, jitter = 0, reorder = 0, rate } = this.#conditions
    const length = bytes?.length ?? 0
    const late =
      by +
      (jitter === 0 ? 0 : (this.#random.next() * 2 - 1) * jitter) +
      (reorder > 0 && this.#random.next() < reorder ? Math.max(by, jitter) : 0)
    this.#free = Math.max(this.#free, this.#clock.monotonic()) + (rate === undefined ? 0 : (length / rate) * 1000)
    this.#last = Math.max(this.#last, this.#free + Math.max(0, late))
    // Timers know whole milliseconds.
    this.#queue.push({ due: Math.ceil(this.#last), bytes })
    this.#held += length
  }

  /** Hands on what is due and wanted, sees to the next, and takes more in if there is room. */
  #release(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    if (this.destroyed) return
    while (this.#wanted && this.#queue.length > 0 && this.#queue[0]!.due <= this.#clock.monotonic()) {
      const { bytes } = this.#queue.shift()!
      this.#held -= bytes?.length ?? 0
      this.#wanted = this.push(bytes)
    }
    const next = this.#queue[0]
    if (this.#wanted && next !== undefined)
      this.#timer = this.#clock.after(next.due - this.#clock.monotonic(), () => this.#release())
    if (this.#held > this.#room) return
    const accept = this.#accept
    this.#accept = undefined
    accept?.()
  }
}
