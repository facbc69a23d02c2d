import assert from 'node:assert/strict'
import fc from 'fast-check'
import { changeSubject, eventFilter, eventSubject, subjectToken } from '../../../controller/events/subjects.ts'

describe('subjects', () => {
  it('keep names that have dots and odd characters in one token', () => {
    assert.equal(eventSubject('default', 'Pod', 'web.v1'), 'gantry.events.default.Pod.web%2Ev1')
    assert.equal(changeSubject('nodes', '', 'n1'), 'gantry.changes.nodes.-.n1')
    assert.equal(eventFilter({ kind: 'Pod' }), 'gantry.events.*.Pod.*')
    assert.equal(eventFilter({ namespace: 'a', kind: '', name: '*' }), 'gantry.events.a.*.%2A')
  })

  it('stay short enough for a line of NATS, whatever a client calls an object', () => {
    for (const unit of ['x', '.', '\u{ffff}', '\u{1f600}']) {
      for (const length of [253, 334, 1_000, 1_001, 100_000]) {
        const long = unit.repeat(length)
        const subject = eventSubject(long, long, long)
        assert.ok(subject.length < 3_100, `${length} times ${unit}: ${subject.length} characters`)
        assert.notEqual(subjectToken(long), subjectToken(long + unit))
        assert.equal(eventFilter({ name: long }), `gantry.events.*.*.${subjectToken(long)}`)
      }
    }
  })

  it('are single tokens that no two texts share', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }), (a, b) => {
        assert.match(subjectToken(a), /^[A-Za-z0-9_%-]+$/)
        assert.equal(subjectToken(a) === subjectToken(b), Buffer.from(a).equals(Buffer.from(b)))
      }),
    )
  })
})
