import assert from 'node:assert/strict'
import fc from 'fast-check'
import protobuf from 'protobufjs/minimal.js'
import { decode, encode, encodeResource } from '../../../proto/codec/wire.ts'
import { schema } from '../../../proto/schema/schema.ts'
import type { Messages } from '../../../proto/gen/types.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { messageOf } from './arbitrary-messages.ts'
import { interpretDecode, interpretEncode } from './oracle/wire.ts'

type Name = keyof Messages

/** What comes of bytes: an object or an error. */
function outcome(call: () => unknown): object {
  try {
    return { object: call() }
  } catch (thrown) {
    assert(GantryError.is(thrown, 'Internal'))
    return { message: thrown.message }
  }
}

function assertSame(name: Name, bytes: Uint8Array): void {
  assert.deepEqual(
    outcome(() => decode(name, bytes)),
    outcome(() => interpretDecode(name, bytes)),
  )
}

describe('the generated codec of protobuf', () => {
  const names = Object.values(schema.messages).flatMap(({ name, value }) => (value === undefined ? [name as Name] : []))

  it('writes what the schema says, of every message, and reads it back', () => {
    for (const name of names)
      fc.assert(
        fc.property(messageOf(name), (object) => {
          const bytes = encode(name, object)
          assert.deepEqual(Buffer.from(bytes), Buffer.from(interpretEncode(name, object)))
          assertSame(name, bytes)
        }),
        { numRuns: 15 },
      )
  })

  /** Fields that no message has, of every wire type. */
  const unknown = fc.constantFrom(
    ...[0, 1, 2, 5].map((wireType) => {
      const writer = protobuf.Writer.create().uint32((900 << 3) | wireType)
      if (wireType === 1) writer.double(1)
      else if (wireType === 5) writer.float(1)
      else if (wireType === 2) writer.string('unknown')
      else writer.int64(-1)
      return writer.finish()
    }),
    // A group in a group.
    protobuf.Writer.create()
      .uint32((900 << 3) | 3)
      .uint32((1 << 3) | 3)
      .uint32((1 << 3) | 4)
      .uint32((900 << 3) | 4)
      .finish(),
  )
  type Step = (bytes: Buffer) => Buffer
  const place = fc.nat({ max: 1000 })
  const cut = (bytes: Buffer, at: number): number => (bytes.length === 0 ? 0 : at % bytes.length)
  /** What may befall bytes on their way. */
  const step: fc.Arbitrary<Step> = fc.oneof(
    place.map(
      (at): Step =>
        (bytes) =>
          bytes.subarray(0, cut(bytes, at)),
    ),
    fc.tuple(place, fc.nat(255)).map(([at, byte]): Step => (bytes) => {
      const changed = Buffer.from(bytes)
      if (changed.length > 0) changed[cut(bytes, at)] = byte
      return changed
    }),
    fc.tuple(place, fc.uint8Array({ maxLength: 6 })).map(
      ([at, added]): Step =>
        (bytes) =>
          Buffer.concat([bytes.subarray(0, cut(bytes, at)), added, bytes.subarray(cut(bytes, at))]),
    ),
    unknown.map(
      (added): Step =>
        (bytes) =>
          Buffer.concat([bytes, added]),
    ),
    unknown.map(
      (added): Step =>
        (bytes) =>
          Buffer.concat([added, bytes]),
    ),
  )

  it('gives what is stored memory of its own', () => {
    const pod = decode('Pod', encode('Pod', { metadata: { name: 'a' } }))
    for (const name of ['a', 'a'.repeat(3_000), 'a'.repeat(100_000)]) {
      const object = { ...pod, kind: 'Pod' as const, apiVersion: 'v1' as const, metadata: { ...pod.metadata, name } }
      const bytes = encodeResource(object)
      assert.equal(bytes.buffer.byteLength, bytes.length)
      assert.equal(decode('Pod', bytes).metadata.name, name)
    }
  })

  it('reads of broken bytes what the schema says, or refuses them', () => {
    for (const name of names)
      fc.assert(
        fc.property(messageOf(name), fc.array(step, { minLength: 1, maxLength: 3 }), (object, steps) => {
          const bytes = steps.reduce<Buffer>((taken, take) => take(taken), Buffer.from(encode(name, object)))
          assertSame(name, bytes)
        }),
        { numRuns: 25 },
      )
  })

  it('reads any bytes as the schema says, or refuses them', () => {
    for (const name of names)
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 30 }), (bytes) => assertSame(name, Buffer.from(bytes))),
        { numRuns: 10 },
      )
  })

  it('merges a message that comes in pieces', () => {
    for (const name of names)
      fc.assert(
        fc.property(messageOf(name), messageOf(name), (one, other) => {
          assertSame(name, Buffer.concat([encode(name, one), encode(name, other)]))
        }),
        { numRuns: 8 },
      )
  })

  it('reads a message that comes in very many pieces in a time that grows with them only', () => {
    const count = 500_000
    // A spec with one container, as a tenant may repeat it: copying the list for each takes minutes.
    const pod = decode('Pod', Buffer.alloc(4 * count, Buffer.of(0x12, 2, 0x12, 0)))
    assert.equal(pod.spec.containers.length, count)
  })

  it('gives objects of a message the same properties in the same order, whatever the order of the bytes', () => {
    const [labels, name] = [encode('ObjectMeta', { labels: { a: 'b' } }), encode('ObjectMeta', { name: 'n' })]
    const [one, other] = [Buffer.concat([labels, name]), Buffer.concat([name, labels])].map((bytes) =>
      decode('ObjectMeta', bytes),
    )
    assert.deepEqual(Object.keys(one!), ['name', 'namespace', 'uid', 'resourceVersion', 'labels'])
    assert.deepEqual(Object.keys(one!), Object.keys(other!))
    assert.equal(Object.getPrototypeOf(one), Object.prototype)
  })
})
