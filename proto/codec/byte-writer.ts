/**
 * Writes protobuf's wire format from the end to the beginning: what is inside a message is written before its length
 * is, so that nothing is measured first or moved afterwards. https://protobuf.dev/programming-guides/encoding/
 *
 * Each method writes a value and, before it, the tag of its field. A tag of 0 is none.
 */
import type { JsonValue } from '../gen/types.ts'
import { knownFieldsJson } from './known-fields.ts'

/** Bytes of the buffer that writers begin with; it grows for larger messages, and one that large is not kept. */
const SIZE = 64 * 1024
/** Characters up to which a loop over them is quicker than a call out of JavaScript. */
const SHORT = 64
/** The most bytes of a tag and a number of 64 bits, or of a tag and a length. */
const NUMBER = 12

const [QUOTE, COMMA, COLON, BACKSLASH, OPEN, CLOSE] = [0x22, 0x2c, 0x3a, 0x5c, 0x7b, 0x7d]

/** The buffer of the writer that was last finished, for the next. */
let spare: Buffer | undefined

export class ByteWriter {
  #bytes: Buffer
  /** Where what is written already begins. */
  #at: number

  constructor() {
    this.#bytes = spare ?? Buffer.allocUnsafeSlow(SIZE)
    this.#at = this.#bytes.length
    spare = undefined // a writer that is never finished keeps it
  }

  /** How many bytes are written. */
  get size(): number {
    return this.#bytes.length - this.#at
  }

  /**
   * A copy of all that was written. The writer is of no more use. `kept`: with memory of its own. What is small shares
   * its memory with other buffers of the moment otherwise, all of which stays as long as one of them does.
   */
  finish(kept = false): Uint8Array {
    const bytes = kept ? Buffer.allocUnsafeSlow(this.size) : Buffer.allocUnsafe(this.size)
    this.#bytes.copy(bytes, 0, this.#at)
    if (this.#bytes.length === SIZE) spare = this.#bytes
    return bytes
  }

  uint32(value: number, tag: number): void {
    this.#reserve(NUMBER)
    this.#varint(value >>> 0)
    this.#tag(tag)
  }

  /** A negative number takes ten bytes, as if it had 64 bits. */
  int32(value: number, tag: number): void {
    if (value < 0) return this.int64(value, tag)
    this.#reserve(NUMBER)
    this.#varint(value >>> 0)
    this.#tag(tag)
  }

  int64(value: number, tag: number): void {
    if (value >= 0 && value <= 0xffff_ffff) return this.uint32(value, tag)
    this.#reserve(NUMBER)
    const bytes: number[] = []
    let rest = BigInt.asUintN(64, BigInt(Math.trunc(value)))
    for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128)
    bytes.push(Number(rest))
    for (let index = bytes.length - 1; index >= 0; index--) this.#bytes[--this.#at] = bytes[index]!
    this.#tag(tag)
  }

  bool(value: boolean, tag: number): void {
    this.#reserve(NUMBER)
    this.#bytes[--this.#at] = value ? 1 : 0
    this.#tag(tag)
  }

  double(value: number, tag: number): void {
    this.#reserve(NUMBER)
    this.#at -= 8
    this.#bytes.writeDoubleLE(value, this.#at)
    this.#tag(tag)
  }

  float(value: number, tag: number): void {
    this.#reserve(NUMBER)
    this.#at -= 4
    this.#bytes.writeFloatLE(value, this.#at)
    this.#tag(tag)
  }

  bytes(value: Uint8Array, tag: number): void {
    const { length } = value
    this.#reserve(length + NUMBER)
    this.#at -= length
    this.#bytes.set(value, this.#at)
    this.#varint(length)
    this.#tag(tag)
  }

  /** The bytes that a text in base64 stands for. */
  base64(value: string, tag: number): void {
    this.bytes(Buffer.from(value, 'base64'), tag)
  }

  /** UTF-8. */
  string(value: string, tag: number): void {
    const { length } = value
    if (length > SHORT || !this.#ascii(value)) {
      const size = Buffer.byteLength(value)
      this.#reserve(size + NUMBER)
      this.#at -= size
      this.#bytes.write(value, this.#at)
      this.#varint(size)
    } else {
      this.#at -= length
      this.#bytes[--this.#at] = length
    }
    this.#tag(tag)
  }

