import assert from 'node:assert/strict'
import { lazyRecord } from '../../../proto/schema/lazy-record.ts'

describe('a record that is parsed when it is looked at', () => {
  const lines = 'a {"n":1}\nb ["x y",2]\nc null'

  it('has names and values as any record', () => {
    const record = lazyRecord<unknown>(lines)
    assert.deepEqual(Object.keys(record), ['a', 'b', 'c'])
    assert.deepEqual({ ...record }, { a: { n: 1 }, b: ['x y', 2], c: null })
    assert.deepEqual(['a' in record, 'd' in record, 'constructor' in record], [true, false, false])
    assert.equal(record.d, undefined)
  })

  it('parses each value once, and only those that are asked for', () => {
    const record = lazyRecord<object>(`${lines}\nbroken {`)
    assert.equal(record.a, record.a)
    assert.throws(() => record.broken, SyntaxError)
  })
})
