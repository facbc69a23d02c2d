/** Cuts what comes into frames. */
import { FRAME, FRAME_HEADER_LENGTH, FRAME_SIZE } from './frames.ts'

/** Frames whose payload has one size, or one at least. */
const SIZES: Readonly<Record<number, { readonly exactly?: number; readonly atLeast?: number }>> = {
  [FRAME.reset]: { exactly: 4 },
  [FRAME.ping]: { exactly: 8 },
  [FRAME.windowUpdate]: { exactly: 4 },
  [FRAME.goaway]: { atLeast: 8 },
}

export class FrameReader {
  readonly #take: (type: number, flags: number, stream: number, payload: Buffer) => void
  #rest: Buffer | undefined

  /** `take` gets payloads that share memory with what came. */
  constructor(take: (type: number, flags: number, stream: number, payload: Buffer) => void) {
    this.#take = take
  }

  /** RangeError for a frame that may not be, and whatever `take` throws; nothing may follow either. */
  push(piece: Buffer): void {
    const bytes = this.#rest === undefined ? piece : Buffer.concat([this.#rest, piece])
    let at = 0
    while (bytes.length - at >= FRAME_HEADER_LENGTH) {
      const length = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!
      const type = bytes[at + 3]!
      if (length > FRAME_SIZE) throw new RangeError(`a frame of ${length} bytes`)
      const { exactly, atLeast = 0 } = SIZES[type] ?? {}
      if (length < atLeast || (exactly !== undefined && length !== exactly))
        throw new RangeError(`a frame of type ${type} with ${length} bytes`)
      const start = at + FRAME_HEADER_LENGTH
      if (bytes.length - start < length) break
      const stream = bytes.readUInt32BE(at + 5) & 0x7fff_ffff
      at = start + length
      this.#take(type, bytes[start - 5]!, stream, bytes.subarray(start, at))
    }
    this.#rest = at === bytes.length ? undefined : bytes.subarray(at)
  }
}
