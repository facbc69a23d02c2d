/** What a node makes of a pod that it has run and has no record of any more. */
import assert from 'node:assert/strict'
import { catchUpWithStatus, hasStarted, recordsFromStatus } from '../../../../agent/pods/plan/lost-record.ts'
import { newRecord } from '../../../../agent/pods/plan/pod-state.ts'
import type { ContainerStatus, Pod } from '../../../../proto/gen/types.ts'
import { makePod } from '../../fakes.ts'

const NOW = Date.UTC(2026, 0, 1)
const BEGUN = '2025-12-31T23:00:00Z'
const ENDED = '2025-12-31T23:30:00Z'

function told(status: Partial<ContainerStatus>): ContainerStatus {
  return { name: 'main', image: 'app', imageID: '', ready: false, restartCount: 0, ...status } as ContainerStatus
}

function podWith(...containerStatuses: ContainerStatus[]): Pod {
  return { ...makePod('web'), status: { containerStatuses } }
}

const RUNNING = told({ state: { running: { startedAt: BEGUN } }, restartCount: 2, containerID: 'crun://abc' })
const CRASHED = told({
  state: { waiting: { reason: 'CrashLoopBackOff' } },
  lastState: {
    terminated: { exitCode: 1, reason: 'Error', startedAt: BEGUN, finishedAt: ENDED, containerID: 'crun://abc' },
  },
  restartCount: 3,
})

describe('a record that was lost', () => {
  it('is of containers that ended: one that was told to run at a time nobody knows, so that its count goes on', () => {
    const { main } = recordsFromStatus(podWith(RUNNING), NOW)
    assert.deepEqual(
      [main!.attempt, main!.ended?.id, main!.ended?.exitCode, main!.ended?.reason, main!.ended?.finishedAt],
      [2, 'abc', 137, 'ContainerStatusUnknown', NOW],
    )
    assert.equal(main!.ended?.startedAt, Date.parse(BEGUN))
  })

  it('has the end that was told of one that waits to be started again', () => {
    const { main } = recordsFromStatus(podWith(CRASHED), NOW)
    assert.deepEqual([main!.attempt, main!.ended?.exitCode, main!.ended?.finishedAt], [3, 1, Date.parse(ENDED)])
  })

  it('is empty of what never ran', () => {
    const waiting = podWith(told({ state: { waiting: { reason: 'ContainerCreating' } } }))
    assert.deepEqual(recordsFromStatus(waiting, NOW), {})
    assert.equal(hasStarted(waiting), false)
    assert.equal(hasStarted(podWith(RUNNING)), true)
  })

  it('begins with init containers again, as their next instance', () => {
    const pod = makePod('web')
    const init = told({ name: 'setup', state: { terminated: { exitCode: 0, startedAt: BEGUN, finishedAt: ENDED } } })
    const { setup } = recordsFromStatus({ ...pod, status: { initContainerStatuses: [init] } }, NOW)
    assert.deepEqual([setup!.attempt, setup!.ended, setup!.last?.exitCode], [1, undefined, 0])
  })

  it('that is older than what was told catches up, but for what is there or about to be', () => {
    const pod = podWith(RUNNING)
    const record = newRecord(pod, NOW)
    assert.equal(
      catchUpWithStatus(record, pod, NOW, () => true),
      false,
    )
    assert.equal(
      catchUpWithStatus(record, pod, NOW, () => false),
      true,
    )
    assert.equal(record.containers.main?.ended?.attempt, 2)
    // Told again, or of an earlier instance, nothing changes.
    assert.equal(
      catchUpWithStatus(record, pod, NOW, () => false),
      false,
    )
    record.containers.main!.ended = { ...record.containers.main!.ended!, attempt: 5 }
    assert.equal(
      catchUpWithStatus(record, pod, NOW, () => false),
      false,
    )
  })
})
