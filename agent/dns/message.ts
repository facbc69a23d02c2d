/**
 * DNS messages in wire form (RFC 1035, 4; EDNS0: RFC 6891). Queries are taken apart, responses are walked once, so that
 * later only bytes have to be copied. What comes in may be anything: nothing here throws for it, and no pointer is
 * followed twice.
 */
import { LABEL_LIMIT, NAME_LIMIT } from './wire-name.ts'

export const TYPE = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  HINFO: 13,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
  OPT: 41,
  IXFR: 251,
  AXFR: 252,
  ANY: 255,
} as const
export const RCODE = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5, BADVERS: 16 } as const
export const CLASS_IN = 1
export const HEADER = 12
/**
 * Bytes of UDP that need no fragmentation on any usual path (DNS flag day 2020); what we say that we take, and send at
 * most.
 */
const UDP_SIZE = 1232
/** What clients take that say nothing (RFC 1035, 4.2.1). */
const PLAIN_UDP_SIZE = 512
export const TCP_SIZE = 65_535
const OPT_SIZE = 11
const FLAG = { QR: 0x8000, AA: 0x0400, TC: 0x0200, RD: 0x0100, RA: 0x0080, AD: 0x0020, CD: 0x0010 } as const
const OPCODE = 0x7800
const DO = 0x8000

export interface Edns {
  readonly udpSize: number
  readonly version: number
  /** DNSSEC records are wanted. */
  readonly secure: boolean
  /** It has options, such as a cookie. */
  readonly options: boolean
}

export interface Query {
  readonly id: number
  readonly opcode: number
  readonly recursive: boolean
  readonly checkingDisabled: boolean
  /** See wire-name.ts. */
  readonly name: string
  readonly type: number
  readonly class: number
  /** Name (in the client's letters), type and class. */
  readonly question: Buffer
  readonly edns: Edns | undefined
}

/** A query that cannot be understood, and what is said to it. */
export interface Malformed {
  readonly malformed: true
  readonly id: number
  readonly opcode: number
  readonly recursive: boolean
  readonly rcode: number
}

/** A response that is kept: without OPT, its id and what depends on the query zero. */
export interface Answer {
  readonly bytes: Buffer
  readonly rcode: number
  readonly authoritative: boolean
  readonly authenticated: boolean
  /** Where each record of the answer section ends; the first begins at `questionEnd`. */
  readonly ends: readonly number[]
  readonly questionEnd: number
  readonly authority: number
  readonly additional: number
  /** Where the additional section begins. */
  readonly additionalStart: number
  /** Where the times to live stand. */
  readonly ttls: readonly number[]
  /** Bytes of each record, if the answer is several addresses that may come in any order; else 0. */
  readonly turn: number
  /** Seconds that it may be kept (RFC 2308 for what is not there); 0: not at all. */
  readonly ttl: number
}

/**
 * undefined: nothing that deserves an answer (too short, or a response itself: two servers would answer each other for
 * ever).
 */
export function parseQuery(packet: Buffer): Query | Malformed | undefined {
  if (packet.length < HEADER) return undefined
  const flags = packet.readUInt16BE(2)
  if ((flags & FLAG.QR) !== 0) return undefined
  const head = { id: packet.readUInt16BE(0), opcode: (flags & OPCODE) >> 11, recursive: (flags & FLAG.RD) !== 0 }
  const malformed = (rcode: number): Malformed => ({ ...head, malformed: true, rcode })
  if (head.opcode !== 0) return malformed(RCODE.NOTIMP)
  // No record belongs into the sections of answers; more than one additional one would be a signature that nobody here
  // can check.
  if (
    packet.readUInt16BE(4) !== 1 ||
    packet.readUInt16BE(6) !== 0 ||
    packet.readUInt16BE(8) !== 0 ||
    packet.readUInt16BE(10) > 1
  )
    return malformed(RCODE.FORMERR)
  const nameEnd = plainNameEnd(packet, HEADER)
  if (nameEnd === undefined || nameEnd + 4 > packet.length) return malformed(RCODE.FORMERR)
  const edns = packet.readUInt16BE(10) === 0 ? undefined : parseEdns(packet, nameEnd + 4)
  if (edns === 'malformed') return malformed(RCODE.FORMERR)
  return {
    ...head,
    checkingDisabled: (flags & FLAG.CD) !== 0,
    name: lowerName(packet, HEADER, nameEnd - 1),
    type: packet.readUInt16BE(nameEnd),
    class: packet.readUInt16BE(nameEnd + 2),
    question: Buffer.from(packet.subarray(HEADER, nameEnd + 4)),
    edns,
  }
}

