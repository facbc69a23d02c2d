/**
 * The messages of etcd that are sent and read many times a second, with the fields that the store uses, by hand: a
 * library that knows all of them takes several times as long. Fields and their numbers:
 * https://github.com/etcd-io/etcd/blob/release-3.5/api/etcdserverpb/rpc.proto and api/mvccpb/kv.proto beside it; the
 * wire format: https://protobuf.dev/programming-guides/encoding/
 */
import { GantryError } from '../../proto/base/errors.ts'
import type { Entry, Operation, StoreEvent, Term } from './contract.ts'
import { allocateFrame, PREFIX_LENGTH } from './grpc/framing.ts'
import { varintSize, WireReader, WireWriter } from './wire.ts'

/** A field's number and how its value is written: as a number, or as bytes with their length. */
const number = (field: number): number => field << 3
const bytes = (field: number): number => (field << 3) | 2

const RANGE = { key: bytes(1), rangeEnd: bytes(2), limit: number(3), revision: number(4), countOnly: number(9) }
const RANGE_ANSWER = { header: bytes(1), entries: bytes(2), more: number(3), count: number(4) }
const HEADER = { revision: number(3) }
const KEY_VALUE = { key: bytes(1), createRevision: number(2), modRevision: number(3), value: bytes(5) }
const TXN = { compare: bytes(1), success: bytes(2), failure: bytes(3) }
const TXN_ANSWER = { header: bytes(1), succeeded: number(2), answers: bytes(3) }
const COMPARE = { target: number(2), key: bytes(3), createRevision: number(5), modRevision: number(6) }
const TARGET = { create: 1, mod: 2 }
/** A request of a transaction, and its answer. */
const OPERATION = { range: bytes(1), put: bytes(2), delete: bytes(3) }
const PUT = { key: bytes(1), value: bytes(2), lease: number(3) }
const WATCH = { create: bytes(1), progress: bytes(3) }
const WATCH_CREATE = {
  key: bytes(1),
  rangeEnd: bytes(2),
  startRevision: number(3),
  progressNotify: number(4),
  fragment: number(8),
}
const WATCH_ANSWER = {
  header: bytes(1),
  created: number(3),
  canceled: number(4),
  compactRevision: number(5),
  cancelReason: bytes(6),
  fragment: number(7),
  events: bytes(11),
}
const EVENT = { type: number(1), entry: bytes(2) }
const DELETED = 1

export interface RangeRequest {
  readonly key: Uint8Array
  /** All from `key` to before this; only `key` if it is left out. */
  readonly rangeEnd?: Uint8Array
  readonly limit?: number
  readonly revision?: number
  readonly countOnly?: boolean
}

export interface RangeAnswer {
  /** Of the store when it answered, whatever revision was asked for. */
  readonly revision: number
  readonly entries: readonly Entry[]
  readonly more: boolean
  readonly count: number
}

export function encodeRange({ key, rangeEnd, limit, revision, countOnly }: RangeRequest): Buffer {
  const size =
    bytesSize(key.length) +
    (rangeEnd === undefined ? 0 : bytesSize(rangeEnd.length)) +
    (limit === undefined ? 0 : numberSize(limit)) +
    (revision === undefined ? 0 : numberSize(revision)) +
    (countOnly === true ? numberSize(1) : 0)
  const writer = new WireWriter(allocateFrame(size), PREFIX_LENGTH)
  writer.bytes(RANGE.key, key)
  if (rangeEnd !== undefined) writer.bytes(RANGE.rangeEnd, rangeEnd)
  if (limit !== undefined) writer.number(RANGE.limit, limit)
  if (revision !== undefined) writer.number(RANGE.revision, revision)
  if (countOnly === true) writer.number(RANGE.countOnly, 1)
  return writer.buffer
}

export function decodeRange(message: Buffer): RangeAnswer {
  return decoded(() => readRange(new WireReader(message), message.length))
}

function readRange(reader: WireReader, end: number): RangeAnswer {
  const answer = { revision: 0, entries: [] as Entry[], more: false, count: 0 }
  while (reader.isBefore(end)) {
    const tag = reader.tag()
    if (tag === RANGE_ANSWER.header) answer.revision = readHeader(reader, reader.end())
    else if (tag === RANGE_ANSWER.entries) answer.entries.push(readEntry(reader, reader.end()))
    else if (tag === RANGE_ANSWER.more) answer.more = reader.number() !== 0
    else if (tag === RANGE_ANSWER.count) answer.count = reader.number()
    else reader.skip(tag)
  }
  return answer
}

