/** Frames of HTTP/2 (https://www.rfc-editor.org/rfc/rfc9113#section-4 and 6), as bytes. */

export const FRAME_HEADER_LENGTH = 9

export const FRAME = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const

export const FLAG = { ack: 1, endStream: 1, endHeaders: 4, padded: 8, priority: 0x20 } as const

export const SETTING = {
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
} as const
const SETTING_LENGTH = 6

/** https://www.rfc-editor.org/rfc/rfc9113#section-7 */
export const ERROR_CODE = { none: 0, protocol: 1, refusedStream: 7, cancel: 8 } as const

/** What a client says first. */
export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')

/** Until the other side says otherwise. */
export const INITIAL_WINDOW = 65_535
export const FRAME_SIZE = 16_384

export interface FrameHead {
  readonly length: number
  readonly type: number
  readonly flags: number
  readonly stream: number
}

/** Where the payload begins. */
export function writeFrameHead(into: Buffer, at: number, { length, type, flags, stream }: FrameHead): number {
  into[at] = length >>> 16
  into[at + 1] = length >>> 8
  into[at + 2] = length
  into[at + 3] = type
  into[at + 4] = flags
  into.writeUInt32BE(stream, at + 5)
  return at + FRAME_HEADER_LENGTH
}

export function frame(type: number, flags: number, stream: number, payload: Uint8Array = new Uint8Array()): Buffer {
  const bytes = Buffer.allocUnsafe(FRAME_HEADER_LENGTH + payload.length)
  bytes.set(payload, writeFrameHead(bytes, 0, { length: payload.length, type, flags, stream }))
  return bytes
}

export function windowUpdate(stream: number, increment: number): Buffer {
  return frame(FRAME.windowUpdate, 0, stream, uint32(increment))
}

export function reset(stream: number, code: number): Buffer {
  return frame(FRAME.reset, 0, stream, uint32(code))
}

export function goaway(lastStream: number, code: number): Buffer {
  return frame(FRAME.goaway, 0, 0, Buffer.concat([uint32(lastStream), uint32(code)]))
}

export function settings(values: readonly (readonly [setting: number, value: number])[]): Buffer {
  const payload = Buffer.alloc(values.length * SETTING_LENGTH)
  values.forEach(([setting, value], index) => {
    payload.writeUInt16BE(setting, index * SETTING_LENGTH)
    payload.writeUInt32BE(value, index * SETTING_LENGTH + 2)
  })
  return frame(FRAME.settings, 0, 0, payload)
}

/** RangeError for a payload that is none. */
export function readSettings(payload: Buffer): [setting: number, value: number][] {
  if (payload.length % SETTING_LENGTH !== 0) throw new RangeError('settings are cut off')
  return Array.from({ length: payload.length / SETTING_LENGTH }, (_, index) => [
    payload.readUInt16BE(index * SETTING_LENGTH),
    payload.readUInt32BE(index * SETTING_LENGTH + 2),
  ])
}

/** What a payload has, without what only fills it, and without what it says of priorities. */
export function unpadded(payload: Buffer, flags: number, hasPriority: boolean): Buffer {
  let start = 0
  let end = payload.length
  if ((flags & FLAG.padded) !== 0) {
    end -= payload[0] ?? 0
    start = 1
  }
  if (hasPriority && (flags & FLAG.priority) !== 0) start += 5
  if (start > end) throw new RangeError('a frame has less than it says')
  return start === 0 && end === payload.length ? payload : payload.subarray(start, end)
}

function uint32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeUInt32BE(value)
  return bytes
}
