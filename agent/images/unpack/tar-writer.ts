/** Headers of tar entries: ustar, with a pax header before it for what does not fit. */
import { GantryError } from '../../../proto/base/errors.ts'
import { BLOCK, padded, type EntryType, type TarEntry } from './tar-entry.ts'

const FLAGS: Readonly<Record<EntryType, string>> = {
  file: '0',
  hardlink: '1',
  symlink: '2',
  character: '3',
  block: '4',
  directory: '5',
  fifo: '6',
}

/** What ends an archive. */
export const END_OF_ARCHIVE = Buffer.alloc(2 * BLOCK)

/** The header of an entry; `padding` of its size follows the content. */
export function encodeHeader(entry: TarEntry): Buffer {
  const pax: [string, string][] = []
  const fit = (key: string, value: string, limit: number): string => {
    if (value.length <= limit) return value
    pax.push([key, value])
    return value.slice(0, limit)
  }
  const fitNumber = (key: string, value: number, digits: number): number => {
    if (value < 8 ** digits) return value
    pax.push([key, String(value)])
    return 0
  }
  const seconds = Number(entry.mtime)
  const wholeSeconds = Number.isInteger(seconds) && seconds >= 0 && seconds < 8 ** 11
  if (!wholeSeconds) pax.push(['mtime', entry.mtime])
  for (const [name, value] of entry.xattrs) pax.push([`SCHILY.xattr.${name}`, value])
  const main = encodeBlock({
    path: fit('path', entry.path, 100),
    link: fit('linkpath', entry.link, 100),
    flag: FLAGS[entry.type],
    mode: entry.mode,
    uid: fitNumber('uid', entry.uid, 7),
    gid: fitNumber('gid', entry.gid, 7),
    size: fitNumber('size', entry.size, 11),
    mtime: wholeSeconds ? seconds : 0,
    major: entry.major,
    minor: entry.minor,
  })
  if (pax.length === 0) return main
  const records = Buffer.concat(pax.map(([key, value]) => encodeRecord(key, value)))
  const extended = encodeBlock({
    path: 'pax',
    link: '',
    flag: 'x',
    mode: 0o600,
    uid: 0,
    gid: 0,
    size: records.length,
    mtime: 0,
    major: 0,
    minor: 0,
  })
  return Buffer.concat([extended, records, padding(records.length), main])
}

/** Zeros from the end of a content to the end of its last block. */
export function padding(size: number): Buffer {
  return Buffer.alloc(padded(size) - size)
}

interface HeaderBlock {
  readonly path: string
  readonly link: string
  readonly flag: string
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly size: number
  readonly mtime: number
  readonly major: number
  readonly minor: number
}

function encodeBlock(header: HeaderBlock): Buffer {
  const block = Buffer.alloc(BLOCK)
  const octal = (value: number, start: number, digits: number): void => {
    // Longer, it would run over into the fields that follow.
    if (value < 0 || value >= 8 ** digits)
      throw new GantryError('InvalidArgument', `has the number ${value}, which does not fit the header of an archive`)
    block.write(value.toString(8).padStart(digits, '0'), start, 'latin1')
  }
  block.write(header.path, 0, 'latin1')
  octal(header.mode, 100, 7)
  octal(header.uid, 108, 7)
  octal(header.gid, 116, 7)
  octal(header.size, 124, 11)
  octal(header.mtime, 136, 11)
  block.write('        ', 148, 'latin1')
  block.write(header.flag, 156, 'latin1')
  block.write(header.link, 157, 'latin1')
  block.write('ustar\x0000', 257, 'latin1')
  octal(header.major, 329, 7)
  octal(header.minor, 337, 7)
  octal(
    block.reduce((sum, byte) => sum + byte, 0),
    148,
    6,
  )
  block[154] = 0
  return block
}

/** The length counts its own digits. */
function encodeRecord(key: string, value: string): Buffer {
  const rest = ` ${key}=${value}\n`
  let length = rest.length
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length
  return Buffer.from(`${length}${rest}`, 'latin1')
}
