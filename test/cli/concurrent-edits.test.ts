import assert from 'node:assert/strict'
import fc from 'fast-check'
import { mergeEdits } from '../../cli/concurrent-edits.ts'
import type { JsonValue } from '../../proto/gen/types.ts'

const value: fc.Arbitrary<JsonValue> = fc.letrec<{ value: JsonValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom<JsonValue>(1, 2, 'a', true, null),
    fc.array(tie('value'), { maxLength: 2 }),
    fc.dictionary(fc.constantFrom('a', 'b', 'c'), tie('value'), { noNullPrototype: true }),
  ),
})).value

describe('two edits of one object', () => {
  it('are both made where they touch different fields', () => {
    const base = { spec: { replicas: 1, paused: true, list: [1] }, metadata: { labels: { a: 'b' } } }
    const mine = { spec: { replicas: 2, list: [1] }, metadata: { labels: { a: 'b', c: 'd' } } }
    const theirs = {
      spec: { replicas: 1, paused: true, list: [1, 2] },
      metadata: { labels: { a: 'b', e: 'f' } },
      status: { seen: 7 },
    }
    assert.deepEqual(mergeEdits(base, mine, theirs), {
      value: {
        spec: { replicas: 2, list: [1, 2] },
        metadata: { labels: { a: 'b', e: 'f', c: 'd' } },
        status: { seen: 7 },
      },
      conflicts: [],
    })
  })

  it('conflict where they change one field, or one list, differently', () => {
    const { conflicts, value: merged } = mergeEdits(
      { a: { b: 1, l: [1], 'x/y': 1 } },
      { a: { b: 2, l: [2], 'x/y': 2 } },
      { a: { l: [3], 'x/y': 3 } },
    )
    assert.deepEqual(conflicts, [
      { path: 'a.l', theirs: [3] },
      { path: 'a[x/y]', theirs: 3 },
      { path: 'a.b', theirs: undefined },
    ])
    assert.deepEqual(merged, { a: { l: [3], 'x/y': 3 } })
  })

  it('are one where the other changed nothing, or the same', () => {
    fc.assert(
      fc.property(value, value, (base, next) => {
        for (const merged of [mergeEdits(base, next, base), mergeEdits(base, base, next), mergeEdits(base, next, next)])
          assert.deepEqual(merged, { value: next, conflicts: [] })
      }),
    )
  })

  it('are the same whoever is asked first, unless they conflict', () => {
    fc.assert(
      fc.property(value, value, value, (base, one, other) => {
        const [there, back] = [mergeEdits(base, one, other), mergeEdits(base, other, one)]
        assert.deepEqual(there.conflicts.map(({ path }) => path).sort(), back.conflicts.map(({ path }) => path).sort())
        if (there.conflicts.length === 0) assert.deepEqual(there.value, back.value)
      }),
    )
  })
})
