import assert from 'node:assert/strict'
import type { Image } from '../../../../agent/images/contract.ts'
import type { Change } from '../../../../agent/pods/plan/changes.ts'
import { applyChange } from '../../../../agent/pods/plan/pod-changes.ts'
import { containerRecord, newRecord, type PodState } from '../../../../agent/pods/plan/pod-state.ts'
import { adoptionChanges } from '../../../../agent/pods/plan/recovery.ts'
import type { ContainerStage, ExitedState, Kill, PodRecord, RunningStage } from '../../../../agent/state/contract.ts'
import { makeContainer, makePod } from '../../fakes.ts'

const T = 1_000_000
const IMAGE: Image = {
  reference: 'docker.io/library/app:latest',
  digest: 'sha256:d',
  id: 'sha256:i',
  size: 1,
  config: { env: [], entrypoint: [], cmd: [], workingDir: '', user: '', stopSignal: '', volumes: [], labels: {} },
}
const INSTANCE = { id: 'c1', attempt: 0, stopSignal: '' }
const RUNNING: RunningStage = { stage: 'running', instance: INSTANCE, pid: 7, startedAt: T }
const KILL: Kill = { reason: 'stop', since: T, deadline: T + 30_000, sent: 'TERM' }
const EXIT: ExitedState = {
  state: 'exited',
  exitCode: 1,
  signal: undefined,
  oomKilled: false,
  startedAt: T,
  finishedAt: T + 1,
}

function termination(id = 'c1', exitCode = 1): Extract<Change, { change: 'ended' }>['end'] {
  return { id, attempt: 0, exitCode, reason: 'Error', message: '', startedAt: T, finishedAt: T + 1, startFailed: false }
}

function stateOf(record: PodRecord): PodState {
  return {
    record,
    preparedContainers: new Map(),
    volumesVersion: undefined,
    configVersion: 'v1',
    failures: new Map(),
    busy: new Set(),
  }
}

/** A pod of one container at this stage. */
function at(stage: ContainerStage, fields: Partial<PodRecord> = {}): PodState {
  return stateOf({
    ...newRecord(makePod('web'), T),
    containers: { main: { attempt: 0, failures: 0, stage } },
    ...fields,
  })
}

function stageAfter(state: PodState, ...changes: Change[]): ContainerStage {
  return containerRecord(changes.reduce(applyChange, state).record, 'main').stage
}

const deleted = makePod('web', {}, { deletionTimestamp: '2026-01-01T00:00:00Z', deletionGracePeriodSeconds: 30 })

describe('changes of a container', () => {
  const exited: ContainerStage = { stage: 'exited', instance: INSTANCE, exit: EXIT }
  const running = { change: 'running', id: 'c1', pid: 7, startedAt: T, at: T } as const
  const unhealthy = { change: 'unhealthy', id: 'c1', why: 'failed', graceSeconds: undefined, at: T } as const
  const table: [string, ContainerStage, Change[], ContainerStage][] = [
    [
      'is created',
      { stage: 'creating', instance: INSTANCE },
      [{ change: 'created', id: 'c1', at: T }],
      { stage: 'created', instance: INSTANCE },
    ],
    ['runs', { stage: 'created', instance: INSTANCE }, [running], RUNNING],
    ['runs though it was not told that it was created', { stage: 'creating', instance: INSTANCE }, [running], RUNNING],
    [
      'an end that is told before the start stands',
      { stage: 'creating', instance: INSTANCE },
      [{ change: 'exited', id: 'c1', exit: EXIT }, running],
      exited,
    ],
    [
      'an end that is told twice is one',
      exited,
      [{ change: 'exited', id: 'c1', exit: { ...EXIT, exitCode: 9 } }],
      exited,
    ],
    [
      'ends, and the next start waits for nothing after the first time',
      exited,
      [{ change: 'ended', end: termination(), at: T }],
      { stage: 'ended', end: termination(), retryAt: T },
    ],
    [
      'is ended because it changed: no back-off',
      { ...RUNNING, kill: { ...KILL, reason: 'changed' } },
      [{ change: 'ended', end: termination(), at: T }],
      { stage: 'idle' },
    ],
    [
      'is ended for its health: that is noted',
      { ...RUNNING, kill: { ...KILL, reason: 'unhealthy' } },
      [{ change: 'ended', end: termination(), at: T }],
      { stage: 'ended', end: { ...termination(), unhealthy: true }, retryAt: T },
    ],
    [
      'what is told of an instance that is gone changes nothing',
      RUNNING,
      [
        { change: 'ended', end: termination('c0'), at: T },
        { change: 'readiness', id: 'c0', ready: true },
        { change: 'abandoned', id: 'c0' },
      ],
      RUNNING,
    ],
    [
      'has at least 2 s to end for its health',
      RUNNING,
      [{ ...unhealthy, graceSeconds: 0 }],
      { ...RUNNING, kill: { reason: 'unhealthy', since: T, deadline: T + 2000, sent: 'NOTHING' } },
    ],
    ['is not ended twice', { ...RUNNING, kill: KILL }, [unhealthy], { ...RUNNING, kill: KILL }],
    [
      'what its hook has put on record stays',
      { ...RUNNING, kill: { ...KILL, preStop: 'ended' } },
      [{ change: 'kill', id: 'c1', kill: { ...KILL, sent: 'KILL' } }],
      { ...RUNNING, kill: { ...KILL, sent: 'KILL', preStop: 'ended' } },
    ],
    [
      'is killed again by an agent that does not know whether it was',
      { ...RUNNING, kill: { ...KILL, sent: 'KILL' } },
      [{ change: 'adopted', id: 'c1', pid: 7, startedAt: T }],
      { ...RUNNING, kill: KILL },
    ],
    [
      'its waits move with the clock',
      { stage: 'ended', end: termination(), retryAt: T },
      [{ change: 'clockJumped', by: -500 }],
      { stage: 'ended', end: termination(), retryAt: T - 500 },
    ],
  ]
  for (const [title, stage, changes, expected] of table)
    it(title, () => assert.deepEqual(stageAfter(at(stage), ...changes), expected))

  it('of a pod that stops does not end a container for its health', () => {
    const stopping = at(RUNNING, { pod: deleted, stage: { stage: 'stopping', since: T } })
    assert.deepEqual(stageAfter(stopping, unhealthy), RUNNING)
  })

  it('take what is prepared, and leave its end to be found', () => {
    const before = applyChange(at({ stage: 'ended', end: termination('c0'), retryAt: T }), {
      change: 'prepared',
      container: 'main',
      prepared: { id: 'c1', image: IMAGE, rootfs: '/c1' },
      at: T,
    })
    const image = { name: 'app', reference: IMAGE.reference, digest: IMAGE.digest }
    const after = applyChange(before, {
      change: 'creating',
      container: 'main',
      instance: INSTANCE,
      image,
      resources: {},
    })
    assert.equal(after.preparedContainers.size, 0)
    assert.deepEqual(after.record.containers.main!.last, termination('c0'))
    const undone = applyChange(after, { change: 'abandoned', id: 'c1' })
    assert.deepEqual(undone.record.containers.main!.stage, { stage: 'idle' })
    assert.deepEqual(undone.record.dead, ['c1'])
  })
})

