/**
 * Our own records as an Answer, with names compressed (RFC 1035, 4.1.4): in 512 bytes there is room for 30 addresses.
 */
import ipaddr from 'ipaddr.js'
import { CLASS_IN, HEADER, scanResponse, TCP_SIZE, TYPE, type Answer } from './message.ts'
import { splitName } from './wire-name.ts'

/** Owner and, in `data`, names are as in wire-name.ts. */
export type ZoneRecord = { readonly name: string } & (
  | { readonly type: 'A' | 'AAAA'; readonly data: string }
  | { readonly type: 'CNAME' | 'PTR' | 'NS'; readonly data: string }
  | { readonly type: 'TXT'; readonly data: string }
  | { readonly type: 'HINFO'; readonly data: string }
  | { readonly type: 'SRV'; readonly data: { readonly weight: number; readonly port: number; readonly target: string } }
  | {
      readonly type: 'SOA'
      readonly data: { readonly host: string; readonly mailbox: string; readonly serial: number; readonly ttl: number }
    }
)

export interface Sections {
  readonly rcode: number
  readonly answer: readonly ZoneRecord[]
  readonly authority: readonly ZoneRecord[]
  readonly additional: readonly ZoneRecord[]
}

/** No pointer reaches further. */
const POINTER_LIMIT = 0x4000
/** A record whose data has no names is never longer; the buffer has that much room left whenever one is begun. */
const RECORD_ROOM = 1024

export function encodeAnswer(question: Buffer, sections: Sections, ttl: number): Answer {
  const writer = new Writer(question)
  const counts = [sections.answer, sections.authority, sections.additional].map((records) => {
    let count = 0
    for (const record of records)
      if (writer.record(record, ttl)) count++
      else break
    return count
  })
  return { ...scanResponse(writer.finish(counts, sections.rcode))!, authoritative: true }
}

class Writer {
  #out = Buffer.alloc(512)
  #at = HEADER
  readonly #names = new Map<string, number>()

  constructor(question: Buffer) {
    question.copy(this.#out, HEADER)
    this.#remember(nameIn(question), HEADER)
    this.#at += question.length
  }

  /** False: there is no room for it, and nothing of it was written. */
  record(record: ZoneRecord, ttl: number): boolean {
    const begin = this.#at
    if (this.#out.length - begin < RECORD_ROOM) {
      const larger = Buffer.alloc(this.#out.length * 2 + RECORD_ROOM)
      this.#out.copy(larger, 0, 0, begin)
      this.#out = larger
    }
    this.#name(record.name, true)
    this.#u16(TYPE[record.type])
    this.#u16(CLASS_IN)
    this.#u32(ttl)
    const length = this.#at
    this.#at += 2
    this.#data(record)
    this.#out.writeUInt16BE(this.#at - length - 2, length)
    if (this.#at <= TCP_SIZE) return true
    this.#at = begin
    return false
  }

  finish(counts: readonly number[], rcode: number): Buffer {
    this.#out.writeUInt16BE(0x8000 | rcode, 2)
    this.#out.writeUInt16BE(1, 4)
    counts.forEach((count, section) => this.#out.writeUInt16BE(count, 6 + 2 * section))
    return this.#out.subarray(0, this.#at)
  }

  #data(record: ZoneRecord): void {
    switch (record.type) {
      case 'A':
      case 'AAAA':
        for (const byte of ipaddr.parse(record.data).toByteArray()) this.#out[this.#at++] = byte
        return
      case 'CNAME':
      case 'PTR':
      case 'NS':
        return this.#name(record.data, true)
      case 'TXT':
        return this.#text(record.data)
      case 'HINFO':
        this.#text(record.data)
        return this.#text('')
      case 'SRV':
        this.#u16(0)
        this.#u16(record.data.weight)
        this.#u16(record.data.port)
        return this.#name(record.data.target, false) // RFC 2782: not compressed
      case 'SOA': {
        const { host, mailbox, serial, ttl } = record.data
        this.#name(host, true)
        this.#name(mailbox, true)
        this.#u32(serial)
        for (const seconds of [7200, 1800, 86_400, ttl]) this.#u32(seconds)
        return
      }
      default:
        record satisfies never
    }
  }

  #name(wire: string, compressed: boolean): void {
    const begin = this.#at
    let rest = wire
    for (let split = splitName(rest); split !== undefined; split = splitName(rest)) {
      const known = compressed ? this.#names.get(rest) : undefined
      if (known !== undefined) {
        this.#u16(0xc000 | known)
        return this.#remember(wire, begin)
      }
      this.#out[this.#at++] = split.label.length
      this.#at += this.#out.write(split.label, this.#at, 'latin1')
      rest = split.parent
    }
    this.#out[this.#at++] = 0
    this.#remember(wire, begin)
  }

  /** The name and those above it can be pointed to from now on. */
  #remember(wire: string, begin: number): void {
    let at = begin
    let rest = wire
    for (
      let split = splitName(rest);
      split !== undefined && at < POINTER_LIMIT && !this.#names.has(rest);
      split = splitName(rest)
    ) {
      this.#names.set(rest, at)
      at += 1 + split.label.length
      rest = split.parent
    }
  }

  #text(text: string): void {
    this.#out[this.#at] = text.length
    this.#at += 1 + this.#out.write(text, this.#at + 1, 'latin1')
  }

  #u16(value: number): void {
    this.#at = this.#out.writeUInt16BE(value, this.#at)
  }

  #u32(value: number): void {
    this.#at = this.#out.writeUInt32BE(value >>> 0, this.#at)
  }
}

function nameIn(question: Buffer): string {
  return question.toString('latin1', 0, question.length - 5).replace(/[A-Z]+/g, (letters) => letters.toLowerCase())
}
