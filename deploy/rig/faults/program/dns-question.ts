/** What a query in DNS asks, and answers that say no. RFC 1035 section 4. */
import {
  AUTHORITATIVE_ANSWER,
  decode,
  encode,
  RECURSION_AVAILABLE,
  RECURSION_DESIRED,
  type DecodedPacket,
} from 'dns-packet'

/** Bytes of a header, and of the length before a message over TCP (RFC 1035 section 4.2.2). */
const HEADER = 12
const LENGTH = 2

/** Numbers of an answer's code, RFC 1035 section 4.1.1. */
const CODES = { servfail: 2, nxdomain: 3 } as const

/** A query that can be answered: standard, one question. Undefined for anything else, whole or not. */
export function readQuestion(message: Buffer): DecodedPacket | undefined {
  // An answer, or more or fewer questions than one: not read any further.
  if (message.length < HEADER || (message[2]! & 0x80) !== 0 || message.readUInt16BE(4) !== 1) return undefined
  try {
    return decode(message)
  } catch {
    return undefined // whatever it is, it is no query: its sender gets what the server makes of it
  }
}

/** True if the question's name is the suffix or below it. */
export function isBelow(query: DecodedPacket, suffix: string): boolean {
  const canonical = (name: string): string => name.toLowerCase().replace(/^\.|\.$/g, '')
  const name = canonical(query.questions![0]!.name)
  const end = canonical(suffix)
  return end === '' || name === end || name.endsWith(`.${end}`)
}

/** The answer that there is none. */
export function refusal(query: DecodedPacket, code: keyof typeof CODES): Buffer {
  const authority = code === 'nxdomain' ? AUTHORITATIVE_ANSWER : 0
  const flags = ((query.flags ?? 0) & RECURSION_DESIRED) | RECURSION_AVAILABLE | authority | CODES[code]
  return encode({
    type: 'response',
    ...(query.id === undefined ? {} : { id: query.id }),
    flags,
    questions: query.questions!,
  })
}

/** Cuts a TCP stream into messages without their length. */
export class MessageReader {
  #rest: Buffer = Buffer.alloc(0)

  /** The messages that are whole with this piece. */
  read(piece: Buffer): Buffer[] {
    this.#rest = Buffer.concat([this.#rest, piece])
    const messages: Buffer[] = []
    while (this.#rest.length >= LENGTH && this.#rest.length >= LENGTH + this.#rest.readUInt16BE(0)) {
      const end = LENGTH + this.#rest.readUInt16BE(0)
      messages.push(this.#rest.subarray(LENGTH, end))
      this.#rest = this.#rest.subarray(end)
    }
    return messages
  }
}

/** A message as it goes over TCP. */
export function withLength(message: Buffer): Buffer {
  const length = Buffer.alloc(LENGTH)
  length.writeUInt16BE(message.length)
  return Buffer.concat([length, message])
}
