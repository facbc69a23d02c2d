import assert from 'node:assert/strict'
import { RESPONSE_CACHE_LIMITS, ResponseCache, type CachedResponse } from '../../../agent/dns/response-cache.ts'
import { emptyAnswer, RCODE, type Query } from '../../../agent/dns/message.ts'

function kept(bytes: number): CachedResponse {
  const query: Query = {
    id: 1,
    opcode: 0,
    recursive: true,
    checkingDisabled: false,
    name: '',
    type: 1,
    class: 1,
    question: Buffer.alloc(5),
    edns: undefined,
  }
  return {
    answer: { ...emptyAnswer(Buffer.alloc(5), RCODE.NOERROR), bytes: Buffer.alloc(bytes) },
    query,
    limit: 512,
    generation: 1,
    stored: 0,
    expires: 1,
  }
}

describe('answers kept by the bytes of queries', () => {
  it('are so many at most, the oldest going first', () => {
    const answers = new ResponseCache({ entries: 3, bytes: 1_000_000 })
    for (const key of ['a', 'b', 'c', 'a', 'd']) answers.put(key, kept(10))
    assert.deepEqual(
      ['a', 'b', 'c', 'd'].map((key) => answers.get(key) !== undefined),
      [true, false, true, true],
    )
  })

  it('take no more than their share of memory, however large each is', () => {
    const answers = new ResponseCache()
    for (let count = 0; count < 2_000; count++) answers.put(`spelling ${count}`, kept(65_000))
    assert.ok(answers.bytes <= RESPONSE_CACHE_LIMITS.bytes)
    assert.ok(answers.size > 400 && answers.size < 600, String(answers.size))
    for (let count = 0; count < 2_000; count++) answers.put(`spelling ${count}`, kept(10))
    assert.equal(answers.size, 2_000)
    assert.ok(answers.bytes < 2_000_000)
  })
})
