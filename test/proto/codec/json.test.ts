import assert from 'node:assert/strict'
import fc from 'fast-check'
import { encodeFields } from '../../../proto/codec/codec.ts'
import { Decoder } from '../../../proto/codec/json-decoder.ts'
import { notPlain } from '../../../proto/codec/json-values.ts'
import { JsonWriter } from '../../../proto/codec/json-writer.ts'
import { jsonReader } from '../../../proto/gen/json-readers.ts'
import { jsonTree } from '../../../proto/gen/json-trees.ts'
import { jsonBytesWriter } from '../../../proto/gen/json-bytes.ts'
import { schema } from '../../../proto/schema/schema.ts'
import type { JsonObject, JsonValue } from '../../../proto/gen/types.ts'
import { messageOf } from './arbitrary-messages.ts'
import { interpretFields } from './oracle/json.ts'
import { replaceSomewhere } from './replace-somewhere.ts'

const names = Object.keys(schema.messages).filter((name) => jsonTree(name) !== undefined)

/** The bytes of the generated writer, as text. */
function written(name: string, object: object): string {
  const writer = new JsonWriter()
  jsonBytesWriter(name)!(writer, object)
  return Buffer.from(writer.finish()).toString()
}

describe('the generated writers of JSON', () => {
  it('write what the schema says, of every message', () => {
    for (const name of names)
      fc.assert(
        fc.property(messageOf(name), (object) => {
          const full = JSON.stringify(interpretFields(name, object, true))
          assert.equal(JSON.stringify(encodeFields(name, object, true)), full)
          assert.equal(written(name, object), full)
          assert.equal(JSON.stringify(encodeFields(name, object)), JSON.stringify(interpretFields(name, object, false)))
        }),
        { numRuns: 15 },
      )
  })

  it('write objects that are larger than the buffer that they begin with', () => {
    const labels = Object.fromEntries(
      Array.from({ length: 9000 }, (_, index) => [`key-${index}`, 'é"'.repeat(index % 9)]),
    )
    const object = { metadata: { name: 'n'.repeat(70_000), labels } }
    assert.deepEqual(JSON.parse(written('ConfigMap', object)), object)
  })

  it('refuses to write what has no JSON', () => {
    assert.throws(() => encodeFields('ExecInput', {}), TypeError)
  })
})

describe('the generated readers of JSON', () => {
  /** What the decoder makes of it, if it finds nothing wrong. */
  function decoded(name: string, json: JsonValue, drop: boolean): object | undefined {
    const decoder = new Decoder({ dropReadOnly: drop })
    const object = decoder.message(name, json, '')
    return decoder.problems.length === 0 ? object : undefined
  }

  /** What the generated reader makes of it, undefined where it leaves it to the decoder. */
  function read(name: string, json: JsonValue, drop: boolean): object | undefined {
    try {
      return jsonReader(name)!(json, drop) as object
    } catch (thrown) {
      assert.equal(thrown, notPlain)
      return undefined
    }
  }

  it('read what is right as the decoder does', () => {
    for (const name of names)
      fc.assert(
        fc.property(messageOf(name, 'allowed'), fc.boolean(), (object, drop) => {
          const json = JSON.parse(JSON.stringify(encodeFields(name, object))) as JsonObject
          assert.deepEqual(read(name, json, drop), decoded(name, json, drop))
        }),
        { numRuns: 15 },
      )
  })

  const key = fc.constantFrom('name', 'metadata', '__proto__', 'kind', 'unknown', '')
  const value = fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom<JsonValue[]>(
      null,
      '',
      0,
      -1,
      0.5,
      2 ** 31,
      2 ** 53,
      true,
      [],
      {},
      [null],
      { a: null },
      'a b',
      '\n',
      '1',
    ),
    fc.jsonValue() as fc.Arbitrary<JsonValue>,
  )

  it('leave everything to the decoder in which it finds something wrong', () => {
    for (const name of names)
      fc.assert(
        fc.property(
          messageOf(name, 'any'),
          fc.array(fc.nat(), { maxLength: 8 }),
          key,
          value,
          fc.boolean(),
          (object, steps, added, other, drop) => {
            const json = JSON.parse(JSON.stringify(encodeFields(name, object))) as JsonObject
            for (const broken of [
              JSON.parse(JSON.stringify(encodeFields(name, object, true))) as JsonObject,
              json,
              replaceSomewhere(json, steps, other),
              replaceSomewhere(
                json,
                steps,
                JSON.parse(`{${JSON.stringify(added)}:${JSON.stringify(other)}}`) as JsonValue,
              ),
            ]) {
              const plain = read(name, broken, drop)
              if (plain !== undefined) assert.deepEqual(plain, decoded(name, broken, drop))
            }
          },
        ),
        { numRuns: 25 },
      )
  })
})
