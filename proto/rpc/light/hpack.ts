/**
 * Headers of HTTP/2 as bytes (RFC 7541), for a client that allows no dynamic table: it sends none, and says so in its
 * settings, so that the server sends none either.
 */

export type Header = readonly [name: string, value: string]

/** RFC 7541, appendix A: names, and behind them, where there is one, a space and the value. */
const STATIC_TABLE: readonly Header[] = [
  ':authority',
  ':method GET',
  ':method POST',
  ':path /',
  ':path /index.html',
  ':scheme http',
  ':scheme https',
  ':status 200',
  ':status 204',
  ':status 206',
  ':status 304',
  ':status 400',
  ':status 404',
  ':status 500',
  'accept-charset',
  'accept-encoding gzip, deflate',
  ...'accept-language accept-ranges accept access-control-allow-origin age allow authorization cache-control'.split(
    ' ',
  ),
  ...'content-disposition content-encoding content-language content-length content-location content-range'.split(' '),
  ...'content-type cookie date etag expect expires from host if-match if-modified-since if-none-match'.split(' '),
  ...'if-range if-unmodified-since last-modified link location max-forwards proxy-authenticate'.split(' '),
  ...'proxy-authorization range referer refresh retry-after server set-cookie strict-transport-security'.split(' '),
  ...'transfer-encoding user-agent vary via www-authenticate'.split(' '),
].map((line) => {
  const at = line.indexOf(' ')
  return at === -1 ? [line, ''] : [line.slice(0, at), line.slice(at + 1)]
})

/**
 * RFC 7541, appendix B: how many bits the code of each byte has, and last that of the end. Codes of a length follow
 * each other in the order of their bytes, and the first of a length follows the last of the one before, so lengths say
 * all.
 */
const HUFFMAN_LENGTHS = [
  [13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28],
  [28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28],
  [6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6],
  [5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10],
  [13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7],
  [7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6],
  [15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5],
  [6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28],
  [20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23],
  [24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24],
  [22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23],
  [21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23],
  [26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25],
  [19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27],
  [20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23],
  [26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26],
  [30],
].flat()
const LONGEST_CODE = 30
const END = 256

/** The first code of a length, and those that have it, in order. */
interface CodesOfLength {
  readonly first: number
  readonly symbols: readonly number[]
}

function makeCodes(): CodesOfLength[] {
  const symbols: number[][] = Array.from({ length: LONGEST_CODE + 1 }, () => [])
  for (let symbol = 0; symbol <= END; symbol++) symbols[HUFFMAN_LENGTHS[symbol]!]!.push(symbol)
  let next = 0
  return symbols.map((ofLength) => {
    const first = next
    next = (first + ofLength.length) * 2
    return { first, symbols: ofLength }
  })
}

let codes: readonly CodesOfLength[] | undefined

/** The headers as literals that nobody remembers, or as places in the static table where that has the whole. */
export function encodeHeaders(headers: readonly Header[]): Buffer {
  const bytes: number[] = []
  const text = (value: string): void => {
    const encoded = Buffer.from(value, 'latin1')
    writeInteger(bytes, 0, 7, encoded.length)
    bytes.push(...encoded)
  }
  for (const [name, value] of headers) {
    const whole = STATIC_TABLE.findIndex((entry) => entry[0] === name && entry[1] === value)
    if (whole !== -1) {
      writeInteger(bytes, 0x80, 7, whole + 1)
      continue
    }
    const place = STATIC_TABLE.findIndex((entry) => entry[0] === name) + 1
    writeInteger(bytes, 0, 4, place)
    if (place === 0) text(name)
    text(value)
  }
  return Buffer.from(bytes)
}

/** Section 5.1: in the low `bits` of a byte whose others are `flags`, or in as many more bytes as it takes. */
function writeInteger(bytes: number[], flags: number, bits: number, value: number): void {
  const most = (1 << bits) - 1
  if (value < most) return void bytes.push(flags | value)
  bytes.push(flags | most)
  let rest = value - most
  for (; rest > 127; rest >>>= 7) bytes.push((rest & 127) | 128)
  bytes.push(rest)
}

/** RangeError for what is no block of headers, or needs a dynamic table. */
export function decodeHeaders(block: Uint8Array): Header[] {
  const reader = new BlockReader(block)
  const headers: Header[] = []
  while (!reader.done) {
    const first = reader.peek()
    if (first >= 0x80) headers.push(reader.entry(7))
    else if (first >= 0x40) headers.push(reader.literal(6))
    else if (first < 0x20) headers.push(reader.literal(4))
    else if (reader.integer(5) > 0) throw new RangeError('a dynamic table was not allowed')
  }
  return headers
}

class BlockReader {
  readonly #block: Uint8Array
  #at = 0

  constructor(block: Uint8Array) {
    this.#block = block
  }

  get done(): boolean {
    return this.#at === this.#block.length
  }

  peek(): number {
    return this.#block[this.#at]!
  }

  /** A header of the static table, both name and value. */
  entry(bits: number): Header {
    const place = this.integer(bits)
    const entry = STATIC_TABLE[place - 1]
    if (entry === undefined) throw new RangeError(`there is no header ${place} in the static table`)
    return entry
  }

  /** A name of the table, or one that is spelled out, and a value. */
  literal(bits: number): Header {
    const named = (this.peek() & ((1 << bits) - 1)) !== 0
    const name = named ? this.entry(bits)[0] : (this.#at++, this.#text())
    return [name, this.#text()]
  }

  integer(bits: number): number {
    const most = (1 << bits) - 1
    let value = this.#byte() & most
    if (value < most) return value
    for (let shift = 0; ; shift += 7) {
      if (shift > 21) throw new RangeError('a number of the headers is too large')
      const byte = this.#byte()
      value += (byte & 127) << shift
      if (byte < 128) return value
    }
  }

  #text(): string {
    if (this.done) throw new RangeError('the headers are cut off')
    const packed = this.peek() >= 0x80
    const length = this.integer(7)
    const bytes = this.#block.subarray(this.#at, (this.#at += length))
    if (bytes.length < length) throw new RangeError('the headers are cut off')
    return packed ? unpack(bytes) : Buffer.from(bytes).toString('latin1')
  }

  #byte(): number {
    if (this.done) throw new RangeError('the headers are cut off')
    return this.#block[this.#at++]!
  }
}

/** What Huffman codes say (section 5.2). */
function unpack(packed: Uint8Array): string {
  codes ??= makeCodes()
  const bytes: number[] = []
  let [code, length] = [0, 0]
  for (const byte of packed) {
    for (let bit = 7; bit >= 0; bit--) {
      code = code * 2 + ((byte >>> bit) & 1)
      const { first, symbols } = codes[++length] ?? { first: 0, symbols: [] }
      if (code - first >= symbols.length) continue
      const symbol = symbols[code - first]!
      if (symbol === END) throw new RangeError('a text of the headers has an end within it')
      bytes.push(symbol)
      ;[code, length] = [0, 0]
    }
  }
  // What is left fills the last byte, with ones.
  if (length > 7 || code !== (1 << length) - 1) throw new RangeError('a text of the headers is cut off')
  return Buffer.from(bytes).toString('latin1')
}
