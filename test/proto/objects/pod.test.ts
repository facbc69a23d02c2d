import assert from 'node:assert/strict'
import { parseTime } from '../../../proto/base/time.ts'
import {
  availableIn,
  isActive,
  isBound,
  isReady,
  isTerminal,
  readySince,
  scheduledAt,
} from '../../../proto/objects/pod.ts'
import type { Pod, PodCondition } from '../../../proto/gen/types.ts'
import { pod } from './pods.ts'

const AT = '2026-01-01T00:00:00Z'
const MILLIS = parseTime(AT)
const condition = (type: string, status: PodCondition['status'], lastTransitionTime?: string): Pod['status'] => ({
  conditions: [{ type, status, ...(lastTransitionTime !== undefined && { lastTransitionTime }) }],
})

describe('a pod', () => {
  for (const [phase, deletionTimestamp, terminal, active] of [
    [undefined, undefined, false, true],
    ['Pending', undefined, false, true],
    ['Running', undefined, false, true],
    ['Running', AT, false, false],
    ['Succeeded', undefined, true, false],
    ['Failed', undefined, true, false],
    ['Failed', AT, true, false],
    ['Unknown', undefined, false, true],
  ] as [Pod['status']['phase'], string | undefined, boolean, boolean][]) {
    it(`that is ${phase ?? 'new'}${deletionTimestamp === undefined ? '' : ' and being deleted'}`, () => {
      const it = pod({ metadata: { deletionTimestamp }, status: { phase } })
      assert.deepEqual([isTerminal(it), isActive(it)], [terminal, active])
    })
  }

  it('is bound once it has the name of a node', () => {
    assert.deepEqual(
      [undefined, '', 'n1'].map((nodeName) => isBound(pod({ spec: { nodeName } }))),
      [false, false, true],
    )
  })

  for (const [status, ready, since, available] of [
    [{}, false, undefined, undefined],
    [condition('ContainersReady', 'True', AT), false, undefined, undefined],
    [condition('Ready', 'False', AT), false, undefined, undefined],
    [condition('Ready', 'Unknown', AT), false, undefined, undefined],
    [condition('Ready', 'True', AT), true, MILLIS, 4000],
    [condition('Ready', 'True'), true, undefined, 10_000],
  ] as [Pod['status'], boolean, number | undefined, number | undefined][]) {
    it(`with ${JSON.stringify(status)} is ${ready ? '' : 'not '}ready`, () => {
      const it = pod({ status })
      assert.equal(isReady(it), ready)
      assert.equal(readySince(it), since)
      assert.equal(availableIn(it, 10, MILLIS + 6000), available)
      assert.equal(availableIn(it, 0, MILLIS), ready ? 0 : undefined)
    })
  }

  it('counts as available once it has been ready for long enough', () => {
    assert.equal(availableIn(pod({ status: condition('Ready', 'True', AT) }), 10, MILLIS + 60_000), 0)
  })

  it('came to its node when it was scheduled, or else when it was made', () => {
    const later = '2026-01-01T00:00:10Z'
    const made = { metadata: { creationTimestamp: AT } }
    assert.equal(scheduledAt(pod(made)), MILLIS)
    assert.equal(scheduledAt(pod({ ...made, status: condition('PodScheduled', 'True', later) })), MILLIS + 10_000)
    assert.equal(scheduledAt(pod()), 0)
  })
})
