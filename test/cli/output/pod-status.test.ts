import assert from 'node:assert/strict'
import { formatRestarts, podStatusSince, summarizePod } from '../../../proto/objects/columns/pod-status.ts'
import { decodeJson } from '../../../proto/codec/codec.ts'
import type { JsonObject, Pod } from '../../../proto/gen/types.ts'

function make(status: JsonObject, more: { init?: number; containers?: number; deleted?: boolean } = {}): Pod {
  const list = (count: number, prefix: string): JsonObject[] =>
    Array.from({ length: count }, (_, index) => ({ name: `${prefix}${index}`, image: 'a' }))
  return decodeJson('Pod', {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', ...(more.deleted === true ? { deletionTimestamp: '2026-01-31T12:00:00Z' } : {}) },
    spec: {
      containers: list(more.containers ?? 1, 'c'),
      ...(more.init === undefined ? {} : { initContainers: list(more.init, 'i') }),
    },
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
    [
      'SchedulingGated',
      make({ phase: 'Pending', conditions: [{ type: 'PodScheduled', status: 'False', reason: 'SchedulingGated' }] }),
    ],
    [
      'ContainerCreating',
      make({ phase: 'Pending', containerStatuses: [container({ waiting: { reason: 'ContainerCreating' } })] }),
    ],
    [
      'ImagePullBackOff',
      make({ phase: 'Pending', containerStatuses: [container({ waiting: { reason: 'ImagePullBackOff' } })] }),
    ],
    ['Running', make({ phase: 'Running', containerStatuses: [container(RUNNING)] })],
    [
      'CrashLoopBackOff',
      make({ phase: 'Running', containerStatuses: [container({ waiting: { reason: 'CrashLoopBackOff' } })] }),
    ],
    [
      'OOMKilled',
      make({ phase: 'Failed', containerStatuses: [container({ terminated: { exitCode: 137, reason: 'OOMKilled' } })] }),
    ],
    [
      'Completed',
      make({
        phase: 'Succeeded',
        containerStatuses: [container({ terminated: { exitCode: 0, reason: 'Completed' } })],
      }),
    ],
    ['ExitCode:3', make({ phase: 'Failed', containerStatuses: [container({ terminated: { exitCode: 3 } })] })],
    [
      'Signal:9',
      make({ phase: 'Failed', containerStatuses: [container({ terminated: { exitCode: 137, signal: 9 } })] }),
    ],
    ['Evicted', make({ phase: 'Failed', reason: 'Evicted' })],
    [
      'OutOfcpu',
      make({
        phase: 'Failed',
        reason: 'OutOfcpu',
        containerStatuses: [container({ waiting: { reason: 'ContainerCreating' } })],
      }),
    ],
    [
      'DeadlineExceeded',
      make(
        {
          phase: 'Failed',
          reason: 'DeadlineExceeded',
          initContainerStatuses: [container({ waiting: { reason: 'PodInitializing' } })],
          containerStatuses: [container({ waiting: { reason: 'PodInitializing' } })],
        },
        { init: 1 },
      ),
    ],
    [
      'Init:0/2',
      make(
        {
          phase: 'Pending',
          initContainerStatuses: [
            container({ waiting: { reason: 'PodInitializing' } }),
            container({ waiting: { reason: 'PodInitializing' } }),
          ],
        },
        { init: 2 },
      ),
    ],
    [
      'Init:1/2',
      make(
        { phase: 'Pending', initContainerStatuses: [container({ terminated: { exitCode: 0 } }), container(RUNNING)] },
        { init: 2 },
      ),
    ],
    [
      'Init:CrashLoopBackOff',
      make(
        { phase: 'Pending', initContainerStatuses: [container({ waiting: { reason: 'CrashLoopBackOff' } })] },
        { init: 1 },
      ),
    ],
    [
      'Init:Error',
      make(
        { phase: 'Pending', initContainerStatuses: [container({ terminated: { exitCode: 1, reason: 'Error' } })] },
        { init: 1 },
      ),
    ],
    [
      'Init:ExitCode:2',
      make({ phase: 'Pending', initContainerStatuses: [container({ terminated: { exitCode: 2 } })] }, { init: 1 }),
    ],
    [
      'PodInitializing',
      make(
        {
          phase: 'Pending',
          initContainerStatuses: [container({ terminated: { exitCode: 0 } })],
          containerStatuses: [container({ waiting: { reason: 'PodInitializing' } })],
        },
        { init: 1 },
      ),
    ],
    [
      'Running',
      make(
        {
          phase: 'Running',
          conditions: [{ type: 'Ready', status: 'True' }],
          containerStatuses: [container({ terminated: { exitCode: 0, reason: 'Completed' } }), container(RUNNING)],
        },
        { containers: 2 },
      ),
    ],
    [
      'NotReady',
      make(
        {
          phase: 'Running',
          containerStatuses: [container({ terminated: { exitCode: 0, reason: 'Completed' } }), container(RUNNING)],
        },
        { containers: 2 },
      ),
    ],
    [
      'Error',
      make(
        {
          phase: 'Running',
          containerStatuses: [container({ terminated: { exitCode: 1, reason: 'Error' } }), container(RUNNING)],
        },
        { containers: 2 },
      ),
    ],
    ['Terminating', make({ phase: 'Running', containerStatuses: [container(RUNNING)] }, { deleted: true })],
    ['Unknown', make({ phase: 'Running', reason: 'NodeLost' }, { deleted: true })],
    ['Unknown', make({ phase: 'Running', reason: 'NodeLost', containerStatuses: [container(RUNNING)] })],
    [
      'Unknown',
      make({
        phase: 'Running',
        reason: 'NodeLost',
        containerStatuses: [container({ waiting: { reason: 'CrashLoopBackOff' } })],
      }),
    ],
    [
      'Completed',
      make(
        { phase: 'Succeeded', containerStatuses: [container({ terminated: { exitCode: 0, reason: 'Completed' } })] },
        { deleted: true },
      ),
    ],
  ] as const)
    it(`is ${expected} for ${JSON.stringify(pod.status)}`, () => assert.equal(summarizePod(pod).status, expected))

  it('counts what is ready and what was started again, and when', () => {
    const ended = { lastState: { terminated: { exitCode: 1, finishedAt: '2026-01-31T11:50:00Z' } } }
    const summary = summarizePod(
      make(
        {
          phase: 'Running',
          containerStatuses: [
            container(RUNNING, { restartCount: 2, ...ended }),
            container({ waiting: { reason: 'CrashLoopBackOff' } }, { restartCount: 3 }),
          ],
        },
        { containers: 2 },
      ),
    )
    assert.deepEqual([summary.ready, summary.containers, formatRestarts(summary, NOW)], [1, 2, '5 (10m ago)'])
    assert.equal(formatRestarts({ ...summary, restarts: 0 }, NOW), '0')
  })

  it('counts sidecars with the containers, and waits only for their start', () => {
    const pod = make(
      {
        phase: 'Running',
        conditions: [
          { type: 'Initialized', status: 'True' },
          { type: 'Ready', status: 'True' },
        ],
        initContainerStatuses: [container(RUNNING, { name: 'i0', started: true, restartCount: 4 })],
        containerStatuses: [container(RUNNING)],
      },
      { init: 1 },
    )
    pod.spec.initContainers![0]!.restartPolicy = 'Always'
    const { status, ready, containers, restarts } = summarizePod(pod)
    assert.deepEqual([status, ready, containers, restarts], ['Running', 2, 2, 4])
    const starting = make(
      {
        phase: 'Pending',
        initContainerStatuses: [container(RUNNING, { name: 'i0', started: false })],
        containerStatuses: [container({ waiting: { reason: 'PodInitializing' } })],
      },
      { init: 1 },
    )
    starting.spec.initContainers![0]!.restartPolicy = 'Always'
    assert.equal(summarizePod(starting).status, 'Init:0/1')
  })

  it('counts nothing as ready whose node is not heard from', () => {
    const of = (status: string): number =>
      summarizePod(
        make({ phase: 'Running', conditions: [{ type: 'Ready', status }], containerStatuses: [container(RUNNING)] }),
      ).ready
    assert.deepEqual([of('True'), of('Unknown')], [1, 0])
  })

  it('tells since when it is unknown, and of nothing else since when', () => {
    const lost = make({
      phase: 'Running',
      reason: 'NodeLost',
      conditions: [{ type: 'Ready', status: 'Unknown', lastTransitionTime: '2026-01-31T11:03:07Z' }],
      containerStatuses: [container(RUNNING)],
    })
    assert.equal(podStatusSince(lost, NOW), 'Unknown since 11:03:07')
    assert.equal(podStatusSince(lost, NOW + 24 * 3_600_000), 'Unknown since 2026-01-31 11:03:07')
    assert.equal(podStatusSince(make({ phase: 'Running', containerStatuses: [container(RUNNING)] }), NOW), 'Running')
  })
})
