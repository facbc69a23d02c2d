/**
 * Reads tar archives: ustar, POSIX pax and GNU's long names and binary numbers, without losing a byte of a name or an
 * attribute.
 * https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html and
 * https://www.gnu.org/software/tar/manual/html_node/Standard.html
 */
import { GantryError } from '../../../proto/base/errors.ts'
import type { ByteReader } from './byte-reader.ts'
import { BLOCK, padded, readable, type EntryType, type TarEntry } from './tar-entry.ts'

const TYPES: Readonly<Record<string, EntryType>> = {
  '0': 'file',
  '\0': 'file',
  '7': 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '3': 'character',
  '4': 'block',
  '5': 'directory',
  '6': 'fifo',
}
/**
 * Attributes of one entry, or of all; Linux limits a name to 4 KiB and an attribute to 64 KiB, so that more is a trick.
 */
const LARGEST_EXTENSION = 1 << 20
const XATTR = 'SCHILY.xattr.'

type Attributes = Map<string, string>

export class TarReader {
  readonly #bytes: ByteReader
  readonly #global: Attributes = new Map()
  #globalSize = 0
  /** Content and padding of the last entry that nobody has read yet. */
  #unread = 0

  constructor(bytes: ByteReader) {
    this.#bytes = bytes
  }

  /**
   * The next entry; undefined after the last. Content of the one before that was not read is passed over.
   * InvalidArgument: not a tar archive, or damaged.
   */
  async next(): Promise<TarEntry | undefined> {
    if (this.#unread > 0) for await (const _ of this.#bytes.pieces(this.#unread)) this.#unread -= _.length
    let attributes: Attributes = new Map()
    let longPath: string | undefined
    let longLink: string | undefined
    for (;;) {
      const header = await this.#bytes.read(BLOCK)
      // Two zero blocks end an archive; some writers leave them out.
      if (header === undefined || isZero(header)) {
        if (attributes.size > 0 || longPath !== undefined || longLink !== undefined)
          throw new GantryError('InvalidArgument', 'ends after the attributes of an entry')
        return undefined
      }
      verifyChecksum(header, this.#bytes.position - BLOCK)
      const flag = header.toString('latin1', 156, 157)
      const size = number(header, 124, 12)
      if (flag === 'x') attributes = parseAttributes(await this.#extension(size))
      else if (flag === 'g') this.#setGlobal(parseAttributes(await this.#extension(size)))
      else if (flag === 'L') longPath = cString(await this.#extension(size))
      else if (flag === 'K') longLink = cString(await this.#extension(size))
      else {
        const entry = buildEntry(header, flag, new Map([...this.#global, ...attributes]), longPath, longLink)
        this.#unread = padded(entry.size)
        return entry
      }
    }
  }

  /** The content of the entry last returned, in pieces. */
  async *content(entry: TarEntry): AsyncGenerator<Buffer> {
    for await (const piece of this.#bytes.pieces(entry.size)) {
      this.#unread -= piece.length
      yield piece
    }
  }

  #setGlobal(attributes: Attributes): void {
    for (const [name, value] of attributes) {
      this.#globalSize += name.length + value.length
      this.#global.set(name, value)
    }
    if (this.#globalSize > LARGEST_EXTENSION)
      throw new GantryError('InvalidArgument', `has attributes for all entries of more than ${LARGEST_EXTENSION} bytes`)
  }

  async #extension(size: number): Promise<Buffer> {
    if (size > LARGEST_EXTENSION)
      throw new GantryError('InvalidArgument', `has attributes of ${size} bytes, more than ${LARGEST_EXTENSION}`)
    const bytes = await this.#bytes.read(padded(size))
    if (bytes === undefined && size > 0)
      throw new GantryError('InvalidArgument', 'ends within the attributes of an entry')
    return (bytes ?? Buffer.alloc(0)).subarray(0, size)
  }
}

function buildEntry(
  header: Buffer,
  flag: string,
  attributes: Attributes,
  longPath: string | undefined,
  longLink: string | undefined,
): TarEntry {
  const ustar = header.toString('latin1', 257, 263) === 'ustar\0'
  const prefix = ustar ? cString(header.subarray(345, 500)) : ''
  const name = cString(header.subarray(0, 100))
  const path = attributes.get('path') ?? longPath ?? (prefix === '' ? name : `${prefix}/${name}`)
  const type = TYPES[flag]
  if (flag === 'S' || [...attributes.keys()].some((key) => key.startsWith('GNU.sparse.')))
    throw new GantryError('Unsupported', `entry "${readable(path)}" is a sparse file, which image layers do not have`)
  if (type === undefined)
    throw new GantryError('InvalidArgument', `entry "${readable(path)}" is of the unknown type "${readable(flag)}"`)
  const size = decimal(attributes, 'size') ?? number(header, 124, 12)
  const mtime = attributes.get('mtime') ?? String(signedNumber(header, 136, 12))
  if (!/^-?\d+(\.\d+)?$/.test(mtime))
    throw new GantryError('InvalidArgument', `entry "${readable(path)}" has the time "${readable(mtime)}"`)
  return {
    path,
    // Archives from before POSIX mark a directory by a slash at its end.
    type: type === 'file' && flag !== '7' && path.endsWith('/') ? 'directory' : type,
    link: attributes.get('linkpath') ?? longLink ?? cString(header.subarray(157, 257)),
    mode: number(header, 100, 8) & 0o7777,
    uid: decimal(attributes, 'uid') ?? number(header, 108, 8),
    gid: decimal(attributes, 'gid') ?? number(header, 116, 8),
    mtime,
    size: type === 'file' ? size : 0,
    major: type === 'character' || type === 'block' ? number(header, 329, 8) : 0,
    minor: type === 'character' || type === 'block' ? number(header, 337, 8) : 0,
    xattrs: new Map(
      [...attributes].filter(([key]) => key.startsWith(XATTR)).map(([key, value]) => [key.slice(XATTR.length), value]),
    ),
  }
}

/** Records "LENGTH KEY=VALUE\n", where LENGTH counts the whole record. */
function parseAttributes(bytes: Buffer): Attributes {
  const attributes: Attributes = new Map()
  for (let start = 0; start < bytes.length;) {
    const space = bytes.indexOf(0x20, start)
    const length = space < 0 ? NaN : Number(bytes.toString('latin1', start, space))
    const end = start + length
    const equals = bytes.indexOf(0x3d, space)
    if (!Number.isInteger(length) || end > bytes.length || equals < 0 || equals >= end || bytes[end - 1] !== 0x0a)
      throw new GantryError('InvalidArgument', 'has a damaged extended header')
    attributes.set(bytes.toString('latin1', space + 1, equals), bytes.toString('latin1', equals + 1, end - 1))
    start = end
  }
  return attributes
}

function decimal(attributes: Attributes, key: string): number | undefined {
  const text = attributes.get(key)
  if (text === undefined) return undefined
  const value = Number(text)
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value))
    throw new GantryError('InvalidArgument', `has the ${key} "${readable(text)}"`)
  return value
}

function number(header: Buffer, start: number, length: number): number {
  const value = signedNumber(header, start, length)
  if (value < 0) throw new GantryError('InvalidArgument', 'has a number below zero')
  return value
}

/** Octal text, or GNU's binary form with the first bit set. */
function signedNumber(header: Buffer, start: number, length: number): number {
  const field = header.subarray(start, start + length)
  if ((field[0]! & 0x80) !== 0) {
    if (field[0] === 0xff) return Number(BigInt.asIntN(length * 8, BigInt(`0x${field.toString('hex')}`)))
    const value = field.subarray(1).reduce((sum, byte) => sum * 256 + byte, field[0]! & 0x7f)
    if (!Number.isSafeInteger(value)) throw new GantryError('InvalidArgument', 'has a number too large to be true')
    return value
  }
  const value = octal(field)
  if (value === undefined)
    throw new GantryError('InvalidArgument', `has "${readable(cString(field))}" where an octal number belongs`)
  return value
}

function octal(field: Buffer): number | undefined {
  const text = cString(field).trim()
  if (text === '') return 0
  return /^[0-7]+$/.test(text) ? parseInt(text, 8) : undefined
}

function cString(bytes: Buffer): string {
  const end = bytes.indexOf(0)
  return bytes.toString('latin1', 0, end < 0 ? bytes.length : end)
}

function isZero(block: Buffer): boolean {
  return block.every((byte) => byte === 0)
}

function verifyChecksum(header: Buffer, position: number): void {
  let sum = 8 * 0x20
  for (let place = 0; place < BLOCK; place++) if (place < 148 || place >= 156) sum += header[place]!
  if (sum !== octal(header.subarray(148, 156)))
    throw new GantryError(
      'InvalidArgument',
      `is no tar archive at byte ${position}: the checksum of the header is wrong`,
    )
}
