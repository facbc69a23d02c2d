/**
 * Two streams, each of which reads what the other is written, no faster than it is taken: a connection within the
 * program.
 */
import { Duplex } from 'node:stream'

export function duplexPair(): [PairedDuplex, PairedDuplex] {
  const near = new PairedDuplex()
  const far = new PairedDuplex()
  near.other = far
  far.other = near
  return [near, far]
}

class PairedDuplex extends Duplex {
  other!: PairedDuplex
  #taken: (() => void) | undefined
  #alone = false

  constructor() {
    super({ allowHalfOpen: true })
  }

  override _read(): void {
    const taken = this.#taken
    this.#taken = undefined
    taken?.()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error) => void): void {
    if (this.other.destroyed) return done()
    if (this.other.push(chunk)) done()
    else this.other.#taken = done
  }

  override _final(done: (error?: Error) => void): void {
    if (!this.other.destroyed) this.other.push(null)
    done()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#taken?.()
    // What is cut is cut on both sides.
    if (!this.#alone && !this.other.destroyed && (error !== null || !this.readableEnded || !this.writableFinished))
      this.other.destroy()
    done(error)
  }

  /** As a socket has it, for whoever gives up in the middle: the other half is ended by who knows why. */
  resetAndDestroy(): void {
    this.#alone = true
    this.destroy()
  }
}
