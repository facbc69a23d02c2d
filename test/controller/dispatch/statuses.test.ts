import assert from 'node:assert/strict'
import { mergeStatus } from '../../../controller/dispatch/pod-status-writer.ts'
import type { PodStatus } from '../../../proto/gen/types.ts'

const at = (second: number): string => `2026-01-31T12:00:0${second}.000000Z`

describe('merging an observed status', () => {
  const stored: PodStatus = {
    phase: 'Pending',
    qosClass: 'Burstable',
    conditions: [
      { type: 'PodScheduled', status: 'True' },
      { type: 'Ready', status: 'False' },
    ],
    timeline: [
      { step: 'accepted', time: at(0) },
      { step: 'scheduled', time: at(1) },
    ],
  }

  it('keeps what the control plane wrote and takes what the node saw', () => {
    const merged = mergeStatus(
      stored,
      {
        phase: 'Running',
        podIP: '10.244.0.2',
        conditions: [{ type: 'Ready', status: 'True' }],
        timeline: [{ step: 'started', time: at(3) }],
      },
      at(2),
    )
    assert.deepEqual(merged, {
      phase: 'Running',
      podIP: '10.244.0.2',
      qosClass: 'Burstable',
      conditions: [
        { type: 'PodScheduled', status: 'True' },
        { type: 'Ready', status: 'True' },
      ],
      timeline: [
        { step: 'accepted', time: at(0) },
        { step: 'scheduled', time: at(1) },
        { step: 'assigned', time: at(2) },
        { step: 'started', time: at(3) },
      ],
    })
  })

  it('never moves a step of the timeline', () => {
    const merged = mergeStatus(
      { ...stored, timeline: [{ step: 'started', time: at(1) }] },
      { phase: 'Running', timeline: [{ step: 'started', time: at(5) }] },
      undefined,
    )
    assert.deepEqual(merged?.timeline, [{ step: 'started', time: at(1) }])
  })

  for (const phase of ['Succeeded', 'Failed'] as const) {
    it(`never takes a pod back from ${phase}`, () => {
      assert.equal(mergeStatus({ phase }, { phase: 'Running' }, undefined), undefined)
      assert.equal(mergeStatus({ phase }, { phase, message: 'more' }, undefined)?.message, 'more')
    })
  }
})
