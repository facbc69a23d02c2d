/** Frames of HTTP/2 (RFC 9113, section 4 and 6), out of bytes and into them. */

export const FRAME = {
  data: 0,
  headers: 1,
  priority: 2,
  resetStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const

export const FLAG = { acknowledged: 1, endStream: 1, endHeaders: 4, padded: 8, priority: 0x20 } as const

export const SETTING = { headerTableSize: 1, enablePush: 2, initialWindowSize: 4, maxFrameSize: 5 } as const

/** Section 7. */
export const FAULT = {
  none: 0,
  protocol: 1,
  flowControl: 3,
  frameSize: 6,
  refusedStream: 7,
  cancel: 8,
  compression: 9,
  enhanceYourCalm: 11,
} as const

/** What a client says first. */
export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
const HEAD = 9

export interface Frame {
  readonly type: number
  readonly flags: number
  /** 0: the connection. */
  readonly stream: number
  readonly payload: Buffer
}

export function encodeFrame(
  type: number,
  flags: number,
  stream: number,
  payload: Uint8Array = Buffer.alloc(0),
): Buffer {
  return Buffer.concat([frameHead(type, flags, stream, payload.length), payload], HEAD + payload.length)
}

/** What stands before a payload of that many bytes. */
export function frameHead(type: number, flags: number, stream: number, length: number): Buffer {
  const head = Buffer.allocUnsafe(HEAD)
  head.writeUIntBE(length, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(stream, 5)
  return head
}

export function settingsPayload(settings: readonly (readonly [setting: number, value: number])[]): Buffer {
  const payload = Buffer.allocUnsafe(settings.length * 6)
  for (const [index, [setting, value]] of settings.entries()) {
    payload.writeUInt16BE(setting, index * 6)
    payload.writeUInt32BE(value, index * 6 + 2)
  }
  return payload
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeUInt32BE(value)
  return bytes
}

/** The payload of a frame without its padding (sections 6.1 and 6.2); RangeError for more padding than payload. */
export function withoutPadding({ flags, payload }: Frame): Buffer {
  if ((flags & FLAG.padded) === 0) return payload
  const padding = payload[0] ?? 0
  if (padding >= payload.length) throw new RangeError('a frame is all padding')
  return payload.subarray(1, payload.length - padding)
}

/** Makes frames of bytes as they come. */
export class FrameReader {
  readonly #longest: number
  #chunks: Buffer[] = []
  #length = 0

  /** `longest`: bytes of a payload at most. */
  constructor(longest: number) {
    this.#longest = longest
  }

  /** The frames that are whole now. RangeError for one that is too long. */
  *push(chunk: Buffer): Generator<Frame, void, undefined> {
    this.#chunks.push(chunk)
    this.#length += chunk.length
    for (let frame = this.#take(); frame !== undefined; frame = this.#take()) yield frame
  }

  #take(): Frame | undefined {
    if (this.#length < HEAD) return undefined
    // Joined only once there is enough for the next frame: a long one comes in many chunks.
    if (this.#chunks[0]!.length < HEAD) this.#join()
    const first = this.#chunks[0]!
    const length = first.readUIntBE(0, 3)
    if (length > this.#longest) throw new RangeError(`a frame of ${length} bytes is longer than was allowed`)
    if (this.#length < HEAD + length) return undefined
    if (first.length < HEAD + length) this.#join()
    const whole = this.#chunks[0]!
    this.#chunks[0] = whole.subarray(HEAD + length)
    this.#length -= HEAD + length
    if (this.#chunks[0].length === 0) this.#chunks.shift()
    return {
      type: whole[3]!,
      flags: whole[4]!,
      stream: whole.readUInt32BE(5) & 0x7fffffff,
      payload: whole.subarray(HEAD, HEAD + length),
    }
  }

  #join(): void {
    this.#chunks = [Buffer.concat(this.#chunks)]
  }
}
