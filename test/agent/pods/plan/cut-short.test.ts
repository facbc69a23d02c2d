import assert from 'node:assert/strict'
import { cutShort } from '../../../../agent/pods/plan/cut-short.ts'
import type { PodStep } from '../../../../agent/pods/plan/pod-plan.ts'
import { newRecord } from '../../../../agent/pods/plan/pod-state.ts'
import type { ContainerStage, Kill, PodRecord, RunningStage } from '../../../../agent/state/contract.ts'
import { makePod } from '../../fakes.ts'

const T = 1_000_000
const RUNNING: RunningStage = {
  stage: 'running',
  instance: { id: 'c1', attempt: 0, stopSignal: '' },
  pid: 1,
  startedAt: T,
}
const killed = (sent: Kill['sent']): ContainerStage => ({
  ...RUNNING,
  kill: { reason: 'stop', since: T, deadline: T, sent },
})
const of = (stage: ContainerStage, fields: Partial<PodRecord> = {}): PodRecord => ({
  ...newRecord(makePod('web'), T),
  containers: { main: { attempt: 0, failures: 0, stage } },
  ...fields,
})
const idle = of({ stage: 'idle' })
const leaving = of({ stage: 'idle' }, { assigned: false })
const evicted = of({ stage: 'idle' }, { failed: { reason: 'Evicted', message: '' } })
const pull: PodStep = { step: 'pull', container: 'main', image: 'app' }
const postStart: PodStep = { step: 'postStart', container: 'main' }
const preStop: PodStep = { step: 'preStop', container: 'main' }
const DELETED = 'the pod is being deleted'
const ENDED = 'container main is being ended'

describe('a step under way', () => {
  const table: [string, PodStep, PodRecord, string | undefined][] = [
    ['a pull goes on', pull, idle, undefined],
    ['a pull ends with its pod', pull, leaving, DELETED],
    ['a pull ends with a pod that the node gives up', pull, evicted, 'the pod is being stopped'],
    [
      'a pull ends when another image is wanted',
      { ...pull, image: 'other' },
      idle,
      'the container is to run another image',
    ],
    ['so does what makes the sandbox', { step: 'sandbox' }, leaving, DELETED],
    ['and the volumes', { step: 'volumes' }, leaving, DELETED],
    ['and a start', { step: 'start', container: 'main' }, leaving, DELETED],
    ['a postStart hook goes on', postStart, of(RUNNING), undefined],
    ['a postStart hook ends with its pod', postStart, of(RUNNING, { assigned: false }), DELETED],
    ['a preStop hook goes on while its pod ends', preStop, of(killed('NOTHING'), { assigned: false }), undefined],
    ['until the container is sent a signal', preStop, of(killed('TERM'), { assigned: false }), ENDED],
    ['or has ended', preStop, idle, ENDED],
    ['what ends a pod is never cut short', { step: 'teardown' }, leaving, undefined],
  ]
  for (const [title, step, record, why] of table) it(title, () => assert.equal(cutShort(step, record), why))
})