describe('changes of a pod', () => {
  const prepared = { id: 'c1', image: IMAGE, rootfs: '/c1' }
  const ready: PodState = { ...at({ stage: 'idle' }), preparedContainers: new Map([['main', prepared]]) }

  it('give up what was prepared once it stops, but for a start under way', () => {
    const change: Change = { change: 'assigned', pod: deleted, at: T }
    assert.deepEqual(applyChange(ready, change).record.dead, ['c1'])
    const busy = applyChange({ ...ready, busy: new Set(['start/main']) }, change)
    assert.deepEqual([busy.record.dead, busy.preparedContainers.size], [[], 1])
    assert.deepEqual(applyChange(busy, { change: 'unprepared', container: 'main' }).record.dead, ['c1'])
  })

  it('give up what was prepared and forget failures with another image', () => {
    const failed = applyChange(ready, {
      change: 'stepFailed',
      key: 'pull/main',
      failure: { reason: 'ErrImagePull', message: '', count: 3, retryAt: T },
    })
    const pod = makePod('web', { containers: [makeContainer('main', { image: 'other' })] })
    const after = applyChange(failed, { change: 'assigned', pod, at: T })
    assert.deepEqual([after.failures.size, after.preparedContainers.size, after.record.dead], [0, 0, ['c1']])
  })

  it('let a pod go on that is given back, also while it is torn down', () => {
    const away = applyChange(ready, { change: 'unassigned', at: T + 1 })
    assert.deepEqual(away.record.stage, { stage: 'stopping', since: T + 1 })
    const back = applyChange(away, { change: 'assigned', pod: makePod('web'), at: T + 2 })
    assert.equal(back.record.stage.stage, 'active')
    assert.equal(applyChange(back, { change: 'tornDown' }).record.stage.stage, 'active')
    assert.equal(applyChange(away, { change: 'tornDown' }).record.stage.stage, 'tornDown')
  })

  it('begin with the init containers again when the sandbox is lost', () => {
    const pod = makePod('web', { initContainers: [makeContainer('init')] })
    const init = { attempt: 0, failures: 0, stage: { stage: 'ended' as const, end: termination('c0', 0), retryAt: 0 } }
    const state = at(RUNNING, { pod, sandbox: {} })
    const { record } = state
    const lost = applyChange(
      { ...state, record: { ...record, containers: { ...record.containers, init } } },
      { change: 'sandboxLost' },
    )
    assert.deepEqual([lost.record.containers.init!.stage.stage, lost.record.containers.init!.attempt], ['idle', 1])
  })

  it('make sidecars that are lost with their sandbox start in turn again', () => {
    const names = ['log', 'mesh']
    const pod = makePod('web', {
      initContainers: names.map((name) => makeContainer(name, { restartPolicy: 'Always' })),
    })
    const containers = Object.fromEntries(
      names.map((name) => {
        const stage = { ...RUNNING, instance: { ...INSTANCE, id: name } }
        return [name, { attempt: 0, failures: 0, passed: true, stage }]
      }),
    )
    const record: PodRecord = { ...newRecord(pod, T), sandbox: {}, containers }
    const changes = adoptionChanges(record, new Map(), false, T)
    const after = changes.reduce(applyChange, stateOf(record))
    assert.deepEqual(
      names.map((name) => [after.record.containers[name]!.stage.stage, after.record.containers[name]!.passed]),
      names.map(() => ['ended', undefined]),
    )
  })
})
