/**
 * A command's output on its way to who asked for it: read no faster than it is taken, so that a slow reader slows the
 * command down.
 */
import type { Readable } from 'node:stream'
import { GantryError } from '../../../proto/base/errors.ts'
import type { Clock } from '../../../proto/base/clock.ts'
import type { ExecRequest } from '../contract.ts'

type Name = 'stdout' | 'stderr'

/**
 * Milliseconds of waiting for output after the command ended: what it left behind in the background may hold the pipes
 * open.
 */
const DRAIN_TIMEOUT_MS = 500
/**
 * Bytes of one stream that may still be underway then: a pipe's 64 KiB (pipe(7)) and what is read ahead. More is not
 * the command's.
 */
const MAX_UNREAD_BYTES = 256 * 1024

export class OutputPump {
  readonly #clock: Clock
  readonly #take: ExecRequest['output']
  readonly #fail: (error: GantryError) => void
  #open = 0
  /** Chunks that are not taken yet. */
  #waiting = 0
  #bytes = 0
  #stopped = false
  #wake: (() => void) | undefined

  /** `fail` is told what goes wrong with a stream or with who takes. */
  constructor(
    streams: readonly (readonly [Name, Readable])[],
    take: ExecRequest['output'],
    fail: (error: GantryError) => void,
    clock: Clock,
  ) {
    this.#clock = clock
    this.#take = take
    this.#fail = fail
    for (const [name, stream] of streams) this.#attach(name, stream)
  }

  /** After the command has ended: resolves when all of its output is taken, or after `stop`. */
  async drain(): Promise<void> {
    const most = this.#bytes + this.#open * MAX_UNREAD_BYTES
    let left = DRAIN_TIMEOUT_MS
    while (!this.#stopped && this.#open > 0 && (this.#waiting > 0 || (left > 0 && this.#bytes < most))) {
      const idle = this.#waiting === 0
      const begun = this.#clock.monotonic()
      const timer = idle ? this.#clock.after(left, () => this.#wake?.()) : undefined
      await new Promise<void>((resolve) => (this.#wake = resolve))
      timer?.cancel()
      if (idle) left -= this.#clock.monotonic() - begun
    }
  }

  /** Nobody takes any more. */
  stop(): void {
    this.#stopped = true
    this.#wake?.()
  }

  #attach(name: Name, stream: Readable): void {
    this.#open++
    stream.on('data', (chunk: Buffer) => this.#pass(name, stream, chunk))
    stream.once('error', (error) => this.#fail(GantryError.from(error)))
    stream.once('close', () => {
      this.#open--
      this.#wake?.()
    })
  }

  #pass(name: Name, stream: Readable, chunk: Buffer): void {
    this.#bytes += chunk.length
    const taken = this.#take(name, chunk)
    this.#wake?.()
    if (!(taken instanceof Promise)) return
    this.#waiting++
    stream.pause()
    const done = (): void => {
      this.#waiting--
      stream.resume()
      this.#wake?.()
    }
    taken.then(done, (thrown: unknown) => {
      this.#fail(GantryError.from(thrown))
      done()
    })
  }
}
