import assert from 'node:assert/strict'
import fc from 'fast-check'
import {
  findCondition,
  isConditionTrue,
  sameCondition,
  transitionTime,
  withCondition,
  withConditions,
  withoutCondition,
  type ConditionLike,
} from '../../../proto/objects/conditions.ts'

const EARLIER = '2026-01-01T00:00:00Z'
const NOW = '2026-01-01T00:01:00Z'

const ready = (fields: Partial<ConditionLike> = {}): ConditionLike => ({
  type: 'Ready',
  status: 'True',
  lastTransitionTime: EARLIER,
  ...fields,
})
const other: ConditionLike = { type: 'Other', status: 'False', lastTransitionTime: EARLIER }

describe('conditions', () => {
  for (const [what, before, set, after] of [
    ['a first one is added', undefined, ready({ lastTransitionTime: NOW }), [ready({ lastTransitionTime: NOW })]],
    [
      'a changed status has a new time, and stays in its place',
      [ready(), other],
      ready({ status: 'False', lastTransitionTime: NOW }),
      [ready({ status: 'False', lastTransitionTime: NOW }), other],
    ],
    [
      'a changed reason keeps the time',
      [other, ready({ reason: 'A' })],
      ready({ reason: 'B', lastTransitionTime: NOW }),
      [other, ready({ reason: 'B' })],
    ],
    ['a change of nothing but the time is none', [ready()], ready({ lastTransitionTime: NOW }), [ready()]],
    [
      'one without a time gets one',
      [ready({ lastTransitionTime: undefined })],
      ready({ reason: 'A', lastTransitionTime: NOW }),
      [ready({ reason: 'A', lastTransitionTime: NOW })],
    ],
  ] as [string, ConditionLike[] | undefined, ConditionLike, ConditionLike[]][]) {
    it(`are set: ${what}`, () => assert.deepEqual(withCondition(before, set), after))
  }

  it('are written anew where that is asked for, with the time of their status', () => {
    const beat = (lastHeartbeatTime: string): ConditionLike & { lastHeartbeatTime: string } => ({
      type: 'Ready',
      status: 'True',
      lastTransitionTime: lastHeartbeatTime,
      lastHeartbeatTime,
    })
    const before = [beat(EARLIER)]
    const expected = [{ ...beat(NOW), lastTransitionTime: EARLIER }]
    assert.deepEqual(withCondition(before, beat(NOW)), before)
    assert.deepEqual(withCondition(before, beat(NOW), { renew: true }), expected)
    assert.deepEqual(withConditions(before, [beat(NOW)]), expected)
  })

  it('are found, true, and taken out by their type', () => {
    assert.equal(findCondition([other, ready()], 'Ready')?.status, 'True')
    assert.equal(findCondition(undefined, 'Ready'), undefined)
    assert.deepEqual(
      [[ready()], [ready({ status: 'Unknown' })], [other], undefined].map((list) => isConditionTrue(list, 'Ready')),
      [true, false, false, false],
    )
    assert.deepEqual(withoutCondition([other, ready()], 'Ready'), [other])
  })

  it('came to a status when they last changed it', () => {
    assert.equal(transitionTime(undefined, 'True', NOW), NOW)
    assert.equal(transitionTime(ready(), 'True', NOW), EARLIER)
    assert.equal(transitionTime(ready(), 'False', NOW), NOW)
  })

  const condition = fc.record<ConditionLike>(
    {
      type: fc.constantFrom('Ready', 'Initialized', 'PodScheduled'),
      status: fc.constantFrom('True', 'False', 'Unknown'),
      reason: fc.constantFrom('A', 'B'),
      lastTransitionTime: fc.constantFrom(EARLIER, NOW),
    },
    { noNullPrototype: true },
  )
  const list = fc.uniqueArray(condition, { selector: ({ type }) => type })

  it('of each type there is one, whatever is set, and setting it again changes nothing', () => {
    fc.assert(
      fc.property(list, condition, fc.boolean(), (before, set, renew) => {
        const after = withCondition(before, set, { renew })
        assert.equal(new Set(after.map(({ type }) => type)).size, after.length)
        assert.ok(sameCondition(findCondition(after, set.type)!, set))
        assert.deepEqual(withCondition(after, set, { renew }), after)
        assert.deepEqual(withoutCondition(after, set.type), withoutCondition(before, set.type))
      }),
    )
  })

  it('keep their time exactly as long as their status', () => {
    fc.assert(
      fc.property(list, condition, (before, set) => {
        const known = findCondition(before, set.type)
        const { lastTransitionTime } = findCondition(withCondition(before, set, { renew: true }), set.type)!
        assert.equal(
          lastTransitionTime,
          known?.status === set.status ? known.lastTransitionTime : set.lastTransitionTime,
        )
      }),
    )
  })
})
