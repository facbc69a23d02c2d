import assert from 'node:assert/strict'
import { netemQueue } from '../../../../deploy/rig/faults/netem.ts'

describe('netemQueue', () => {
  it('says delay, jitter, reordering and rate as tc-netem(8) takes them', () => {
    assert.equal(netemQueue({ by: 100 }), 'netem limit 100000 delay 100ms')
    assert.equal(netemQueue({ by: 100, jitter: 20, reorder: 0.25 }), 'netem limit 100000 delay 100ms 20ms reorder 25%')
    assert.equal(netemQueue({ rate: 125_000 }), 'netem limit 100000 rate 1000000bit')
  })
})
