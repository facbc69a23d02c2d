import assert from 'node:assert/strict'
import fc from 'fast-check'
import protobuf from 'protobufjs/minimal.js'
import { ByteWriter } from '../../../proto/codec/byte-writer.ts'

type Part =
  | { readonly is: 'uint32' | 'int32' | 'int64' | 'double' | 'float'; readonly value: number }
  | { readonly is: 'bool'; readonly value: boolean }
  | { readonly is: 'string'; readonly value: string }
  | { readonly is: 'bytes'; readonly value: Uint8Array }
  | { readonly is: 'nested'; readonly parts: readonly Part[] }

const scalar = fc.oneof(
  fc.record({ is: fc.constant('uint32' as const), value: fc.nat(0xffff_ffff) }),
  fc.record({ is: fc.constant('int32' as const), value: fc.integer() }),
  fc.record({ is: fc.constant('int64' as const), value: fc.maxSafeInteger() }),
  fc.record({ is: fc.constantFrom('double' as const, 'float' as const), value: fc.double() }),
  fc.record({ is: fc.constant('bool' as const), value: fc.boolean() }),
  fc.record({
    is: fc.constant('string' as const),
    value: fc.oneof(fc.string({ unit: 'grapheme', maxLength: 60 }), fc.string({ maxLength: 300 })),
  }),
  fc.record({ is: fc.constant('bytes' as const), value: fc.uint8Array({ maxLength: 300 }) }),
)
const { part } = fc.letrec<{ part: Part }>((tie) => ({
  part: fc.oneof(
    { depthSize: 'small' },
    scalar,
    fc.record({ is: fc.constant('nested' as const), parts: fc.array(tie('part'), { maxLength: 8 }) }),
  ),
}))

function write(writer: ByteWriter, part: Part): void {
  switch (part.is) {
    case 'nested':
      return void writer.nested((parts) => (parts as Part[]).forEach((inner) => write(writer, inner)), part.parts)
    case 'string':
      return void writer.string(part.value)
    case 'bytes':
      return void writer.bytes(part.value)
    case 'bool':
      return void writer.bool(part.value)
    default:
      return void writer[part.is](part.value)
  }
}

function expected(writer: protobuf.Writer, part: Part): void {
  if (part.is !== 'nested') return void (writer[part.is] as (value: unknown) => void).call(writer, part.value)
  writer.fork()
  for (const inner of part.parts) expected(writer, inner)
  writer.ldelim()
}

describe('ByteWriter', () => {
  it('writes what protobuf.js writes', () => {
    fc.assert(
      fc.property(fc.array(part), (parts) => {
        const [writer, other] = [new ByteWriter(), protobuf.Writer.create()]
        for (const one of parts) {
          write(writer, one)
          expected(other, one)
        }
        assert.deepEqual(Buffer.from(writer.finish()), Buffer.from(other.finish()))
      }),
    )
  })

  it('writes lengths of every size, beyond the buffer that it begins with', () => {
    for (const size of [0, 1, 42, 43, 127, 128, 16_383, 16_384, 100_000, 2 ** 21, 2 ** 21 + 1]) {
      const text = 'é'.repeat(size)
      const writer = new ByteWriter().nested((_, inner) => inner.string(text), undefined).uint32(7)
      assert.deepEqual(
        Buffer.from(writer.finish()),
        Buffer.from(protobuf.Writer.create().fork().string(text).ldelim().uint32(7).finish()),
        String(size),
      )
    }
  })

  it('writes two at a time, each its own', () => {
    const [one, other] = [new ByteWriter().string('one'), new ByteWriter().string('other')]
    const first = one.finish()
    const next = new ByteWriter().string('next').finish()
    assert.deepEqual(
      [first, other.finish(), next].map((bytes) => Buffer.from(bytes).toString()),
      ['\x03one', '\x05other', '\x04next'],
    )
  })
})
