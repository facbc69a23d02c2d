import assert from 'node:assert/strict'
import fc from 'fast-check'
import protobuf from 'protobufjs/minimal.js'
import { ByteReader } from '../../../proto/codec/byte-reader.ts'
import { ByteWriter } from '../../../proto/codec/byte-writer.ts'
import type { JsonValue } from '../../../proto/gen/types.ts'

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
  fc.record({ is: fc.constant('double' as const), value: fc.double() }),
  fc.record({ is: fc.constant('float' as const), value: fc.float() }),
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
const tag = fc.constantFrom(1 << 3, 15 << 3, 16 << 3, 1001 << 3, 2047 << 3)

/** From the last to the first, as it is with ByteWriter. */
function write(writer: ByteWriter, parts: readonly Part[], tags: number): void {
  for (const one of parts.toReversed()) {
    switch (one.is) {
      case 'nested': {
        const { size } = writer
        write(writer, one.parts, tags)
        writer.close(size, tags)
        break
      }
      case 'string':
        writer.string(one.value, tags)
        break
      case 'bytes':
        writer.bytes(one.value, tags)
        break
      case 'bool':
        writer.bool(one.value, tags)
        break
      default:
        writer[one.is](one.value, tags)
    }
  }
}

function expected(writer: protobuf.Writer, parts: readonly Part[], tags: number): void {
  for (const one of parts) {
    writer.uint32(tags)
    if (one.is === 'nested') {
      writer.fork()
      expected(writer, one.parts, tags)
      writer.ldelim()
    } else (writer[one.is] as (value: unknown) => void).call(writer, one.value)
  }
}

/** What is read back, after each tag. */
function read(reader: ByteReader, parts: readonly Part[], tags: number): Part[] {
  return parts.map((one): Part => {
    assert.equal(reader.uint32(), tags)
    if (one.is === 'bytes') return { is: 'bytes', value: new Uint8Array(reader.bytes()) }
    if (one.is !== 'nested') return { is: one.is, value: reader[one.is]() } as Part
    const end = reader.end()
    const inner = read(reader, one.parts, tags)
    assert.equal(reader.at, end)
    return { is: 'nested', parts: inner }
  })
}

describe('ByteWriter', () => {
  it('writes what protobuf.js writes, and ByteReader reads it', () => {
    fc.assert(
      fc.property(fc.array(part), tag, (parts, tags) => {
        const [writer, other] = [new ByteWriter(), protobuf.Writer.create()]
        write(writer, parts, tags)
        expected(other, parts, tags)
        const bytes = writer.finish()
        assert.deepEqual(Buffer.from(bytes), Buffer.from(other.finish()))
        const plain = JSON.stringify(parts)
        assert.equal(JSON.stringify(read(new ByteReader(bytes), parts, tags)), plain)
        assert.equal(JSON.stringify(read(new ByteReader(new Uint8Array(bytes)), parts, tags)), plain)
      }),
    )
  })

  it('writes lengths of every size, beyond the buffer that it begins with', () => {
    for (const size of [0, 1, 42, 43, 127, 128, 16_383, 16_384, 100_000, 2 ** 21, 2 ** 21 + 1]) {
      const text = 'é'.repeat(size)
      const writer = new ByteWriter()
      writer.uint32(7, 16)
      const before = writer.size
      writer.string(text, 8)
      writer.close(before, 8)
      assert.deepEqual(
        Buffer.from(writer.finish()),
        Buffer.from(
          protobuf.Writer.create().uint32(8).fork().uint32(8).string(text).ldelim().uint32(16).uint32(7).finish(),
        ),
        String(size),
      )
    }
  })

  it('writes two at a time, each its own', () => {
    const [one, other] = [new ByteWriter(), new ByteWriter()]
    one.string('one', 8)
    other.string('other', 8)
    const first = one.finish()
    const next = new ByteWriter()
    next.string('next', 8)
    const last = next.finish()
    assert.deepEqual(
      [first, other.finish(), last].map((bytes) => Buffer.from(bytes).toString()),
      ['\x08\x03one', '\x08\x05other', '\x08\x04next'],
    )
  })

  const key = fc.oneof(
    fc.constantFrom('f:spec', '.', 'k:{"containerPort":80,"protocol":"TCP"}', 'v:"a\\\\b"', '__proto__', '1', '0'),
    fc.string({ unit: 'binary', maxLength: 4 }),
  )
  const fields = [1, 2, 3].reduce<fc.Arbitrary<JsonValue>>(
    (inner) => fc.dictionary(key, inner, { maxKeys: 4, noNullPrototype: true }) as fc.Arbitrary<JsonValue>,
    fc.oneof({ weight: 9, arbitrary: fc.constant({}) }, fc.jsonValue() as fc.Arbitrary<JsonValue>),
  )

  it('writes values as JSON.stringify does, and ByteReader reads them', () => {
    fc.assert(
      fc.property(fields, (value) => {
        const writer = new ByteWriter()
        writer.json(value, 8)
        const bytes = writer.finish()
        const [plain, reader] = [new ByteReader(bytes), new ByteReader(bytes)]
        assert.deepEqual([plain.uint32(), reader.uint32()], [8, 8])
        assert.equal(plain.string(), JSON.stringify(value))
        assert.deepEqual(reader.json(), JSON.parse(JSON.stringify(value)))
      }),
      { numRuns: 300 },
    )
  })
})

describe('ByteReader', () => {
  const json = (text: string): unknown => {
    const writer = new ByteWriter()
    writer.string(text, 0)
    return new ByteReader(writer.finish()).json()
  }

  it('reads JSON of any form as JSON.parse does', () => {
    const deep = `${'{"a":'.repeat(500)}{}${'}'.repeat(500)}`
    for (const text of [
      '{}',
      ' { "f:a" : { } } ',
      '{"a":{},"a":{"b":{}}}',
      '{"\\u0061":{}}',
      '{"é":{}}',
      '{"a":1}',
      'null',
      '[{}]',
      '{"__proto__":{"a":{}}}',
    ])
      assert.deepEqual(json(text), JSON.parse(text), text)
    assert.equal(JSON.stringify(json(deep)), deep)
  })

  it('refuses what is no JSON', () => {
    for (const text of [
      '',
      '{',
      '{}}',
      '{"a"}',
      '{"a":{}',
      '{"a":{},}',
      '{"a":{}"b":{}}',
      '{"a\n":{}}',
      '{"a":{}]',
      '{,}',
      '{"a\\":{}}',
      '{"a\\x":{}}',
    ])
      assert.throws(() => json(text), SyntaxError, text)
  })

  it('tells texts of one hash apart, and those that are cut', () => {
    // With 31 as the factor, "Aa" and "BB" have one hash.
    for (const text of ['Aa', 'BB', 'Aa', 'AaAa', 'BBBB', 'AaBB', '', 'a'.repeat(64), 'a'.repeat(65), 'é', 'é']) {
      const writer = new ByteWriter()
      writer.string(text, 0)
      assert.equal(new ByteReader(writer.finish()).string(), text)
    }
    for (const keys of ['{"Aa":{}}', '{"BB":{}}', '{"\\"Aa":{}}', '{"\\"BB":{}}'])
      assert.deepEqual(json(keys), JSON.parse(keys))
  })
})