function parseEdns(packet: Buffer, at: number): Edns | 'malformed' | undefined {
  const start = nameEnd(packet, at)
  if (start === undefined || start + 10 > packet.length) return 'malformed'
  const length = packet.readUInt16BE(start + 8)
  if (start + 10 + length > packet.length) return 'malformed'
  if (packet.readUInt16BE(start) !== TYPE.OPT) return undefined
  if (start !== at + 1) return 'malformed' // its name is the root's
  return {
    udpSize: packet.readUInt16BE(start + 2),
    version: packet[start + 5]!,
    secure: (packet.readUInt16BE(start + 6) & DO) !== 0,
    options: length > 0,
  }
}

/** After a name without pointers, which a question's is. */
function plainNameEnd(packet: Buffer, from: number): number | undefined {
  for (let at = from; at < packet.length;) {
    const length = packet[at]!
    if (length > LABEL_LIMIT) return undefined
    at += 1 + length
    if (at - from > NAME_LIMIT) return undefined
    if (length === 0) return at
  }
  return undefined
}

/** After a name as it stands there; where a pointer leads does not matter for that. */
function nameEnd(packet: Buffer, from: number): number | undefined {
  for (let at = from; at < packet.length;) {
    const length = packet[at]!
    if (length >= 0xc0) return at + 2 <= packet.length ? at + 2 : undefined
    if (length > LABEL_LIMIT) return undefined
    at += 1 + length
    if (at - from > NAME_LIMIT) return undefined
    if (length === 0) return at
  }
  return undefined
}

function lowerName(packet: Buffer, start: number, end: number): string {
  const name = packet.toString('latin1', start, end)
  // Not toLowerCase: it also changes letters beyond ASCII, and then two names would be one (RFC 4343). Lengths of
  // labels are below 'A'.
  return /[A-Z]/.test(name) ? name.replace(/[A-Z]+/g, (letters) => letters.toLowerCase()) : name
}

/** As long as an answer of a server that failed is kept; RFC 2308, 7.1 allows five minutes, users see 5 s as long. */
const FAILURE_TTL = 2
/**
 * Seconds that an absence is believed at most; RFC 2308, 5 suggests up to three hours, but things are made while others
 * look for them.
 */
const NEGATIVE_LIMIT = 300
const POSITIVE_LIMIT = 86_400

/**
 * Walks a response with one question: undefined if it is not well-formed. OPT, and what stands behind it, is left out.
 */
