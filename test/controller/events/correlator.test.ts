import assert from 'node:assert/strict'
import { FakeClock } from '../../../proto/base/clock.ts'
import { seededRandom } from '../../../proto/base/random.ts'
import { EventCorrelator } from '../../../controller/events/correlator.ts'

describe('event correlator', () => {
  it('remembers thousands of events, and forgets those first that were seen longest ago', () => {
    const correlator = new EventCorrelator({ clock: new FakeClock(), random: seededRandom(1) })
    const countOf = (message: string): number | undefined =>
      correlator.take({
        regarding: { kind: 'Pod', metadata: { name: 'web', namespace: 'team', uid: 'u' } },
        type: 'Normal',
        reason: 'Started',
        message,
        component: 'agent',
      }).count
    for (let index = 0; index < 4_096; index++) countOf(`${index}`)
    assert.equal(countOf('0'), 2, 'the first is known as long as there is room')
    assert.equal(countOf('one more'), 1)
    assert.deepEqual([countOf('0'), countOf('4095'), countOf('1000')], [3, 2, 2])
    assert.equal(countOf('1'), 1, 'the one seen longest ago is a new one')
  })
})