  /** The JSON of a value. */
  json(value: JsonValue, tag: number): void {
    const known = knownFieldsJson(value)
    if (known !== undefined) return this.bytes(known, tag)
    const { size } = this
    if (this.#fields(value)) return this.close(size, tag)
    this.#at = this.#bytes.length - size
    this.string(JSON.stringify(value), tag)
  }

  /**
   * The JSON of objects of objects, as FieldsV1 are, without a text that would have to be made and copied; false, with
   * nothing of use written, for another value.
   */
  #fields(value: JsonValue): boolean {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
    this.#reserve(2)
    this.#bytes[--this.#at] = CLOSE
    const keys = Object.keys(value)
    for (let index = keys.length - 1; index >= 0; index--) {
      if (!this.#fields(value[keys[index]!]!) || !this.#key(keys[index]!)) return false
      if (index > 0) this.#bytes[--this.#at] = COMMA
    }
    this.#bytes[--this.#at] = OPEN
    return true
  }

  /** A key of an object in JSON, with the colon after it; false for one of other characters than printable ASCII. */
  #key(text: string): boolean {
    this.#reserve(2 * text.length + 5)
    const bytes = this.#bytes
    let at = this.#at
    bytes[--at] = COLON
    bytes[--at] = QUOTE
    for (let index = text.length - 1; index >= 0; index--) {
      const code = text.charCodeAt(index)
      if (code < 32 || code > 126) return false
      bytes[--at] = code
      if (code === QUOTE || code === BACKSLASH) bytes[--at] = BACKSLASH
    }
    bytes[--at] = QUOTE
    this.#at = at
    return true
  }

  /** A map of texts, in the order of its keys. */
  stringMap(map: Readonly<Record<string, string>>, tag: number): void {
    const keys = sortedKeys(map)
    for (let index = keys.length - 1; index >= 0; index--) {
      const { size } = this
      this.string(map[keys[index]!]!, (2 << 3) | 2)
      this.string(keys[index]!, (1 << 3) | 2)
      this.close(size, tag)
    }
  }

  /** Writes the length and the tag of a message, before which so many bytes were written. */
  close(size: number, tag: number): void {
    const length = this.size - size
    this.#reserve(NUMBER)
    this.#varint(length)
    this.#tag(tag)
  }

  /** False, with nothing of use written, for text that has other characters. */
  #ascii(text: string): boolean {
    this.#reserve(SHORT + NUMBER)
    const bytes = this.#bytes
    let at = this.#at
    for (let index = text.length - 1; index >= 0; index--) {
      const code = text.charCodeAt(index)
      if (code > 127) return false
      bytes[--at] = code
    }
    return true
  }

  #tag(tag: number): void {
    if (tag > 127) {
      this.#bytes[--this.#at] = tag >>> 7
      this.#bytes[--this.#at] = (tag & 127) | 128
    } else if (tag !== 0) this.#bytes[--this.#at] = tag
  }

  #varint(value: number): void {
    const bytes = this.#bytes
    if (value < 128) {
      bytes[--this.#at] = value
      return
    }
    const size = value < 2 ** 14 ? 2 : value < 2 ** 21 ? 3 : value < 2 ** 28 ? 4 : 5
    let at = (this.#at -= size)
    let rest = value
    for (; rest > 127; rest >>>= 7) bytes[at++] = (rest & 127) | 128
    bytes[at] = rest
  }

  /** Makes room before what is written. */
  #reserve(size: number): void {
    if (size > this.#at) this.#grow(size)
  }

  #grow(size: number): void {
    const written = this.size
    const larger = Buffer.allocUnsafeSlow(Math.max(written + size, 2 * this.#bytes.length))
    this.#bytes.copy(larger, larger.length - written, this.#at)
    this.#bytes = larger
    this.#at = larger.length - written
  }
}

/** The keys of a map in the order in which they are written, so that equal maps have equal bytes. */
export function sortedKeys(map: object): string[] {
  const keys = Object.keys(map)
  for (let index = 1; index < keys.length; index++) if (keys[index - 1]! > keys[index]!) return keys.sort()
  return keys
}
