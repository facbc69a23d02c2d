import assert from 'node:assert/strict'
import fc from 'fast-check'
import { MessageReader } from '../../../../controller/store/grpc/framing.ts'
import { failsWith } from '../../../contract/store.ts'
import { framed } from './fake-member.ts'

const LIMIT = 64

function read(pieces: readonly Buffer[], limit = LIMIT): { messages: string[]; unfinished: boolean } {
  const reader = new MessageReader(limit)
  const messages: string[] = []
  for (const piece of pieces) reader.push(piece, (message) => void messages.push(message.toString()))
  return { messages, unfinished: reader.unfinished }
}

describe('framing', () => {
  it('gives the messages, in whatever pieces they come', () => {
    const text = fc.string({ maxLength: LIMIT / 4 })
    fc.assert(
      fc.property(fc.array(text, { maxLength: 5 }), fc.array(fc.nat(400), { maxLength: 12 }), (texts, cuts) => {
        const bytes = Buffer.concat(texts.map(framed))
        const ends = [...cuts.map((cut) => Math.min(cut, bytes.length)), bytes.length].sort((one, other) => one - other)
        const pieces = ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end))
        assert.deepEqual(read(pieces), { messages: texts, unfinished: false })
      }),
    )
  })

  it('knows that the end of a message is missing', () => {
    const bytes = framed('abc')
    for (let length = 1; length < bytes.length; length++)
      assert.deepEqual(read([bytes.subarray(0, length)]), { messages: [], unfinished: true })
  })

  it('refuses a message over the limit by its prefix, and one that is compressed', () => {
    assert.deepEqual(read([framed('x'.repeat(LIMIT))]).messages, ['x'.repeat(LIMIT)])
    assert.throws(() => read([framed('x'.repeat(LIMIT + 1)).subarray(0, 5)]), failsWith('ResourceExhausted'))
    const compressed = framed('abc')
    compressed[0] = 1
    assert.throws(() => read([compressed]), failsWith('Unavailable'))
  })
})
