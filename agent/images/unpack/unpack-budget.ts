/**
 * How large an image may become when it is unpacked: a few kilobytes can be compressed from terabytes of zeros, or
 * stand for millions of files.
 */
import { statfs } from 'node:fs/promises'
import { GantryError } from '../../../proto/base/errors.ts'

export interface UnpackLimits {
  /** Bytes of all layers of an image together, uncompressed. */
  readonly bytes: number
  /** Files, directories and links of all layers of an image together. */
  readonly files: number
}

export const DEFAULT_UNPACK_LIMITS: UnpackLimits = { bytes: 32 * 2 ** 30, files: 2_000_000 }

/** The field that the details of an error name for an image that is too large. */
const SIZE_FIELD = 'images.maxUnpackedSize'
const FILES_FIELD = 'images.maxFiles'
/** So many bytes are written between two looks at the disk. */
const DISK_CHECK_INTERVAL_BYTES = 256 * 2 ** 20
/** What is left free of the disk: other pods need it, too. */
const RESERVE_SHARE = 0.05
const RESERVE_MOST = 2 ** 30

/** Of one image while it is unpacked, layer after layer. */
export class UnpackBudget {
  readonly #limits: UnpackLimits
  #bytes: number
  #files: number
  #unlooked = 0

  constructor(limits: UnpackLimits = DEFAULT_UNPACK_LIMITS) {
    this.#limits = limits
    this.#bytes = limits.bytes
    this.#files = limits.files
  }

  /**
   * InvalidArgument: the image becomes too large. ResourceExhausted: little would be left of the disk of `directory`.
   */
  async takeBytes(count: number, directory: string): Promise<void> {
    this.#bytes -= count
    if (this.#bytes < 0)
      throw tooLarge(SIZE_FIELD, `makes the image larger than ${this.#limits.bytes} bytes when it is unpacked`)
    this.#unlooked += count
    if (this.#unlooked < DISK_CHECK_INTERVAL_BYTES) return
    this.#unlooked = 0
    const { blocks, bavail, bsize } = await statfs(directory)
    if (bavail * bsize < Math.min(RESERVE_MOST, blocks * bsize * RESERVE_SHARE))
      throw new GantryError('ResourceExhausted', 'cannot be unpacked: hardly any space would be left on the disk')
  }

  /** InvalidArgument: there are too many. */
  takeFiles(count: number): void {
    this.#files -= count
    if (this.#files < 0) throw tooLarge(FILES_FIELD, `makes the image have more than ${this.#limits.files} files`)
  }
}

/** InvalidArgument for layers that are larger than what may be made of them before anything is unpacked. */
export function checkCompressedSize(name: string, bytes: number, limits: UnpackLimits): void {
  if (bytes > limits.bytes)
    throw tooLarge(
      SIZE_FIELD,
      `${name} has layers of ${bytes} bytes, more than the ${limits.bytes} that an image may have`,
    )
}

export function isTooLarge(error: GantryError): boolean {
  return (
    error.code === 'InvalidArgument' && error.details.some(({ field }) => field === SIZE_FIELD || field === FILES_FIELD)
  )
}

function tooLarge(field: string, message: string): GantryError {
  return new GantryError('InvalidArgument', message, {
    details: [{ field, message, remedy: `the agent's setting ${field} allows more` }],
  })
}
