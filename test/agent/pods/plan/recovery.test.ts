import assert from 'node:assert/strict'
import { newRecord } from '../../../../agent/pods/plan/pod-state.ts'
import { adoptionChanges, recoveredRecord } from '../../../../agent/pods/plan/recovery.ts'
import type { ContainerState } from '../../../../agent/runtime/contract.ts'
import type { ContainerStage, PodRecord, RunningStage } from '../../../../agent/state/contract.ts'
import { makePod } from '../../fakes.ts'

const T = 1_000_000
const INSTANCE = { id: 'c1', attempt: 0, stopSignal: '' }
const RUNNING: RunningStage = { stage: 'running', instance: INSTANCE, pid: 1, startedAt: T }
const EXIT = {
  state: 'exited' as const,
  exitCode: 1,
  signal: undefined,
  oomKilled: false,
  startedAt: T,
  finishedAt: T + 1,
}
const of = (stage: ContainerStage, fields: Partial<PodRecord> = {}): PodRecord => ({
  ...newRecord(makePod('web'), T),
  containers: { main: { attempt: 0, failures: 3, stage } },
  ...fields,
})
const END = {
  id: 'c0',
  attempt: 0,
  exitCode: 1,
  reason: 'Error',
  message: '',
  startedAt: T,
  finishedAt: T,
  startFailed: false,
}

describe('what an earlier run of the agent has left', () => {
  it('waits no longer than from now, though the clock was set back', () => {
    const waiting = recoveredRecord(of({ stage: 'ended', end: END, retryAt: T + 60_000 }), T)
    assert.deepEqual(waiting.containers.main!.stage, { stage: 'ended', end: END, retryAt: T + 2_000 })
    const kill = { reason: 'stop' as const, since: T + 5_000, deadline: T + 35_000, sent: 'TERM' as const }
    const stopping = recoveredRecord(of({ ...RUNNING, kill }, { stage: { stage: 'stopping', since: T + 5_000 } }), T)
    assert.deepEqual(stopping.stage, { stage: 'stopping', since: T })
    assert.deepEqual(stopping.containers.main!.stage, { ...RUNNING, kill: { ...kill, since: T, deadline: T + 30_000 } })
  })

  it('runs no hook twice', () => {
    const kill = { reason: 'stop' as const, since: T, deadline: T, sent: 'NOTHING' as const, preStop: 'begun' as const }
    assert.deepEqual(recoveredRecord(of({ ...RUNNING, postStart: 'begun', kill }), T).containers.main!.stage, {
      ...RUNNING,
      postStart: 'ended',
      kill: { ...kill, preStop: 'ended' },
    })
  })

  const table: [string, ContainerStage, ContainerState | undefined, string[]][] = [
    ['begun, and never made: given up', { stage: 'creating', instance: INSTANCE }, undefined, ['abandoned']],
    [
      'made, and never started: given up',
      { stage: 'creating', instance: INSTANCE },
      { state: 'created' },
      ['abandoned'],
    ],
    ['lost', RUNNING, undefined, ['ended']],
    ['running: carried on with', RUNNING, { state: 'running', pid: 2, startedAt: T }, ['adopted']],
    [
      'started, and not on record',
      { stage: 'creating', instance: INSTANCE },
      { state: 'running', pid: 2, startedAt: T },
      ['adopted'],
    ],
    ['ended meanwhile', RUNNING, EXIT, ['exited']],
    ['seen to end already', { stage: 'exited', instance: INSTANCE, exit: EXIT }, EXIT, []],
    ['none', { stage: 'idle' }, undefined, []],
  ]
  for (const [title, stage, state, expected] of table)
    it(`an instance ${title}`, () => {
      const existing = new Map(state === undefined ? [] : [['c1', { id: 'c1', sandboxId: 'uid-web', state }]])
      const changes = adoptionChanges(of(stage), existing, true, T)
      assert.deepEqual(
        changes.map(({ change }) => change),
        expected,
      )
    })

  it('is without a sandbox that the runtime does not know', () => {
    const record = of({ stage: 'idle' }, { sandbox: {} })
    assert.deepEqual(adoptionChanges(record, new Map(), false, T), [{ change: 'sandboxLost' }])
    assert.deepEqual(adoptionChanges(record, new Map(), true, T), [])
  })
})
