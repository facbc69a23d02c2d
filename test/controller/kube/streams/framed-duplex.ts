/**
 * The client's side of a WebSocket whose messages carry a stream of bytes: for protocol names that the library does not
 * let a client ask for. RFC 6455, section 5.
 */
import { Duplex } from 'node:stream'

const BINARY = 0x82
const MASKED = 0x80

export class FramedDuplex extends Duplex {
  readonly #socket: Duplex
  #held = Buffer.alloc(0)

  constructor(socket: Duplex, head: Buffer) {
    super()
    this.#socket = socket
    this.#take(head)
    socket.on('data', (chunk: Buffer) => this.#take(chunk))
    socket.once('close', () => this.destroy())
  }

  override _read(): void {
    this.#socket.resume()
  }

  /** The mask is all zero: what is sent is as it is. */
  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    const head = Buffer.alloc(14)
    head[0] = BINARY
    head[1] = MASKED | 127
    head.writeBigUInt64BE(BigInt(chunk.length), 2)
    this.#socket.write(Buffer.concat([head, chunk]), done)
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#socket.destroy()
    done(error)
  }

  #take(bytes: Buffer): void {
    this.#held = Buffer.concat([this.#held, bytes])
    for (;;) {
      const [first, second] = this.#held
      if (first === undefined || second === undefined) return
      const wide = second === 126 ? 2 : second === 127 ? 8 : 0
      if (this.#held.length < 2 + wide) return
      const length =
        wide === 0 ? second : wide === 2 ? this.#held.readUInt16BE(2) : Number(this.#held.readBigUInt64BE(2))
      if (this.#held.length < 2 + wide + length) return
      // Pings and the close are the library's affair, which is tested by its own client.
      if (first === BINARY && !this.push(this.#held.subarray(2 + wide, 2 + wide + length))) this.#socket.pause()
      this.#held = this.#held.subarray(2 + wide + length)
    }
  }
}
