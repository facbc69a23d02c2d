import assert from 'node:assert/strict'
import fc from 'fast-check'
import { formatGoal, formatNumber, isReached, percentile, type Goal } from './figures.ts'

describe('figures of the benchmarks', () => {
  it('take the sample that the share of them does not exceed', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer(), { minLength: 1 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (samples, share) => {
          const found = percentile(samples, share)
          assert.ok(samples.includes(found))
          assert.ok(samples.filter((sample) => sample <= found).length >= share * samples.length)
          const less = samples.filter((sample) => sample < found)
          assert.ok(less.length < share * samples.length || less.length === 0)
        },
      ),
    )
  })

  const goals: [goal: Goal | undefined, reached: boolean | undefined, words: string][] = [
    [{ atMost: 2 }, true, '≤ 2'],
    [{ atMost: 1.999 }, false, '≤ 2.00'],
    [{ atLeast: 2 }, true, '≥ 2'],
    [{ atLeast: 2.5 }, false, '≥ 2.50'],
    [{ p99: 9 }, true, 'p99 ≤ 9'],
    [{ atMost: 2, p99: 8.5 }, false, '≤ 2, p99 ≤ 8.50'],
    [undefined, undefined, ''],
  ]
  for (const [goal, reached, words] of goals)
    it(`hold 1, 2 and 9 against ${words === '' ? 'no goal' : words}`, () => {
      const figure = { name: 'f', unit: 's', samples: [9, 1, 2], ...(goal === undefined ? {} : { goal }) }
      assert.equal(isReached(figure), reached)
      if (goal !== undefined) assert.equal(formatGoal(goal), words)
    })

  it('show three digits that count', () => {
    assert.deepEqual([0, 45, 0.256, 12.34, 1234.5].map(formatNumber), ['0', '45', '0.26', '12.3', '1235'])
  })
})
