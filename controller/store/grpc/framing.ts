/**
 * Messages as they travel in a call of gRPC: before each a byte that tells whether it is compressed, and its length in
 * four. https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#length-prefixed-message
 */
import { GantryError } from '../../../proto/base/errors.ts'

export const PREFIX_LENGTH = 5

/** Room for a message of this size, with its prefix written before it. */
export function allocateFrame(size: number): Buffer {
  const frame = Buffer.allocUnsafe(PREFIX_LENGTH + size)
  frame[0] = 0
  frame.writeUInt32BE(size, 1)
  return frame
}

/** Puts messages together from whatever pieces they come in. */
export class MessageReader {
  readonly #limit: number
  #pieces: Buffer[] = []
  /** Bytes of the pieces. */
  #held = 0
  /** Of the message that comes, once its prefix is there. */
  #size: number | undefined

  constructor(limit: number) {
    this.#limit = limit
  }

  /** Whether the end of a message is still to come. */
  get unfinished(): boolean {
    return this.#held > 0
  }

  /**
   * Gives `take` each message that is complete with this piece; what it gets may share the memory of the piece.
   * ResourceExhausted for a message over the limit, Unavailable for one that cannot be read; nothing may follow either.
   */
  push(piece: Buffer, take: (message: Buffer) => void): void {
    this.#pieces.push(piece)
    this.#held += piece.length
    for (;;) {
      if (this.#size === undefined) {
        if (this.#held < PREFIX_LENGTH) return
        this.#size = this.#readPrefix(this.#joined())
      }
      const end = PREFIX_LENGTH + this.#size
      if (this.#held < end) return
      const bytes = this.#joined()
      this.#pieces = bytes.length === end ? [] : [bytes.subarray(end)]
      this.#held -= end
      this.#size = undefined
      take(bytes.subarray(PREFIX_LENGTH, end))
    }
  }

  #readPrefix(bytes: Buffer): number {
    if (bytes[0] !== 0) throw new GantryError('Unavailable', 'etcd: a message is compressed, which nobody asked for')
    const size = bytes.readUInt32BE(1)
    if (size > this.#limit)
      throw new GantryError(
        'ResourceExhausted',
        `etcd: a message of ${size} bytes is larger than the limit of ${this.#limit}`,
      )
    return size
  }

  #joined(): Buffer {
    if (this.#pieces.length > 1) this.#pieces = [Buffer.concat(this.#pieces, this.#held)]
    return this.#pieces[0]!
  }
}
