import assert from 'node:assert/strict'
import fc from 'fast-check'
import { backoffDelay } from '../../../proto/base/backoff.ts'
import { Channel } from '../../../proto/base/channel.ts'
import { randomSuffix, randomUuid, seededRandom, systemRandom } from '../../../proto/base/random.ts'

describe('backoffDelay', () => {
  const options = { first: 100, max: 5000, factor: 2, jitter: 0 }
  it('doubles up to the longest', () => {
    assert.deepEqual(
      [1, 2, 3, 6, 7, 8, 1000].map((failures) => backoffDelay(options, failures, systemRandom)),
      [100, 200, 400, 3200, 5000, 5000, 5000],
    )
  })

  it('stays within its jitter and its longest', () => {
    fc.assert(
      fc.property(fc.nat(40), fc.integer(), fc.double({ min: 0, max: 1, noNaN: true }), (failures, seed, jitter) => {
        const plain = backoffDelay(options, failures, systemRandom)
        const delay = backoffDelay({ ...options, jitter }, failures, seededRandom(seed))
        assert(delay >= plain * (1 - jitter) - 1e-9 && delay <= Math.min(5000, plain * (1 + jitter)) + 1e-9)
      }),
    )
  })
})

describe('random', () => {
  it('repeats itself for a seed, stays within 0 and 1, and spreads', () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const [a, b] = [seededRandom(seed), seededRandom(seed)]
        const values = Array.from({ length: 200 }, () => a.next())
        assert.deepEqual(
          values,
          Array.from({ length: 200 }, () => b.next()),
        )
        assert(values.every((value) => value >= 0 && value < 1))
        const mean = values.reduce((sum, value) => sum + value, 0) / values.length
        assert(mean > 0.3 && mean < 0.7, String(mean))
      }),
    )
    const values = Array.from({ length: 2000 }, () => systemRandom.next())
    assert(values.every((value) => value >= 0 && value < 1))
    assert.equal(new Set(values).size, values.length)
  })

  it('makes the ends of names and UUIDs', () => {
    assert.match(randomSuffix(seededRandom(1)), /^[bcdfghjklmnpqrstvwxz2456789]{5}$/)
    assert.match(randomUuid(seededRandom(1)), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    const random = seededRandom(1)
    assert.equal(new Set(Array.from({ length: 1000 }, () => randomUuid(random))).size, 1000)
  })
})

describe('Channel', () => {
  it('gives what is pushed, in order, also to one who waits, until it is closed', async () => {
    const channel = new Channel<number>()
    channel.push(1)
    const taken = (async () => {
      const items: number[] = []
      for await (const item of channel) items.push(item)
      return items
    })()
    channel.push(2)
    await new Promise(setImmediate)
    channel.push(3)
    channel.close()
    assert.equal(channel.push(4), false)
    assert.deepEqual(await taken, [1, 2, 3])
  })

  it('gives what is there before it fails', async () => {
    const channel = new Channel<number>()
    channel.push(1)
    channel.close(new Error('cut'))
    channel.close()
    const items: number[] = []
    await assert.rejects(async () => {
      for await (const item of channel) items.push(item)
    }, /cut/)
    assert.deepEqual(items, [1])
    assert.equal(channel.length, 0)
  })
})