export function scanResponse(packet: Buffer): Answer | undefined {
  if (packet.length < HEADER || (packet.readUInt16BE(2) & FLAG.QR) === 0 || packet.readUInt16BE(4) !== 1)
    return undefined
  const flags = packet.readUInt16BE(2)
  const rcode = flags & 15
  const name = plainNameEnd(packet, HEADER)
  if (name === undefined || name + 4 > packet.length) return undefined
  const questionEnd = name + 4
  const counts = [packet.readUInt16BE(6), packet.readUInt16BE(8), packet.readUInt16BE(10)]
  const ends: number[] = []
  const ttls: number[] = []
  let least = POSITIVE_LIMIT
  let negative: number | undefined
  let at = questionEnd
  let additionalStart = at
  let additional = 0
  let turn = -1
  for (const [section, count] of counts.entries()) {
    if (section === 2) additionalStart = at
    for (let index = 0; index < count; index++) {
      const start = nameEnd(packet, at)
      if (start === undefined || start + 10 > packet.length) return undefined
      const type = packet.readUInt16BE(start)
      if (type === TYPE.OPT) break
      const end = start + 10 + packet.readUInt16BE(start + 8)
      if (end > packet.length) return undefined
      const ttl = ttlValue(packet.readUInt32BE(start + 4))
      ttls.push(start + 4)
      if (section === 0) {
        ends.push(end)
        least = Math.min(least, ttl)
        // Only those that are named by a pointer to the question and have addresses: all of one length.
        const length = packet.readUInt16BE(at) === 0xc00c && (type === TYPE.A || type === TYPE.AAAA) ? end - at : 0
        turn = turn === -1 || turn === length ? length : 0
      }
      if (section === 1 && type === TYPE.SOA && end - start >= 14)
        negative = Math.min(ttl, ttlValue(packet.readUInt32BE(end - 4)), NEGATIVE_LIMIT)
      if (section === 2) additional++
      at = end
    }
  }
  const failed = rcode !== RCODE.NOERROR && rcode !== RCODE.NXDOMAIN
  const absent = rcode === RCODE.NXDOMAIN || ends.length === 0
  const ttl = failed ? FAILURE_TTL : absent ? Math.min(least, negative ?? 0) : Math.min(least, negative ?? least)
  const bytes = Buffer.from(packet.subarray(0, at))
  bytes.fill(0, 0, HEADER)
  return {
    bytes,
    rcode,
    authoritative: (flags & FLAG.AA) !== 0,
    authenticated: (flags & FLAG.AD) !== 0,
    ends,
    questionEnd,
    authority: counts[1]!,
    additional,
    additionalStart,
    ttls,
    turn: ends.length > 1 ? Math.max(0, turn) : 0,
    ttl,
  }
}

/** RFC 2181, 8: one with the highest bit is none. */
function ttlValue(value: number): number {
  return value > 0x7fffffff ? 0 : value
}

export function isTruncated(packet: Buffer): boolean {
  return packet.length >= HEADER && (packet.readUInt16BE(2) & FLAG.TC) !== 0
}

/** An answer without records. */
export function emptyAnswer(question: Buffer, rcode: number, authoritative = false): Answer {
  const bytes = Buffer.alloc(HEADER + question.length)
  question.copy(bytes, HEADER)
  const end = bytes.length
  return {
    bytes,
    rcode,
    authoritative,
    authenticated: false,
    ends: [],
    questionEnd: end,
    authority: 0,
    additional: 0,
    additionalStart: end,
    ttls: [],
    turn: 0,
    ttl: 0,
  }
}

export interface Rendering {
  /** Seconds since the answer was made: times to live are that much shorter. */
  readonly age?: number
  /** Times to live are this, whatever they were: of an answer that is served although it is too old. */
  readonly ttl?: number
  /** The record that comes first, of those that may. */
  readonly first?: number
}

/** Bytes that a client takes over UDP. */
export function udpLimit(edns: Edns | undefined): number {
  return edns === undefined ? PLAIN_UDP_SIZE : Math.max(PLAIN_UDP_SIZE, Math.min(edns.udpSize, UDP_SIZE))
}

/**
 * The answer to this query in at most `limit` bytes: first the additional records go, then with TC set as many others
 * as must.
 */
export function render(
  answer: Answer,
  query: Query,
  limit: number,
  { age = 0, ttl, first = 0 }: Rendering = {},
): Buffer {
  const { ends, questionEnd, turn } = answer
  const room = query.edns === undefined ? limit : limit - OPT_SIZE
  let { authority, additional } = answer
  let end = answer.bytes.length
  let count = ends.length
  let truncated = false
  if (end > room) {
    additional = 0
    end = answer.additionalStart
    if (end > room) {
      truncated = true
      authority = 0
      count = fitting(ends, room)
      end = count === 0 ? questionEnd : ends[count - 1]!
    }
  }
  const out = Buffer.allocUnsafe(query.edns === undefined ? end : end + OPT_SIZE)
  answer.bytes.copy(out, 0, 0, end)
  if (turn > 0) {
    const shift = (first % ends.length) * turn
    const last = ends[ends.length - 1]!
    const copied = answer.bytes.copy(
      out,
      questionEnd,
      questionEnd + shift,
      Math.min(last, questionEnd + shift + count * turn),
    )
    answer.bytes.copy(out, questionEnd + copied, questionEnd, questionEnd + count * turn - copied)
  }
  query.question.copy(out, HEADER)
  if (age > 0 || ttl !== undefined) {
    for (const at of answer.ttls) {
      if (at >= end) break
      out.writeUInt32BE(ttl ?? Math.max(0, ttlValue(out.readUInt32BE(at)) - age), at)
    }
  }
  out.writeUInt16BE(query.id, 0)
  out.writeUInt16BE(
    FLAG.QR |
      FLAG.RA |
      (answer.authoritative ? FLAG.AA : 0) |
      (answer.authenticated ? FLAG.AD : 0) |
      (truncated && limit < TCP_SIZE ? FLAG.TC : 0) |
      (query.recursive ? FLAG.RD : 0) |
      (query.checkingDisabled ? FLAG.CD : 0) |
      (answer.rcode & 15),
    2,
  )
  out.writeUInt16BE(1, 4)
  out.writeUInt16BE(count, 6)
  out.writeUInt16BE(authority, 8)
  out.writeUInt16BE(query.edns === undefined ? additional : additional + 1, 10)
  if (query.edns !== undefined) writeOpt(out, end, answer.rcode >> 4, query.edns.secure)
  return out
}

