/** Writes JSON as bytes: what the generated writers are made of. The bytes are those of JSON.stringify. */
import type { JsonValue } from '../gen/types.ts'
import { knownFieldsJson } from './known-fields.ts'

/** Bytes of the buffer that writers begin with; it grows for larger objects, and one that large is not kept. */
const SIZE = 64 * 1024
/** Characters up to which a loop over them is quicker than a call out of JavaScript. */
const SHORT = 256
/** Bytes of the longest number, and of what may stand around one. */
const NUMBER = 32
const [QUOTE, COMMA, COLON, MINUS, BACKSLASH, OPEN, CLOSE, LIST, LIST_END] = [
  0x22, 0x2c, 0x3a, 0x2d, 0x5c, 0x7b, 0x7d, 0x5b, 0x5d,
]

/** The buffer of the writer that was last finished, for the next. */
let spare: Buffer | undefined

export class JsonWriter {
  #bytes: Buffer
  #at = 0

  constructor() {
    this.#bytes = spare ?? Buffer.allocUnsafeSlow(SIZE)
    spare = undefined // a writer that is never finished keeps it
  }

  /** A copy of all that was written. The writer is of no more use. */
  finish(): Uint8Array {
    const bytes = Buffer.allocUnsafe(this.#at)
    this.#bytes.copy(bytes, 0, 0, this.#at)
    if (this.#bytes.length === SIZE) spare = this.#bytes
    return bytes
  }

  open(): void {
    this.#reserve(1)
    this.#bytes[this.#at++] = OPEN
  }

  close(): void {
    this.#reserve(1)
    this.#bytes[this.#at++] = CLOSE
  }

  openList(): void {
    this.#reserve(1)
    this.#bytes[this.#at++] = LIST
  }

  closeList(): void {
    this.#reserve(1)
    this.#bytes[this.#at++] = LIST_END
  }

  /** Before an item that is not the first. */
  comma(): void {
    this.#reserve(1)
    this.#bytes[this.#at++] = COMMA
  }

  /** ASCII as it is, such as `"kind":"Pod"`, after a comma unless it is the first in its object. */
  raw(text: string): void {
    this.#reserve(text.length + 1)
    const bytes = this.#bytes
    let at = this.#at
    if (bytes[at - 1] !== OPEN) bytes[at++] = COMMA
    for (let index = 0; index < text.length; index++) bytes[at++] = text.charCodeAt(index)
    this.#at = at
  }

  string(value: string): void {
    const { length } = value
    if (length > SHORT || !this.#short(value)) this.#encoded(JSON.stringify(value))
  }

  /** False, with nothing of use written, for text that has other than printable ASCII, or much to be escaped. */
  #short(text: string): boolean {
    // Each character may have a backslash before it.
    this.#reserve(2 * text.length + 2)
    const bytes = this.#bytes
    let at = this.#at
    bytes[at++] = QUOTE
    for (let index = 0; index < text.length; index++) {
      const code = text.charCodeAt(index)
      if (code < 32 || code > 126) return false
      if (code === QUOTE || code === BACKSLASH) bytes[at++] = BACKSLASH
      bytes[at++] = code
    }
    bytes[at++] = QUOTE
    this.#at = at
    return true
  }

  number(value: number): void {
    if (!Number.isFinite(value)) return this.#encoded('null')
    this.#reserve(NUMBER)
    const bytes = this.#bytes
    let rest = value
    if (rest < 0) {
      bytes[this.#at++] = MINUS
      rest = -rest
    }
    if (rest < 10 && Number.isInteger(rest)) {
      bytes[this.#at++] = 48 + rest
      return
    }
    const text = String(rest)
    for (let index = 0; index < text.length; index++) bytes[this.#at++] = text.charCodeAt(index)
  }

  boolean(value: boolean): void {
    this.#encoded(value ? 'true' : 'false')
  }

  /** A map of texts. */
  strings(map: Readonly<Record<string, string>>): void {
    this.open()
    for (const key of Object.keys(map)) {
      this.entry(key)
      this.string(map[key]!)
    }
    this.close()
  }

  /** The key of a map's entry. */
  entry(key: string): void {
    const { length } = key
    this.#reserve(2 * length + 4)
    const bytes = this.#bytes
    let at = this.#at
    if (bytes[at - 1] !== OPEN) bytes[at++] = COMMA
    this.#at = at
    bytes[at++] = QUOTE
    for (let index = 0; index < length; index++) {
      const code = key.charCodeAt(index)
      if (code < 32 || code > 126) return this.#encoded(`${JSON.stringify(key)}:`)
      if (code === QUOTE || code === BACKSLASH) bytes[at++] = BACKSLASH
      bytes[at++] = code
    }
    bytes[at] = QUOTE
    bytes[at + 1] = COLON
    this.#at = at + 2
  }

  /** Any value. */
  value(value: JsonValue): void {
    const known = knownFieldsJson(value)
    if (known !== undefined) {
      this.#reserve(known.length)
      this.#at += known.copy(this.#bytes, this.#at)
      return
    }
    const start = this.#at
    if (this.#fields(value)) return
    this.#at = start
    this.#encoded(JSON.stringify(value))
  }

  /** As `value`, of objects of objects, as FieldsV1 are; false, with nothing of use written, for another value. */
  #fields(value: JsonValue): boolean {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
    this.open()
    for (const key of Object.keys(value)) {
      this.entry(key)
      if (!this.#fields(value[key]!)) return false
    }
    this.close()
    return true
  }

  #encoded(text: string): void {
    // Three bytes of UTF-8 are the most for one unit of UTF-16.
    this.#reserve(3 * text.length)
    this.#at += this.#bytes.write(text, this.#at)
  }

  #reserve(size: number): void {
    const needed = this.#at + size
    if (needed <= this.#bytes.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.#bytes.length))
    this.#bytes.copy(larger, 0, 0, this.#at)
    this.#bytes = larger
  }
}