function readHeader(reader: WireReader, end: number): number {
  let revision = 0
  while (reader.isBefore(end)) {
    const tag = reader.tag()
    if (tag === HEADER.revision) revision = reader.number()
    else reader.skip(tag)
  }
  return revision
}

function readEntry(reader: WireReader, end: number): Entry {
  let key = ''
  let value: Uint8Array | undefined
  let revision = 0
  let createRevision = 0
  while (reader.isBefore(end)) {
    const tag = reader.tag()
    if (tag === KEY_VALUE.key) key = reader.text()
    else if (tag === KEY_VALUE.value) value = reader.copy()
    else if (tag === KEY_VALUE.modRevision) revision = reader.number()
    else if (tag === KEY_VALUE.createRevision) createRevision = reader.number()
    else reader.skip(tag)
  }
  return { key, value: value ?? new Uint8Array(), revision, createRevision }
}

/**
 * The operations if the term lasts and each key is as expected; else the entries of the term's key and of each
 * operation's, in this order.
 */
export function encodeCommit(operations: readonly Operation[], term: Term | undefined): Buffer {
  const termKey = term === undefined ? undefined : Buffer.from(term.key)
  const keys = operations.map(({ key }) => Buffer.from(key))
  const leases = operations.map((operation) => leaseOf(operation))
  let size = 0
  if (termKey !== undefined)
    size += bytesSize(compareSize(termKey, term!.createRevision)) + bytesSize(bytesSize(bytesSize(termKey.length)))
  operations.forEach((operation, index) => {
    const key = keys[index]!
    if (operation.expect.is !== 'any') size += bytesSize(compareSize(key, expectedRevision(operation)))
    size += bytesSize(bytesSize(requestSize(operation, key, leases[index])))
    size += bytesSize(bytesSize(bytesSize(key.length)))
  })
  const writer = new WireWriter(allocateFrame(size), PREFIX_LENGTH)
  if (termKey !== undefined) writeCompare(writer, termKey, TARGET.create, term!.createRevision)
  operations.forEach((operation, index) => {
    if (operation.expect.is === 'any') return
    const target = operation.expect.is === 'absent' ? TARGET.create : TARGET.mod
    writeCompare(writer, keys[index]!, target, expectedRevision(operation))
  })
  operations.forEach((operation, index) => writeRequest(writer, operation, keys[index]!, leases[index]))
  if (termKey !== undefined) writeFound(writer, termKey)
  for (const key of keys) writeFound(writer, key)
  return writer.buffer
}

function expectedRevision({ expect }: Operation): number {
  return expect.is === 'at' ? expect.revision : 0
}

/** The lease of a put as a number of protobuf, which may have more digits than a number here has. */
function leaseOf(operation: Operation): bigint | undefined {
  return operation.kind === 'put' && operation.leaseId !== undefined ? BigInt(operation.leaseId) : undefined
}

function compareSize(key: Buffer, revision: number): number {
  return numberSize(TARGET.mod) + bytesSize(key.length) + numberSize(revision)
}

function requestSize(operation: Operation, key: Buffer, lease: bigint | undefined): number {
  if (operation.kind === 'delete') return bytesSize(key.length)
  return bytesSize(key.length) + bytesSize(operation.value.length) + (lease === undefined ? 0 : 1 + varintSize(lease))
}

function writeCompare(writer: WireWriter, key: Buffer, target: number, revision: number): void {
  writer.begin(TXN.compare, compareSize(key, revision))
  writer.number(COMPARE.target, target)
  writer.bytes(COMPARE.key, key)
  writer.number(target === TARGET.create ? COMPARE.createRevision : COMPARE.modRevision, revision)
}

function writeRequest(writer: WireWriter, operation: Operation, key: Buffer, lease: bigint | undefined): void {
  const size = requestSize(operation, key, lease)
  writer.begin(TXN.success, bytesSize(size))
  writer.begin(operation.kind === 'put' ? OPERATION.put : OPERATION.delete, size)
  writer.bytes(PUT.key, key)
  if (operation.kind === 'delete') return
  writer.bytes(PUT.value, operation.value)
  if (lease !== undefined) writer.number(PUT.lease, lease)
}

/** What stands under the key, if the transaction does not happen. */
function writeFound(writer: WireWriter, key: Buffer): void {
  const size = bytesSize(key.length)
  writer.begin(TXN.failure, bytesSize(size))
  writer.begin(OPERATION.range, size)
  writer.bytes(RANGE.key, key)
}

export type CommitAnswer =
  | { readonly succeeded: true; readonly revision: number }
  | { readonly succeeded: false; readonly found: readonly (Entry | undefined)[] }