function fitting(ends: readonly number[], room: number): number {
  let low = 0
  let high = ends.length
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (ends[middle - 1]! <= room) low = middle
    else high = middle - 1
  }
  return low
}

function writeOpt(out: Buffer, at: number, extendedRcode: number, secure: boolean): void {
  out[at] = 0
  out.writeUInt16BE(TYPE.OPT, at + 1)
  out.writeUInt16BE(UDP_SIZE, at + 3)
  out[at + 5] = extendedRcode
  out[at + 6] = 0
  out.writeUInt16BE(secure ? DO : 0, at + 7)
  out.writeUInt16BE(0, at + 9)
}

/** The answer as a message of its own, to be decoded. */
export function wholeMessage({ bytes, rcode, ends, authority, additional }: Answer): Buffer {
  const out = Buffer.from(bytes)
  out.writeUInt16BE(FLAG.QR | (rcode & 15), 2)
  for (const [at, count] of [1, ends.length, authority, additional].entries()) out.writeUInt16BE(count, 4 + 2 * at)
  return out
}

/** What is said to a query that cannot be understood: a header alone. */
export function renderMalformed({ id, opcode, recursive, rcode }: Malformed): Buffer {
  const out = Buffer.alloc(HEADER)
  out.writeUInt16BE(id, 0)
  out.writeUInt16BE(FLAG.QR | FLAG.RA | (opcode << 11) | (recursive ? FLAG.RD : 0) | rcode, 2)
  return out
}

/** A question for another server. */
export interface Question {
  readonly name: string
  readonly type: number
  readonly class: number
  readonly secure: boolean
  readonly checkingDisabled: boolean
}

export function renderQuestion(question: Question, id: number, withEdns: boolean): Buffer {
  const nameLength = question.name.length + 1
  const end = HEADER + nameLength + 4
  const out = Buffer.alloc(withEdns ? end + OPT_SIZE : end)
  out.writeUInt16BE(id, 0)
  out.writeUInt16BE(FLAG.RD | (question.checkingDisabled ? FLAG.CD : 0), 2)
  out.writeUInt16BE(1, 4)
  out.write(question.name, HEADER, 'latin1')
  out.writeUInt16BE(question.type, HEADER + nameLength)
  out.writeUInt16BE(question.class, HEADER + nameLength + 2)
  if (withEdns) {
    out.writeUInt16BE(1, 10)
    writeOpt(out, end, 0, question.secure)
  }
  return out
}

/** Whether a packet is the response to this question. */
export function answersQuestion(packet: Buffer, id: number, question: Question): boolean {
  if (
    packet.length < HEADER ||
    packet.readUInt16BE(0) !== id ||
    (packet.readUInt16BE(2) & FLAG.QR) === 0 ||
    packet.readUInt16BE(4) !== 1
  )
    return false
  const end = plainNameEnd(packet, HEADER)
  if (end === undefined || end + 4 > packet.length) return false
  return (
    lowerName(packet, HEADER, end - 1) === question.name &&
    packet.readUInt16BE(end) === question.type &&
    packet.readUInt16BE(end + 2) === question.class
  )
}
