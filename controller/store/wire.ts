/**
 * Protobuf's wire format, for messages whose size is known before they are written.
 * https://protobuf.dev/programming-guides/encoding/
 */

const VARINT = 0
const FIXED_64 = 1
const BYTES = 2
const FIXED_32 = 5

/** Values from here on do not fit the 32 bits of the operators on bits. */
const HIGH = 2 ** 31

/** Bytes that a number from 0 on takes. */
export function varintSize(value: number | bigint): number {
  if (value < 0x80) return 1
  if (value < 0x4000) return 2
  let size = 3
  for (let limit = 2 ** 21; size < 10 && value >= limit; limit *= 128) size++
  return size
}

/** Fills a buffer, which has just the room for all that is written. */
export class WireWriter {
  readonly buffer: Buffer
  #at: number

  constructor(buffer: Buffer, at: number) {
    this.buffer = buffer
    this.#at = at
  }

  /** A message within this one; what follows is in it, until it has so many bytes. */
  begin(tag: number, size: number): void {
    this.#varint(tag)
    this.#varint(size)
  }

  number(tag: number, value: number | bigint): void {
    this.#varint(tag)
    if (typeof value === 'number') this.#varint(value)
    else this.#bigVarint(value)
  }

  bytes(tag: number, value: Uint8Array): void {
    this.begin(tag, value.length)
    this.buffer.set(value, this.#at)
    this.#at += value.length
  }

  #varint(value: number): void {
    let rest = value
    for (; rest >= HIGH; rest = Math.floor(rest / 128)) this.buffer[this.#at++] = (rest % 128) | 128
    for (; rest > 127; rest >>>= 7) this.buffer[this.#at++] = (rest & 127) | 128
    this.buffer[this.#at++] = rest
  }

  #bigVarint(value: bigint): void {
    let rest = value
    for (; rest > 127n; rest >>= 7n) this.buffer[this.#at++] = Number(rest & 127n) | 128
    this.buffer[this.#at++] = Number(rest)
  }
}

/** Goes through a message. RangeError for bytes that are cut off or are none. */
export class WireReader {
  readonly #bytes: Buffer
  at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  /** Whether more follows before an end that was told. */
  isBefore(end: number): boolean {
    if (this.at > end) throw new RangeError('a field goes beyond the end of its message')
    return this.at < end
  }

  tag(): number {
    return this.number()
  }

  /** Exact up to 2 ** 53. */
  number(): number {
    const bytes = this.#bytes
    let byte = bytes[this.at++]!
    if (byte < 128) return byte
    let value = byte & 127
    for (let shift = 7; shift < 28; shift += 7) {
      byte = bytes[this.at++]!
      value |= (byte & 127) << shift
      if (byte < 128) return value
    }
    for (let factor = 2 ** 28; factor < 2 ** 70; factor *= 128) {
      byte = bytes[this.at++]!
      value += (byte & 127) * factor
      if (byte < 128) return value
    }
    throw new RangeError('a number is cut off or too long')
  }

  /** Where the bytes end that begin with their length here. */
  end(): number {
    const length = this.number()
    const end = this.at + length
    if (end > this.#bytes.length) throw new RangeError('a field is cut off')
    return end
  }

  text(): string {
    const end = this.end()
    const text = this.#bytes.toString('utf8', this.at, end)
    this.at = end
    return text
  }

  /** Bytes with memory of their own: whoever keeps them keeps nothing of the message beside. */
  copy(): Uint8Array {
    const end = this.end()
    const copy = Buffer.allocUnsafeSlow(end - this.at)
    this.#bytes.copy(copy, 0, this.at, end)
    this.at = end
    return copy
  }

  /** Passes over the value of a field that is of no interest. */
  skip(tag: number): void {
    switch (tag & 7) {
      case VARINT:
        while (this.#bytes[this.at++]! >= 128);
        return
      case FIXED_64:
        this.at += 8
        return
      case BYTES:
        this.at = this.end()
        return
      case FIXED_32:
        this.at += 4
        return
      default:
        throw new RangeError(`there is no wire type ${tag & 7}`)
    }
  }
}