export function decodeCommit(message: Buffer): CommitAnswer {
  return decoded(() => {
    const reader = new WireReader(message)
    let revision = 0
    let succeeded = false
    const found: (Entry | undefined)[] = []
    while (reader.isBefore(message.length)) {
      const tag = reader.tag()
      if (tag === TXN_ANSWER.header) revision = readHeader(reader, reader.end())
      else if (tag === TXN_ANSWER.succeeded) succeeded = reader.number() !== 0
      else if (tag === TXN_ANSWER.answers && !succeeded) found.push(readFound(reader, reader.end()))
      else reader.skip(tag)
    }
    return succeeded ? { succeeded, revision } : { succeeded, found }
  })
}

function readFound(reader: WireReader, end: number): Entry | undefined {
  let found: Entry | undefined
  while (reader.isBefore(end)) {
    const tag = reader.tag()
    if (tag === OPERATION.range) found = readRange(reader, reader.end()).entries[0]
    else reader.skip(tag)
  }
  return found
}

/**
 * A watch of all from `key` to before `rangeEnd`, from a revision on. It does not tell what was there before, which
 * etcd would read for every event.
 */
export function encodeWatch(key: Uint8Array, rangeEnd: Uint8Array, startRevision: number): Buffer {
  const size = bytesSize(key.length) + bytesSize(rangeEnd.length) + numberSize(startRevision) + 2 * numberSize(1)
  const writer = new WireWriter(allocateFrame(bytesSize(size)), PREFIX_LENGTH)
  writer.begin(WATCH.create, size)
  writer.bytes(WATCH_CREATE.key, key)
  writer.bytes(WATCH_CREATE.rangeEnd, rangeEnd)
  writer.number(WATCH_CREATE.startRevision, startRevision)
  for (const flag of [WATCH_CREATE.progressNotify, WATCH_CREATE.fragment]) writer.number(flag, 1)
  return writer.buffer
}

/** Asks a watch how far it is. */
export function encodeProgressRequest(): Buffer {
  const writer = new WireWriter(allocateFrame(bytesSize(0)), PREFIX_LENGTH)
  writer.begin(WATCH.progress, 0)
  return writer.buffer
}

export interface WatchAnswer {
  readonly revision: number
  readonly created: boolean
  readonly canceled: boolean
  /** Not 0 if the watch is canceled because history begins after this revision. */
  readonly compactRevision: number
  readonly cancelReason: string
  /** More of the same follows. */
  readonly fragment: boolean
  readonly events: StoreEvent[]
}

export function decodeWatchAnswer(message: Buffer): WatchAnswer {
  return decoded(() => {
    const reader = new WireReader(message)
    const answer = {
      revision: 0,
      created: false,
      canceled: false,
      compactRevision: 0,
      cancelReason: '',
      fragment: false,
      events: [] as StoreEvent[],
    }
    while (reader.isBefore(message.length)) {
      const tag = reader.tag()
      if (tag === WATCH_ANSWER.events) answer.events.push(readEvent(reader, reader.end()))
      else if (tag === WATCH_ANSWER.header) answer.revision = readHeader(reader, reader.end())
      else if (tag === WATCH_ANSWER.created) answer.created = reader.number() !== 0
      else if (tag === WATCH_ANSWER.canceled) answer.canceled = reader.number() !== 0
      else if (tag === WATCH_ANSWER.compactRevision) answer.compactRevision = reader.number()
      else if (tag === WATCH_ANSWER.cancelReason) answer.cancelReason = reader.text()
      else if (tag === WATCH_ANSWER.fragment) answer.fragment = reader.number() !== 0
      else reader.skip(tag)
    }
    return answer
  })
}

function readEvent(reader: WireReader, end: number): StoreEvent {
  let type: StoreEvent['type'] = 'put'
  let entry: Entry | undefined
  while (reader.isBefore(end)) {
    const tag = reader.tag()
    if (tag === EVENT.type) type = reader.number() === DELETED ? 'delete' : 'put'
    else if (tag === EVENT.entry) entry = readEntry(reader, reader.end())
    else reader.skip(tag)
  }
  if (entry === undefined) throw new RangeError('an event has no entry')
  return { type, entry }
}

/** Of a field with a tag of one byte: what it takes as bytes with their length, and as a number. */
function bytesSize(length: number): number {
  return 1 + varintSize(length) + length
}

function numberSize(value: number): number {
  return 1 + varintSize(value)
}

/** Bytes that are no such message are the fault of the way or of the member: whether a write happened is unknown. */
function decoded<T>(decode: () => T): T {
  try {
    return decode()
  } catch (cause) {
    throw new GantryError('Unavailable', 'etcd: an answer cannot be read', { cause })
  }
}
