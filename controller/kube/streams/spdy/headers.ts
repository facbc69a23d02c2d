/**
 * The name/value blocks of SPDY/3.1 (section 2.6.10): one zlib stream for all blocks of a direction, flushed after
 * each, so that a block ends at a byte. That is why blocks are read one by one here, each with what came before it as
 * its dictionary, and no decompressor has to be kept.
 */
import { constants, inflateRawSync } from 'node:zlib'
import { GantryError } from '../../../../proto/base/errors.ts'
import { DICTIONARY, uint32 } from './dictionary.ts'

/** Bytes of a block, not compressed. Kubernetes' clients send some dozens. */
export const BLOCK_LIMIT = 32 * 1024
/** What deflate looks back at most (RFC 1951). */
const WINDOW = 32 * 1024
/** RFC 1950: deflate with a window of 32 KiB and a dictionary, then the dictionary's checksum. */
const ZLIB_HEADER = Buffer.from([0x78, 0xbb, 0xe3, 0xc6, 0xa7, 0xc2])
/** A stored block of length 0: what Z_SYNC_FLUSH writes. */
const FLUSHED = Buffer.from([0, 0, 0, 0xff, 0xff])

/**
 * Reads what one side sends, in its order. InvalidArgument for what is malformed or too large; nothing can be read
 * after that.
 */
export class HeaderReader {
  #before = DICTIONARY
  #begun = false

  read(block: Buffer): Map<string, string> {
    // The first two bytes also tell the level of compression.
    if (!this.#begun && !block.subarray(2, ZLIB_HEADER.length).equals(ZLIB_HEADER.subarray(2)))
      throw malformed('the headers are not compressed with the dictionary of SPDY/3')
    let plain: Buffer
    try {
      plain = inflateRawSync(this.#begun ? block : block.subarray(ZLIB_HEADER.length), {
        dictionary: this.#before,
        finishFlush: constants.Z_SYNC_FLUSH,
        maxOutputLength: BLOCK_LIMIT,
      })
    } catch (thrown) {
      throw malformed(`the headers cannot be decompressed: ${(thrown as Error).message}`, thrown)
    }
    this.#begun = true
    this.#before = Buffer.concat([this.#before, plain]).subarray(-WINDOW)
    return parse(plain)
  }
}

/**
 * Writes what one side sends. It is stored rather than compressed, which deflate allows: what is sent are some dozens
 * of bytes.
 */
export class HeaderWriter {
  #begun = false

  /** Up to 65,535 bytes in all. */
  write(headers: ReadonlyMap<string, string>): Buffer {
    const fields = [...headers].flatMap(([name, value]) =>
      [Buffer.from(name), Buffer.from(value)].flatMap((bytes) => [uint32(bytes.length), bytes]),
    )
    const plain = Buffer.concat([uint32(headers.size), ...fields])
    const stored = Buffer.alloc(5)
    stored.writeUInt16LE(plain.length, 1)
    stored.writeUInt16LE(plain.length ^ 0xffff, 3)
    const head = this.#begun ? [] : [ZLIB_HEADER]
    this.#begun = true
    return Buffer.concat([...head, stored, plain, FLUSHED])
  }
}

/** Names in lower case; several values of one name are joined by a zero byte, as they came. */
function parse(plain: Buffer): Map<string, string> {
  const headers = new Map<string, string>()
  let at = 0
  const number = (): number => {
    if (at + 4 > plain.length) throw malformed('the headers end too early')
    at += 4
    return plain.readUInt32BE(at - 4)
  }
  const text = (): string => {
    const length = number()
    if (length > plain.length - at) throw malformed('the headers end too early')
    at += length
    return plain.toString('utf8', at - length, at)
  }
  for (let left = number(); left > 0; left--) {
    const name = text().toLowerCase()
    if (headers.has(name)) throw malformed(`the header "${name}" comes twice`)
    headers.set(name, text())
  }
  return headers
}

function malformed(message: string, cause?: unknown): GantryError {
  return new GantryError('InvalidArgument', `SPDY: ${message}`, { cause })
}
