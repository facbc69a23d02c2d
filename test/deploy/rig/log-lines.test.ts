import assert from 'node:assert/strict'
import { lastLines, readableLine } from '../../../deploy/rig/log-lines.ts'

const ENTRY = JSON.stringify({
  level: 40,
  time: Date.UTC(2026, 0, 2, 3, 4, 5, 678),
  component: 'session',
  error: { type: 'GantryError', message: 'no answer', stack: 'at …' },
  msg: 'the session ended',
})

describe('lines of a log for people', () => {
  it('tell time, level, text, cause and fields of what is JSON', () => {
    assert.equal(readableLine(ENTRY), '03:04:05.678 warn the session ended component=session error=no answer')
    assert.equal(
      readableLine(
        JSON.stringify({
          level: 30,
          time: '2026-11-24T17:18:12.434Z',
          pid: 8,
          name: 'gantry-controller',
          program: 'nats',
          millis: 35,
          msg: 'program answers',
        }),
      ),
      '17:18:12.434 info program answers program=nats millis=35',
    )
    assert.equal(readableLine(JSON.stringify({ level: 35, time: 0, msg: 'odd' })), '00:00:00.000 35 odd')
  })

  it('leave the rest as it is', () => {
    for (const line of [
      'machine n1: node ended with 1',
      '{"level":30,"ti',
      '{"a":1}',
      '{"level":30,"time":"noon","msg":"x"}',
      '',
    ])
      assert.equal(readableLine(line), line)
  })

  it('are the last ones, empty ones left out', () => {
    assert.deepEqual(lastLines(`cut off\n\na\n${ENTRY}\nb\n`, 2), [
      '03:04:05.678 warn the session ended component=session error=no answer',
      'b',
    ])
  })
})
