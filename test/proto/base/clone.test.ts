import assert from 'node:assert/strict'
import fc from 'fast-check'
import { clone } from '../../../proto/base/clone.ts'

describe('clone', () => {
  it('is what structuredClone makes of plain data', () => {
    fc.assert(fc.property(fc.jsonValue(), (value) => assert.deepEqual(clone(value), structuredClone(value))))
    assert.deepEqual(clone({ a: undefined, b: [undefined] }), { a: undefined, b: [undefined] })
  })

  it('shares nothing with the original, bytes neither', () => {
    const original = { list: [{ a: 1 }], bytes: Buffer.from('abc') }
    const copy = clone(original)
    original.list[0]!.a = 2
    original.bytes[0] = 0
    assert.deepEqual([copy.list, [...copy.bytes]], [[{ a: 1 }], [97, 98, 99]])
  })

  it('keeps a key that means something else elsewhere', () => {
    const copy = clone(JSON.parse('{"__proto__":{"a":1}}') as object)
    assert.deepEqual([Object.keys(copy), Object.getPrototypeOf(copy)], [['__proto__'], Object.prototype])
  })
})
