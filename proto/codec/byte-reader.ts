/**
 * Reads protobuf's wire format: what the generated readers are made of. https://protobuf.dev/programming-
 * guides/encoding/
 */
import type { JsonValue } from '../gen/types.ts'
import { messageSchema } from '../schema/schema.ts'
import { readFieldsJson } from './fields-json.ts'
import { knownText } from './known-texts.ts'

/** Groups in groups, in fields that are skipped. */
const MOST_GROUPS = 100
/** Bytes of a text up to which it is looked for among those that are known. */
const SHORT = 64

export class ByteReader {
  readonly #source: Uint8Array
  readonly #bytes: Buffer
  /** The next byte. */
  at = 0

  constructor(source: Uint8Array) {
    this.#source = source
    this.#bytes = Buffer.isBuffer(source) ? source : Buffer.from(source.buffer, source.byteOffset, source.length)
  }

  get length(): number {
    return this.#bytes.length
  }

  /** An unsigned number of 32 bits, of whatever length: what is beyond is passed over, as protobuf has it. */
  uint32(): number {
    const byte = this.#bytes[this.at]!
    if (byte < 128) {
      this.at++
      return byte
    }
    return this.#long32()
  }

  #long32(): number {
    const bytes = this.#bytes
    let at = this.at
    let value = 0
    for (let shift = 0; shift < 70; shift += 7) {
      if (at >= bytes.length) throw this.#beyond(1)
      const byte = bytes[at++]!
      if (shift < 28) value |= (byte & 127) << shift
      else if (shift === 28) value |= (byte & 15) << 28
      if (byte < 128) {
        this.at = at
        return value >>> 0
      }
    }
    throw new RangeError('a number has more than ten bytes')
  }

  int32(): number {
    return this.uint32() | 0
  }

  /** Beyond 2^53 the nearest number that there is. */
  int64(): number {
    return this.#int64(true)
  }

  uint64(): number {
    return this.#int64(false)
  }

  #int64(signed: boolean): number {
    const byte = this.#bytes[this.at]!
    if (byte < 128) {
      this.at++
      return byte
    }
    return this.#long64(signed)
  }

  #long64(signed: boolean): number {
    const bytes = this.#bytes
    let at = this.at
    let low = 0
    let high = 0
    for (let shift = 0; shift < 70; shift += 7) {
      if (at >= bytes.length) throw this.#beyond(1)
      const byte = bytes[at++]!
      const bits = byte & 127
      if (shift < 28) low |= bits << shift
      else if (shift === 28) {
        low |= bits << 28
        high = bits >>> 4
      } else high |= bits << (shift - 32)
      if (byte < 128) {
        this.at = at
        return (signed ? high : high >>> 0) * 2 ** 32 + (low >>> 0)
      }
    }
    throw new RangeError('a number has more than ten bytes')
  }

  /** True for whatever is not 0. */
  bool(): boolean {
    const bytes = this.#bytes
    let value = false
    for (let count = 0; count < 10; count++) {
      if (this.at >= bytes.length) throw this.#beyond(1)
      const byte = bytes[this.at++]!
      if ((byte & 127) !== 0) value = true
      if (byte < 128) return value
    }
    throw new RangeError('a number has more than ten bytes')
  }

  double(): number {
    this.#require(8)
    this.at += 8
    return this.#bytes.readDoubleLE(this.at - 8)
  }

  float(): number {
    this.#require(4)
    this.at += 4
    return this.#bytes.readFloatLE(this.at - 4)
  }

  /** Where what comes now, with its length before it, ends. */
  end(): number {
    const size = this.uint32()
    const end = this.at + size
    if (end > this.#bytes.length) throw this.#beyond(size)
    return end
  }

  /** A part of the bytes that are read, not a copy. */
  bytes(): Uint8Array {
    const size = this.#size()
    this.at += size
    return this.#source.subarray(this.at - size, this.at)
  }

  base64(): string {
    const size = this.#size()
    this.at += size
    return this.#bytes.toString('base64', this.at - size, this.at)
  }

  string(): string {
    const size = this.#size()
    const start = this.at
    this.at += size
    return size <= SHORT ? knownText(this.#bytes, start, this.at) : this.#bytes.toString('utf8', start, this.at)
  }

  /** The value whose JSON stands here. SyntaxError. */
  json(): JsonValue {
    const size = this.#size()
    this.at += size
    return readFieldsJson(this.#bytes, this.at - size, this.at)
  }

  /** Adds an entry of a map of texts. */
  stringEntry(map: Record<string, unknown>): void {
    const end = this.end()
    let key = ''
    let value = ''
    while (this.at < end) {
      const tag = this.uint32()
      if (tag === ((1 << 3) | 2)) key = this.string()
      else if (tag === ((2 << 3) | 2)) value = this.string()
      else this.#skipOfEntry(tag)
    }
    this.#closeEntry(end, map, key, value)
  }

  /** Adds an entry of a map; `zero`: the value of an entry that says none. */
  entry(
    map: Record<string, unknown>,
    wireType: number,
    read: (reader: ByteReader) => unknown,
    zero: () => unknown,
  ): void {
    const end = this.end()
    let key = ''
    let value: unknown
    while (this.at < end) {
      const tag = this.uint32()
      if (tag === ((1 << 3) | 2)) key = this.string()
      else if (tag === ((2 << 3) | wireType)) value = read(this)
      else this.#skipOfEntry(tag)
    }
    this.#closeEntry(end, map, key, value ?? zero())
  }

  #skipOfEntry(tag: number): void {
    if (tag >>> 3 <= 2) throw new RangeError(`an entry of a map has wire type ${tag & 7}`)
    this.skip(tag & 7)
  }

  #closeEntry(end: number, map: Record<string, unknown>, key: string, value: unknown): void {
    if (this.at !== end) throw new RangeError('an entry of a map is cut off')
    if (key === '__proto__')
      Object.defineProperty(map, key, { value, enumerable: true, writable: true, configurable: true })
    else map[key] = value
  }

  /** Passes over a field of this wire type. */
  skip(wireType: number): void {
    this.#skip(wireType, 0, undefined)
  }

  #skip(wireType: number, depth: number, number: number | undefined): void {
    if (depth > MOST_GROUPS) throw new RangeError('groups are nested too deeply')
    switch (wireType) {
      case 0: {
        let byte: number
        do {
          this.#require(1)
          byte = this.#bytes[this.at++]!
        } while (byte > 127)
        return
      }
      case 1:
        this.#require(8)
        this.at += 8
        return
      case 2: {
        const size = this.#size()
        this.at += size
        return
      }
      case 3:
        for (;;) {
          const tag = this.#short32(15)
          const inner = tag >>> 3
          if (inner === 0) throw new RangeError('a field has number 0')
          if ((tag & 7) !== 4) this.#skip(tag & 7, depth + 1, inner)
          else if (number === undefined || inner === number) return
          else throw new RangeError(`a group of number ${number} ends as ${inner}`)
        }
      case 5:
        this.#require(4)
        this.at += 4
        return
      default:
        throw new RangeError(`there is no wire type ${wireType}`)
    }
  }

  /**
   * Passes over a field with a tag that the message does not have. Bytes in which a field of it has another wire type
   * than its own are not the message that was expected: RangeError.
   */
  other(tag: number, message: string): void {
    const known = messageSchema(message).fields.find(({ number }) => number === tag >>> 3)
    if (known !== undefined) throw new RangeError(`the field ${known.name} is written with wire type ${tag & 7}`)
    this.skip(tag & 7)
  }

  /** What is inside went beyond the end of its parent. */
  cutOff(message: string): never {
    throw new RangeError(`a ${message} is cut off`)
  }

  /** A length of what is there. */
  #size(): number {
    const byte = this.#bytes[this.at]!
    if (byte < 128) this.at++
    const size = byte < 128 ? byte : this.#short32(7)
    this.#require(size)
    return size
  }

  /** A number in five bytes at most, of which the fifth says no more than that. */
  #short32(most: number): number {
    const start = this.at
    const value = this.uint32()
    const length = this.at - start
    if (length > 5 || (length === 5 && this.#bytes[this.at - 1]! > most))
      throw new RangeError('a length or a tag is too large')
    return value
  }

  #require(size: number): void {
    if (this.at + size > this.#bytes.length) throw this.#beyond(size)
  }

  #beyond(size: number): RangeError {
    return new RangeError(`${size} bytes at ${this.at} are more than the ${this.#bytes.length} that there are`)
  }
}

/** A list in as much memory as its items need: one that grew by `push` has room for 16 more. */
export function exact<T>(list: T[] | undefined): T[] | undefined {
  return list !== undefined && list.length > 1 ? list.slice() : list
}
