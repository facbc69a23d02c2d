/** A stream of chunks read by byte count. */
import { GantryError } from '../../../proto/base/errors.ts'

export class ByteReader {
  readonly #chunks: AsyncIterator<Buffer>
  #chunk: Buffer = Buffer.alloc(0)
  #position = 0

  constructor(stream: AsyncIterable<Buffer>) {
    this.#chunks = stream[Symbol.asyncIterator]()
  }

  /** Bytes read so far. */
  get position(): number {
    return this.#position
  }

  /** Exactly `count` bytes; undefined if the stream is at its end; InvalidArgument if it ends among them. */
  async read(count: number): Promise<Buffer | undefined> {
    if (this.#chunk.length >= count) return this.#take(count)
    const parts: Buffer[] = []
    let missing = count
    while (missing > 0) {
      if (this.#chunk.length === 0 && !(await this.#next())) break
      const part = this.#take(Math.min(missing, this.#chunk.length))
      parts.push(part)
      missing -= part.length
    }
    if (missing === count && count > 0) return undefined
    if (missing > 0) throw new GantryError('InvalidArgument', `ends after ${this.#position} bytes, within an entry`)
    return Buffer.concat(parts)
  }

  /** The next `count` bytes in pieces as they come. */
  async *pieces(count: number): AsyncGenerator<Buffer> {
    for (let missing = count; missing > 0;) {
      if (this.#chunk.length === 0 && !(await this.#next()))
        throw new GantryError('InvalidArgument', `ends after ${this.#position} bytes, within an entry`)
      const piece = this.#take(Math.min(missing, this.#chunk.length))
      missing -= piece.length
      yield piece
    }
  }

  /** Reads to the end of the stream. */
  async drain(): Promise<void> {
    do this.#take(this.#chunk.length)
    while (await this.#next())
  }

  /** Ends the stream early. */
  async close(): Promise<void> {
    await this.#chunks.return?.()
  }

  #take(count: number): Buffer {
    const part = this.#chunk.subarray(0, count)
    this.#chunk = this.#chunk.subarray(count)
    this.#position += count
    return part
  }

  async #next(): Promise<boolean> {
    const { value, done } = await this.#chunks.next()
    if (done === true) return false
    this.#chunk = value
    return true
  }
}
