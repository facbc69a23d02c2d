import assert from 'node:assert/strict'
import { formatRestarts, summarizePod } from '../../../cli/output/pod-status.ts'
import { decodeJson } from '../../../proto/api/codec.ts'
import type { JsonObject, Pod } from '../../../proto/gen/types.ts'

function make(status: JsonObject, more: { init?: number; containers?: number; deleted?: boolean } = {}): Pod {
  const list = (count: number, prefix: string): JsonObject[] => Array.from({ length: count }, (_, index) => ({ name: `${prefix}${index}`, image: 'a' }))
  return decodeJson('Pod', {
    apiVersion: 'v1', kind: 'Pod',
    metadata: { name: 'p', ...(more.deleted === true ? { deletionTimestamp: '2026-01-31T12:00:00Z' } : {}) },
    spec: { containers: list(more.containers ?? 1, 'c'), ...(more.init === undefined ? {} : { initContainers: list(more.init, 'i') }) },
    status,
  })
}

function container(state: JsonObject, more: JsonObject = {}): JsonObject {
  return { name: 'c0', ready: state.running !== undefined, restartCount: 0, image: 'a', imageID: 'b', state, ...more }
}

const RUNNING = { running: { startedAt: '2026-01-31T11:00:00Z' } }
const NOW = Date.UTC(2026, 0, 31, 12)

describe('pod status', () => {
  for (const [expected, pod] of [
    ['Pending', make({})],
    ['Pending', make({ phase: 'Pending' })],
    ['SchedulingGated', make({ phase: 'Pending', conditions: [{ type: 'PodScheduled', status: 'False', reason: 'SchedulingGated' }] })],
    ['ContainerCreating', make({ phase: 'Pending', containerStatuses: [container({ waiting: { reason: 'ContainerCreating' } })] })],
    ['ImagePullBackOff', make({ phase: 'Pending', containerStatuses: [container({ waiting: { reason: 'ImagePullBackOff' } })] })],
    ['Running', make({ phase: 'Running', containerStatuses: [container(RUNNING)] })],
    ['CrashLoopBackOff', make({ phase: 'Running', containerStatuses: [container({ waiting: { reason: 'CrashLoopBackOff' } })] })],
    ['OOMKilled', make({ phase: 'Failed', containerStatuses: [container({ terminated: { exitCode: 137, reason: 'OOMKilled' } })] })],
    ['Completed', make({ phase: 'Succeeded', containerStatuses: [container({ terminated: { exitCode: 0, reason: 'Completed' } })] })],
    ['ExitCode:3', make({ phase: 'Failed', containerStatuses: [container({ terminated: { exitCode: 3 } })] })],
    ['Signal:9', make({ phase: 'Failed', containerStatuses: [container({ terminated: { exitCode: 137, signal: 9 } })] })],
    ['Evicted', make({ phase: 'Failed', reason: 'Evicted' })],
    ['OutOfcpu', make({ phase: 'Failed', reason: 'OutOfcpu', containerStatuses: [container({ waiting: { reason: 'ContainerCreating' } })] })],
    ['DeadlineExceeded', make({ phase: 'Failed', reason: 'DeadlineExceeded', initContainerStatuses: [container({ waiting: { reason: 'PodInitializing' } })], containerStatuses: [container({ waiting: { reason: 'PodInitializing' } })] }, { init: 1 })],
    ['Init:0/2', make({ phase: 'Pending', initContainerStatuses: [container({ waiting: { reason: 'PodInitializing' } }), container({ waiting: { reason: 'PodInitializing' } })] }, { init: 2 })],
    ['Init:1/2', make({ phase: 'Pending', initContainerStatuses: [container({ terminated: { exitCode: 0 } }), container(RUNNING)] }, { init: 2 })],
    ['Init:CrashLoopBackOff', make({ phase: 'Pending', initContainerStatuses: [container({ waiting: { reason: 'CrashLoopBackOff' } })] }, { init: 1 })],
    ['Init:Error', make({ phase: 'Pending', initContainerStatuses: [container({ terminated: { exitCode: 1, reason: 'Error' } })] }, { init: 1 })],
    ['Init:ExitCode:2', make({ phase: 'Pending', initContainerStatuses: [container({ terminated: { exitCode: 2 } })] }, { init: 1 })],
    ['PodInitializing', make({ phase: 'Pending', initContainerStatuses: [container({ terminated: { exitCode: 0 } })], containerStatuses: [container({ waiting: { reason: 'PodInitializing' } })] }, { init: 1 })],
    ['Running', make({ phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }], containerStatuses: [container({ terminated: { exitCode: 0, reason: 'Completed' } }), container(RUNNING)] }, { containers: 2 })],
    ['NotReady', make({ phase: 'Running', containerStatuses: [container({ terminated: { exitCode: 0, reason: 'Completed' } }), container(RUNNING)] }, { containers: 2 })],
    ['Error', make({ phase: 'Running', containerStatuses: [container({ terminated: { exitCode: 1, reason: 'Error' } }), container(RUNNING)] }, { containers: 2 })],
    ['Terminating', make({ phase: 'Running', containerStatuses: [container(RUNNING)] }, { deleted: true })],
    ['Unknown', make({ phase: 'Running', reason: 'NodeLost' }, { deleted: true })],
    ['Completed', make({ phase: 'Succeeded', containerStatuses: [container({ terminated: { exitCode: 0, reason: 'Completed' } })] }, { deleted: true })],
  ] as const) it(`is ${expected} for ${JSON.stringify(pod.status)}`, () => assert.equal(summarizePod(pod).status, expected))

  it('counts what is ready and what was started again, and when', () => {
    const ended = { lastState: { terminated: { exitCode: 1, finishedAt: '2026-01-31T11:50:00Z' } } }
    const summary = summarizePod(make({ phase: 'Running', containerStatuses: [container(RUNNING, { restartCount: 2, ...ended }), container({ waiting: { reason: 'CrashLoopBackOff' } }, { restartCount: 3 })] }, { containers: 2 }))
    assert.deepEqual([summary.ready, summary.containers, formatRestarts(summary, NOW)], [1, 2, '5 (10m ago)'])
    assert.equal(formatRestarts({ ...summary, restarts: 0 }, NOW), '0')
  })
})
