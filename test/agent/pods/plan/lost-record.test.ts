/** What a node makes of a pod that it has run and has no record of any more. */
import assert from 'node:assert/strict'
import { caughtUpContainers, hasStarted, recordsFromStatus } from '../../../../agent/pods/plan/lost-record.ts'
import { nextAttempt } from '../../../../agent/pods/plan/pod-state.ts'
import type { ContainerRecord, ContainerStage, Termination } from '../../../../agent/state/contract.ts'
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

/** How a container's record says that it ended. */
function endOf(known: ContainerRecord | undefined): Termination {
  assert.equal(known?.stage.stage, 'ended')
  return (known.stage as Extract<ContainerStage, { stage: 'ended' }>).end
}

describe('a record that was lost', () => {
  it('is of containers that ended: one that was told to run at a time nobody knows, so that its count goes on', () => {
    const { main } = recordsFromStatus(podWith(RUNNING), NOW)
    const { id, exitCode, reason, startedAt, finishedAt } = endOf(main)
    assert.deepEqual([main!.attempt, id, exitCode, reason], [2, 'abc', 137, 'ContainerStatusUnknown'])
    assert.deepEqual([startedAt, finishedAt], [Date.parse(BEGUN), NOW])
    assert.equal(nextAttempt(main!), 3)
  })

  it('has the end that was told of one that waits to be started again', () => {
    const { main } = recordsFromStatus(podWith(CRASHED), NOW)
    assert.deepEqual([main!.attempt, endOf(main).exitCode, endOf(main).finishedAt], [3, 1, Date.parse(ENDED)])
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
    assert.deepEqual([setup!.attempt, setup!.stage.stage, setup!.last?.exitCode], [1, 'idle', 0])
  })

  it('that is older than what was told catches up, but for what is there or about to be', () => {
    const pod = podWith(RUNNING)
    const none = { containers: {} }
    assert.equal(
      caughtUpContainers(none, pod, NOW, () => true),
      none.containers,
    )
    const containers = caughtUpContainers(none, pod, NOW, () => false)
    assert.equal(endOf(containers.main).attempt, 2)
    // Told again, or of an earlier instance, nothing changes.
    assert.equal(
      caughtUpContainers({ containers }, pod, NOW, () => false),
      containers,
    )
    const later = { main: { ...containers.main!, attempt: 5 } }
    assert.equal(
      caughtUpContainers({ containers: later }, pod, NOW, () => false),
      later,
    )
    const instance = { id: 'def', attempt: 0, stopSignal: '' }
    const creating = { main: { attempt: 0, failures: 0, stage: { stage: 'creating' as const, instance } } }
    assert.equal(
      caughtUpContainers({ containers: creating }, pod, NOW, () => false),
      creating,
    )
  })
})
