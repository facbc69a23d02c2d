import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import fc from 'fast-check'
import protobuf from 'protobufjs'
import type { Operation, Term } from '../../../controller/store/contract.ts'
import {
  decodeCommit,
  decodeRange,
  decodeWatchAnswer,
  encodeCommit,
  encodeProgressRequest,
  encodeRange,
  encodeWatch,
} from '../../../controller/store/etcd-messages.ts'
import { PREFIX_LENGTH } from '../../../controller/store/grpc/framing.ts'
import { failsWith } from '../../contract/store.ts'

/** What etcd's own schema says: the oracle. */
const root = protobuf.loadSync(
  join(dirname(createRequire(import.meta.url).resolve('etcd3/package.json')), 'proto/rpc.proto'),
)
const type = (name: string): protobuf.Type => root.lookupType(`etcdserverpb.${name}`)

/** A frame's message in full, numbers as text, bytes as base64. */
function read(name: string, frame: Buffer): Record<string, unknown> {
  assert.equal(frame[0], 0)
  assert.equal(frame.readUInt32BE(1), frame.length - PREFIX_LENGTH)
  const message = type(name).decode(frame.subarray(PREFIX_LENGTH))
  return type(name).toObject(message, { longs: String, bytes: String, enums: String })
}
/** As `read`, of what is expected: what is zero or empty is not told, but where one of several fields is chosen. */
function expected(name: string, object: object): object {
  const message = type(name).decode(type(name).encode(type(name).fromObject(object)).finish())
  return type(name).toObject(message, { longs: String, bytes: String, enums: String })
}
const written = (name: string, message: object): Buffer =>
  Buffer.from(type(name).encode(type(name).fromObject(message)).finish())

const base64 = (text: string | Uint8Array): string => Buffer.from(text).toString('base64')
const revision = fc.oneof(fc.nat(200), fc.integer({ min: 0, max: 2 ** 32 }), fc.maxSafeNat())
const key = fc.oneof(
  fc.string({ minLength: 1, maxLength: 20 }),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 200 }),
)
const value = fc.oneof(fc.uint8Array({ maxLength: 8 }), fc.uint8Array({ minLength: 120, maxLength: 20_000 }))
const expectation = fc.oneof(
  fc.constant<Operation['expect']>({ is: 'any' }),
  fc.constant<Operation['expect']>({ is: 'absent' }),
  revision.map((at): Operation['expect'] => ({ is: 'at', revision: at })),
)
const leaseId = fc.option(fc.bigInt({ min: 1n, max: 2n ** 63n - 1n }).map(String), { nil: undefined })
const operation: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({ kind: fc.constant('delete' as const), key, expect: expectation }),
  fc
    .record({ kind: fc.constant('put' as const), key, value, expect: expectation, leaseId })
    .map(({ leaseId: lease, ...put }) => (lease === undefined ? put : { ...put, leaseId: lease })),
)
const term = fc.option(fc.record({ key, createRevision: revision }), { nil: undefined })

const found = (name: string): object => ({ requestRange: { key: base64(name) } })
function compareOf({ key: name, expect }: Operation): object[] {
  if (expect.is === 'any') return []
  if (expect.is === 'absent') return [{ target: 'Create', key: base64(name), createRevision: '0' }]
  return [{ target: 'Mod', key: base64(name), modRevision: String(expect.revision) }]
}
function requestOf(of: Operation): object {
  if (of.kind === 'delete') return { requestDeleteRange: { key: base64(of.key) } }
  const lease = of.leaseId === undefined ? {} : { lease: of.leaseId }
  return { requestPut: { key: base64(of.key), value: base64(of.value), ...lease } }
}
const unlessEmpty = (name: string, list: readonly object[]): object => (list.length === 0 ? {} : { [name]: list })

