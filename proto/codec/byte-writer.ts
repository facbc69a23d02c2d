/** Writes protobuf's wire format, in one pass over one buffer. https://protobuf.dev/programming-guides/encoding/ */

/** Bytes of the buffer that writers begin with; it grows for larger messages, and one that large is not kept. */
const SIZE = 64 * 1024
/** Characters up to which a loop over them is quicker than a call out of JavaScript. */
const SHORT = 24
/** Characters whose bytes are told in a length of one byte, whatever they are: three bytes each at most. */
const ONE_BYTE_LENGTH = 42

/** The buffer of the writer that was last finished, for the next. */
let spare: Buffer | undefined

export class ByteWriter {
  #buffer: Buffer
  #at = 0

  constructor() {
    this.#buffer = spare ?? Buffer.allocUnsafeSlow(SIZE)
    spare = undefined // a writer that is never finished keeps it
  }

  /** A copy of all that was written. The writer is of no more use. */
  finish(): Uint8Array {
    const bytes = Buffer.allocUnsafe(this.#at)
    this.#buffer.copy(bytes, 0, 0, this.#at)
    if (this.#buffer.length === SIZE) spare = this.#buffer
    return bytes
  }

  uint32(value: number): this {
    this.#reserve(5)
    this.#at = this.#varint(value >>> 0, this.#at)
    return this
  }

  /** A negative number takes ten bytes, as if it had 64 bits. */
  int32(value: number): this {
    return value < 0 ? this.int64(value) : this.uint32(value)
  }

  int64(value: number): this {
    if (value >= 0 && value <= 0xffff_ffff) return this.uint32(value)
    this.#reserve(10)
    let rest = BigInt.asUintN(64, BigInt(Math.trunc(value)))
    for (; rest > 127n; rest >>= 7n) this.#buffer[this.#at++] = Number(rest & 127n) | 128
    this.#buffer[this.#at++] = Number(rest)
    return this
  }

  bool(value: boolean): this {
    this.#reserve(1)
    this.#buffer[this.#at++] = value ? 1 : 0
    return this
  }

  double(value: number): this {
    this.#reserve(8)
    this.#at = this.#buffer.writeDoubleLE(value, this.#at)
    return this
  }

  float(value: number): this {
    this.#reserve(4)
    this.#at = this.#buffer.writeFloatLE(value, this.#at)
    return this
  }

  /** With its length before it. */
  bytes(value: Uint8Array): this {
    this.uint32(value.length)
    this.#reserve(value.length)
    this.#buffer.set(value, this.#at)
    this.#at += value.length
    return this
  }

  /** UTF-8, with its length before it. */
  string(value: string): this {
    const { length } = value
    if (length > ONE_BYTE_LENGTH) {
      const size = Buffer.byteLength(value)
      this.uint32(size)
      this.#reserve(size)
      this.#at += this.#buffer.write(value, this.#at)
      return this
    }
    this.#reserve(1 + 3 * length)
    const start = this.#at + 1
    const size = length <= SHORT && this.#ascii(value, start) ? length : this.#buffer.write(value, start)
    this.#buffer[this.#at] = size
    this.#at = start + size
    return this
  }

  /** What `write` writes, with its length before it. */
  nested(write: (value: unknown, writer: ByteWriter) => void, value: unknown): this {
    this.#reserve(1)
    const start = ++this.#at
    write(value, this)
    const length = this.#at - start
    if (length > 127) this.#widen(start, length)
    else this.#buffer[start - 1] = length
    return this
  }

  /** Makes room for a length of more than the one byte that was left for it. */
  #widen(start: number, length: number): void {
    const size = length < 2 ** 14 ? 2 : length < 2 ** 21 ? 3 : length < 2 ** 28 ? 4 : 5
    this.#reserve(size - 1)
    this.#buffer.copyWithin(start - 1 + size, start, start + length)
    this.#varint(length, start - 1)
    this.#at += size - 1
  }

  /** False, with nothing of use written, for text that has other characters. */
  #ascii(text: string, at: number): boolean {
    for (let index = 0; index < text.length; index++) {
      const code = text.charCodeAt(index)
      if (code > 127) return false
      this.#buffer[at + index] = code
    }
    return true
  }

  /** Where it ends. */
  #varint(value: number, at: number): number {
    let rest = value
    for (; rest > 127; rest >>>= 7) this.#buffer[at++] = (rest & 127) | 128
    this.#buffer[at++] = rest
    return at
  }

  #reserve(size: number): void {
    const needed = this.#at + size
    if (needed <= this.#buffer.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.#buffer.length))
    this.#buffer.copy(larger, 0, 0, this.#at)
    this.#buffer = larger
  }
}
