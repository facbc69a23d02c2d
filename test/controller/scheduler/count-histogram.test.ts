import assert from 'node:assert/strict'
import fc from 'fast-check'
import { CountHistogram } from '../../../controller/scheduler/plugins/count-histogram.ts'

describe('count histogram', () => {
  it('knows the smallest and the largest of numbers that come, change and go', () => {
    const step = fc.record({
      what: fc.constantFrom('add', 'remove', 'move'),
      index: fc.nat(),
      count: fc.oneof(fc.nat({ max: 5 }), fc.nat({ max: 5000 })),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const histogram = new CountHistogram()
        const numbers: number[] = []
        for (const { what, index, count } of steps) {
          const at = index % Math.max(1, numbers.length)
          if (what === 'add' || numbers.length === 0) {
            histogram.add(count)
            numbers.push(count)
          } else if (what === 'remove') histogram.remove(numbers.splice(at, 1)[0]!)
          else {
            histogram.move(numbers[at]!, count)
            numbers[at] = count
          }
          const all = numbers.length === 0 ? [0] : numbers
          assert.deepEqual(
            [histogram.size, histogram.least, histogram.most],
            [numbers.length, Math.min(...all), Math.max(...all)],
          )
        }
      }),
    )
  })
})
