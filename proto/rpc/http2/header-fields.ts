/**
 * Header fields in the compression of HTTP/2 (https://www.rfc-editor.org/rfc/rfc7541), without the table that both
 * sides would have to keep: a connection says in its settings that it keeps none. So a block says the same wherever it
 * stands, and what is asked for again and again is decoded once.
 */
import { decodeHuffman } from './huffman.ts'

/** By name. What is given several times stands there once, divided by commas. */
export type HeaderFields = Readonly<Record<string, string>>

/** https://www.rfc-editor.org/rfc/rfc7541#appendix-A, from 1 on. */
const TABLE: readonly (readonly [name: string, value: string])[] = [
  [':authority', ''],
  [':method', 'GET'],
  [':method', 'POST'],
  [':path', '/'],
  [':path', '/index.html'],
  [':scheme', 'http'],
  [':scheme', 'https'],
  ...['200', '204', '206', '304', '400', '404', '500'].map((status): [string, string] => [':status', status]),
  ['accept-charset', ''],
  ['accept-encoding', 'gzip, deflate'],
  ...(
    'accept-language accept-ranges accept access-control-allow-origin age allow authorization cache-control ' +
    'content-disposition content-encoding content-language content-length content-location content-range content-type ' +
    'cookie date etag expect expires from host if-match if-modified-since if-none-match if-range if-unmodified-since ' +
    'last-modified link location max-forwards proxy-authenticate proxy-authorization range referer refresh ' +
    'retry-after server set-cookie strict-transport-security transfer-encoding user-agent vary via www-authenticate'
  )
    .split(' ')
    .map((name): [string, string] => [name, '']),
]

/** How a field is written, by its first bits, and how many bits of the first byte are left for a number. */
const INDEXED = { mark: 0x80, bits: 7 }
const KEPT = { mark: 0x40, bits: 6 }
const TABLE_SIZE = { mark: 0x20, bits: 5 }
const LITERAL = { mark: 0x00, bits: 4 }
const HUFFMAN = { mark: 0x80, bits: 7 }

/** Blocks that are remembered, and how long they are at most: answers begin and end in few ways. */
const REMEMBERED_BLOCKS = 64
const REMEMBERED_LENGTH = 256

export function encodeHeaderFields(fields: Readonly<Record<string, string>>): Buffer {
  const pieces = Object.entries(fields).map(([name, value]) => {
    const whole = TABLE.findIndex((entry) => entry[0] === name && entry[1] === value && value !== '')
    if (whole >= 0) return encodeNumber(whole + 1, INDEXED)
    const named = TABLE.findIndex((entry) => entry[0] === name)
    const before = named >= 0 ? [encodeNumber(named + 1, LITERAL)] : [encodeNumber(0, LITERAL), encodeText(name)]
    return Buffer.concat([...before, encodeText(value)])
  })
  return Buffer.concat(pieces)
}

function encodeNumber(value: number, { mark, bits }: { mark: number; bits: number }): Buffer {
  const most = 2 ** bits - 1
  if (value < most) return Buffer.of(mark | value)
  const bytes = [mark | most]
  let rest = value - most
  for (; rest > 127; rest >>>= 7) bytes.push((rest & 127) | 128)
  return Buffer.from([...bytes, rest])
}

function encodeText(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1')
  return Buffer.concat([encodeNumber(bytes.length, { ...HUFFMAN, mark: 0 }), bytes])
}

export class HeaderDecoder {
  readonly #known = new Map<string, HeaderFields>()

  /** RangeError for a block that is none. */
  decode(block: Buffer): HeaderFields {
    if (block.length > REMEMBERED_LENGTH) return decodeBlock(block)
    const key = block.toString('latin1')
    let fields = this.#known.get(key)
    if (fields === undefined) {
      fields = decodeBlock(block)
      if (this.#known.size === REMEMBERED_BLOCKS) this.#known.clear()
      this.#known.set(key, fields)
    }
    return fields
  }
}

function decodeBlock(block: Buffer): HeaderFields {
  const reader = new BlockReader(block)
  const fields = Object.create(null) as Record<string, string>
  while (!reader.done) {
    const field = reader.field()
    if (field === undefined) continue
    const [name, value] = field
    fields[name] = name in fields ? `${fields[name]}, ${value}` : value
  }
  return fields
}

class BlockReader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get done(): boolean {
    return this.#at >= this.#bytes.length
  }

  /** Undefined for a change of the table's size, which can only be to what it is: to nothing. */
  field(): readonly [name: string, value: string] | undefined {
    const first = this.#bytes[this.#at]!
    if (first >= INDEXED.mark) return entryAt(this.#number(INDEXED.bits))
    if (first >= KEPT.mark) return this.#literal(KEPT.bits)
    if (first < TABLE_SIZE.mark) return this.#literal(LITERAL.bits)
    if (this.#number(TABLE_SIZE.bits) > 0) throw new RangeError('header fields need a table that nobody keeps')
    return undefined
  }

  #literal(bits: number): [name: string, value: string] {
    const index = this.#number(bits)
    const name = index === 0 ? this.#text() : entryAt(index)[0]
    return [name, this.#text()]
  }

  #text(): string {
    const isHuffman = this.#bytes[this.#at]! >= HUFFMAN.mark
    const length = this.#number(HUFFMAN.bits)
    const end = this.#at + length
    if (end > this.#bytes.length) throw new RangeError('a header field is cut off')
    const bytes = this.#bytes.subarray(this.#at, end)
    this.#at = end
    return isHuffman ? decodeHuffman(bytes) : bytes.toString('latin1')
  }

  #number(bits: number): number {
    const most = 2 ** bits - 1
    const first = this.#bytes[this.#at++]
    if (first === undefined) throw new RangeError('a header field is cut off')
    let value = first & most
    if (value < most) return value
    for (let shift = 0; shift <= 21; shift += 7) {
      const byte = this.#bytes[this.#at++]
      if (byte === undefined) throw new RangeError('a header field is cut off')
      value += (byte & 127) << shift
      if (byte < 128) return value
    }
    throw new RangeError('a number in a header field is too large')
  }
}

function entryAt(index: number): readonly [name: string, value: string] {
  const entry = TABLE[index - 1]
  if (entry === undefined) throw new RangeError(`there is no header field ${index}`)
  return entry
}
