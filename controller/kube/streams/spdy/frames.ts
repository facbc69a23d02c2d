/**
 * Frames of SPDY/3.1 (section 2.2). Data is handed on as it comes, in pieces of a frame, so that nothing has to be held
 * until a frame is whole; frames that control are short.
 * https://www.chromium.org/spdy/spdy-protocol/spdy-protocol-draft3-1/
 */
import { GantryError } from '../../../../proto/base/errors.ts'
import { uint32 } from './dictionary.ts'
import { HeaderReader, HeaderWriter } from './headers.ts'

export type Frame =
  /** `fin`: the sender sends nothing more on this stream. */
  | { readonly is: 'data'; readonly streamId: number; readonly data: Buffer; readonly fin: boolean }
  | {
      readonly is: 'syn-stream'
      readonly streamId: number
      readonly headers: ReadonlyMap<string, string>
      readonly fin: boolean
    }
  | {
      readonly is: 'syn-reply'
      readonly streamId: number
      readonly headers: ReadonlyMap<string, string>
      readonly fin: boolean
    }
  | {
      readonly is: 'headers'
      readonly streamId: number
      readonly headers: ReadonlyMap<string, string>
      readonly fin: boolean
    }
  | { readonly is: 'rst-stream'; readonly streamId: number; readonly status: number }
  /** Answered with the same id, unless the id is one's own: odd ones are the client's. */
  | { readonly is: 'ping'; readonly id: number }
  /** No stream is opened any more. */
  | { readonly is: 'goaway'; readonly lastStreamId: number; readonly status: number }

/** Section 2.6.3. */
export const RESET = { protocolError: 1, invalidStream: 2, refusedStream: 3, cancel: 5, internalError: 6 } as const

const TYPE = {
  synStream: 1,
  synReply: 2,
  rstStream: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  headers: 8,
  windowUpdate: 9,
} as const
const VERSION = 3
const FIN = 1
const HEAD = 8
/** Bytes of a frame that controls. */
export const CONTROL_LIMIT = 16 * 1024
/** Bytes of a data frame that is sent: the length has 24 bits. */
const DATA_LIMIT = 0xff_ffff

/** Takes bytes as they come. InvalidArgument for what is no SPDY/3.1: the connection is of no more use then. */
export class FrameReader {
  readonly #headers = new HeaderReader()
  #held: Buffer = Buffer.alloc(0)
  /** The data frame under way. */
  #data: { readonly streamId: number; readonly fin: boolean; left: number } | undefined;

  /** The frames, and pieces of data frames, that are complete with it. */
  *push(bytes: Buffer): Generator<Frame, void, undefined> {
    this.#held = this.#held.length === 0 ? bytes : Buffer.concat([this.#held, bytes])
    for (;;) {
      if (this.#data !== undefined) {
        const piece = this.#take(Math.min(this.#data.left, this.#held.length))
        this.#data.left -= piece.length
        const { streamId, left, fin } = this.#data
        if (left === 0) this.#data = undefined
        if (piece.length > 0 || left === 0) yield { is: 'data', streamId, data: piece, fin: fin && left === 0 }
        if (left > 0) return
      }
      if (this.#held.length < HEAD) return
      const first = this.#held.readUInt32BE(0)
      const second = this.#held.readUInt32BE(4)
      const flags = second >>> 24
      const length = second & 0xff_ffff
      if (first >>> 31 === 0) {
        if (first === 0) throw malformed('a data frame is of no stream')
        this.#take(HEAD)
        this.#data = { streamId: first, fin: (flags & FIN) !== 0, left: length }
        continue
      }
      if (((first >>> 16) & 0x7fff) !== VERSION)
        throw malformed(`a frame is of version ${(first >>> 16) & 0x7fff}, not ${VERSION}`)
      if (length > CONTROL_LIMIT) throw malformed(`a control frame has ${length} bytes, more than ${CONTROL_LIMIT}`)
      if (this.#held.length < HEAD + length) return
      this.#take(HEAD)
      const frame = this.#control(first & 0xffff, flags, this.#take(length))
      if (frame !== undefined) yield frame
    }
  }

  #take(length: number): Buffer {
    const taken = this.#held.subarray(0, length)
    this.#held = this.#held.subarray(length)
    return taken
  }

  #control(type: number, flags: number, body: Buffer): Frame | undefined {
    const fin = (flags & FIN) !== 0
    const word = (at: number): number => {
      if (at + 4 > body.length) throw malformed(`a frame of type ${type} has only ${body.length} bytes`)
      return body.readUInt32BE(at)
    }
    const stream = (): number => {
      const streamId = word(0) & 0x7fff_ffff
      if (streamId === 0) throw malformed(`a frame of type ${type} is of no stream`)
      return streamId
    }
    switch (type) {
      // Between the two: the associated stream, priority and slot.
      case TYPE.synStream:
        return { is: 'syn-stream', streamId: stream(), fin, headers: this.#headers.read(body.subarray(10)) }
      case TYPE.synReply:
        return { is: 'syn-reply', streamId: stream(), fin, headers: this.#headers.read(body.subarray(4)) }
      case TYPE.headers:
        return { is: 'headers', streamId: stream(), fin, headers: this.#headers.read(body.subarray(4)) }
      case TYPE.rstStream:
        return { is: 'rst-stream', streamId: stream(), status: word(4) }
      case TYPE.ping:
        return { is: 'ping', id: word(0) }
      case TYPE.goAway:
        return { is: 'goaway', lastStreamId: word(0) & 0x7fff_ffff, status: word(4) }
      // Kubernetes' side of SPDY keeps no windows: TCP alone says how fast.
      case TYPE.settings:
      case TYPE.windowUpdate:
        return undefined
      default:
        throw malformed(`a frame has the unknown type ${type}`)
    }
  }
}

/** Frames of one side, in the order in which they are sent. */
export class FrameWriter {
  readonly #headers = new HeaderWriter()

  data(streamId: number, data: Uint8Array, fin = false): Buffer {
    if (data.length > DATA_LIMIT) throw new GantryError('Internal', `a data frame of ${data.length} bytes`)
    return Buffer.concat([uint32(streamId), uint32((((fin ? FIN : 0) << 24) | data.length) >>> 0), data])
  }

  synStream(streamId: number, headers: ReadonlyMap<string, string>, fin = false): Buffer {
    return control(TYPE.synStream, fin, uint32(streamId), Buffer.alloc(6), this.#headers.write(headers))
  }

  synReply(streamId: number, headers: ReadonlyMap<string, string> = new Map(), fin = false): Buffer {
    return control(TYPE.synReply, fin, uint32(streamId), this.#headers.write(headers))
  }

  rstStream(streamId: number, status: number): Buffer {
    return control(TYPE.rstStream, false, uint32(streamId), uint32(status))
  }

  ping(id: number): Buffer {
    return control(TYPE.ping, false, uint32(id))
  }

  goAway(lastStreamId: number, status = 0): Buffer {
    return control(TYPE.goAway, false, uint32(lastStreamId), uint32(status))
  }
}

function control(type: number, fin: boolean, ...body: Buffer[]): Buffer {
  const content = Buffer.concat(body)
  return Buffer.concat([
    uint32((0x8000_0000 | (VERSION << 16) | type) >>> 0),
    uint32((((fin ? FIN : 0) << 24) | content.length) >>> 0),
    content,
  ])
}

function malformed(message: string): GantryError {
  return new GantryError('InvalidArgument', `SPDY: ${message}`)
}