const keyValue = fc.record({
  key,
  value,
  modRevision: revision,
  createRevision: revision,
  version: revision,
  lease: fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }).map(String),
})
type KeyValue = typeof keyValue extends fc.Arbitrary<infer V> ? V : never
const keyValueOf = (entry: KeyValue): object => ({ ...entry, key: base64(entry.key), value: base64(entry.value) })
const entryOf = ({ key: name, value: content, modRevision, createRevision }: KeyValue): object => ({
  key: name,
  value: Buffer.from(content),
  revision: modRevision,
  createRevision,
})
const asBuffers = <T extends { value: Uint8Array }>(entry: T): object => ({ ...entry, value: Buffer.from(entry.value) })
const header = (at: number): object => ({ clusterId: '18446744073709551615', memberId: '1', revision: at, raftTerm: 7 })

describe('messages of etcd', () => {
  it('asks for a range as the schema has it', () => {
    const optional = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
      fc.option(arbitrary, { nil: undefined })
    fc.assert(
      fc.property(
        fc.record({
          key,
          rangeEnd: optional(key),
          limit: optional(fc.nat()),
          revision: optional(revision),
          countOnly: fc.boolean(),
        }),
        ({ key: from, rangeEnd, limit, revision: at, countOnly }) => {
          const frame = encodeRange({
            key: Buffer.from(from),
            countOnly,
            ...(rangeEnd === undefined ? {} : { rangeEnd: Buffer.from(rangeEnd) }),
            ...(limit === undefined ? {} : { limit }),
            ...(at === undefined ? {} : { revision: at }),
          })
          assert.deepEqual(
            read('RangeRequest', frame),
            expected('RangeRequest', {
              key: base64(from),
              ...(rangeEnd === undefined ? {} : { rangeEnd: base64(rangeEnd) }),
              ...(limit === undefined ? {} : { limit: String(limit) }),
              ...(at === undefined ? {} : { revision: String(at) }),
              ...(countOnly ? { countOnly: true } : {}),
            }),
          )
        },
      ),
    )
  })

  it('reads a range', () => {
    fc.assert(
      fc.property(
        revision,
        fc.array(keyValue, { maxLength: 4 }),
        fc.boolean(),
        revision,
        (at, entries, more, count) => {
          const bytes = written('RangeResponse', { header: header(at), kvs: entries.map(keyValueOf), more, count })
          const answer = decodeRange(bytes)
          assert.deepEqual(
            { ...answer, entries: answer.entries.map(asBuffers) },
            { revision: at, entries: entries.map(entryOf), more, count },
          )
        },
      ),
    )
  })

  it('commits as the schema has it', () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 5 }), term, (operations, of) => {
        const compare: object[] =
          of === undefined ? [] : [{ target: 'Create', key: base64(of.key), createRevision: String(of.createRevision) }]
        assert.deepEqual(
          read('TxnRequest', encodeCommit(operations, of as Term | undefined)),
          expected('TxnRequest', {
            ...unlessEmpty('compare', [...compare, ...operations.flatMap(compareOf)]),
            ...unlessEmpty('success', operations.map(requestOf)),
            ...unlessEmpty('failure', [
              ...(of === undefined ? [] : [found(of.key)]),
              ...operations.map((one) => found(one.key)),
            ]),
          }),
        )
      }),
    )
  })

  it('reads what became of a commit', () => {
    const put = { responsePut: { header: { revision: 3 } } }
    fc.assert(
      fc.property(revision, (at) => {
        const bytes = written('TxnResponse', { header: header(at), succeeded: true, responses: [put, put] })
        assert.deepEqual(decodeCommit(bytes), { succeeded: true, revision: at })
      }),
    )
    fc.assert(
      fc.property(fc.array(fc.option(keyValue, { nil: undefined }), { maxLength: 4 }), (entries) => {
        const responses = entries.map((entry) => ({
          responseRange: { header: header(3), kvs: entry === undefined ? [] : [keyValueOf(entry)], count: 1 },
        }))
        const answer = decodeCommit(written('TxnResponse', { header: header(3), responses }))
        assert.ok(!answer.succeeded)
        assert.deepEqual(
          answer.found.map((entry) => entry && asBuffers(entry)),
          entries.map((entry) => entry && entryOf(entry)),
        )
      }),
    )
  })

  it('watches as the schema has it', () => {
    fc.assert(
      fc.property(key, key, fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), (from, end, start) => {
        assert.deepEqual(
          read('WatchRequest', encodeWatch(Buffer.from(from), Buffer.from(end), start)),
          expected('WatchRequest', {
            createRequest: {
              key: base64(from),
              rangeEnd: base64(end),
              startRevision: String(start),
              progressNotify: true,
              fragment: true,
            },
          }),
        )
      }),
    )
    assert.deepEqual(read('WatchRequest', encodeProgressRequest()), expected('WatchRequest', { progressRequest: {} }))
  })

  it('reads what a watch tells', () => {
    const event = fc.record({ deleted: fc.boolean(), kv: keyValue, previous: fc.option(keyValue, { nil: undefined }) })
    const flags = fc.record({ created: fc.boolean(), canceled: fc.boolean(), fragment: fc.boolean() })
    fc.assert(
      fc.property(
        revision,
        revision,
        fc.string(),
        flags,
        fc.array(event, { maxLength: 4 }),
        (at, compactRevision, cancelReason, told, events) => {
          const answer = decodeWatchAnswer(
            written('WatchResponse', {
              header: header(at),
              watchId: 5,
              compactRevision,
              cancelReason,
              ...told,
              events: events.map(({ deleted, kv, previous }) => ({
                type: deleted ? 1 : 0,
                kv: keyValueOf(kv),
                ...(previous === undefined ? {} : { prevKv: keyValueOf(previous) }),
              })),
            }),
          )
          assert.deepEqual(
            { ...answer, events: answer.events.map(({ type: kind, entry }) => ({ kind, entry: asBuffers(entry) })) },
            {
              revision: at,
              compactRevision,
              cancelReason,
              ...told,
              events: events.map(({ deleted, kv }) => ({ kind: deleted ? 'delete' : 'put', entry: entryOf(kv) })),
            },
          )
        },
      ),
    )
  })

  it('keeps nothing of a message but the values', () => {
    const kvs = [{ key: base64('a'), value: base64('x'.repeat(100)) }]
    const { entries } = decodeRange(written('RangeResponse', { kvs }))
    assert.equal(entries[0]!.value.buffer.byteLength, 100)
  })

  it('passes over fields that it does not know, whatever their form', () => {
    const unknown = Buffer.from([
      ...[((20 << 3) & 0x7f) | 0x80, 1, 0xff, 0x7f], // a number
      ...[((20 << 3) & 0x7f) | 0x80 | 1, 1, 1, 2, 3, 4, 5, 6, 7, 8], // eight bytes
      ...[((20 << 3) & 0x7f) | 0x80 | 2, 1, 2, 9, 9], // bytes
      ...[((20 << 3) & 0x7f) | 0x80 | 5, 1, 1, 2, 3, 4], // four bytes
    ])
    const known = written('RangeResponse', { header: header(7), count: 3 })
    assert.deepEqual(decodeRange(Buffer.concat([unknown, known, unknown])), {
      revision: 7,
      entries: [],
      more: false,
      count: 3,
    })
  })

  it('takes bytes that are cut off, or are none, for an answer that never came', () => {
    const entry = { key: base64('key'), value: base64('value'), modRevision: 300, createRevision: 299 }
    const whole = written('WatchResponse', { header: header(300), events: [{ kv: entry }] })
    const ends = [...whole.keys()].filter((end) => {
      try {
        decodeWatchAnswer(whole.subarray(0, end))
        return true
      } catch (thrown) {
        assert.ok(failsWith('Unavailable')(thrown))
        return false
      }
    })
    // Between two fields of the outermost message a cut cannot be seen: gRPC tells how long messages are.
    assert.deepEqual(ends, [0, whole.length - 2 - whole.at(whole.indexOf(0x5a) + 1)!])
    assert.throws(() => decodeRange(Buffer.from([0x07])), failsWith('Unavailable'))
    assert.throws(() => decodeRange(Buffer.alloc(20, 0xff)), failsWith('Unavailable'))
  })
})
