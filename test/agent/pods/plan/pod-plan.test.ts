import assert from 'node:assert/strict'
import fc from 'fast-check'
import { planPod, stepKey, type PodStep } from '../../../../agent/pods/plan/pod-plan.ts'
import { instanceIn, instanceOf, newRecord, type PodState } from '../../../../agent/pods/plan/pod-state.ts'
import { podStatus } from '../../../../agent/pods/status/pod-status.ts'
import type {
  ContainerRecord,
  ContainerStage,
  PodRecord,
  RunningStage,
  Termination,
} from '../../../../agent/state/contract.ts'
import type { Image } from '../../../../agent/images/contract.ts'
import type { Pod } from '../../../../proto/gen/types.ts'
import { makeContainer, makePod } from '../../fakes.ts'

const NOW = 1_000_000
const IMAGE: Image = {
  reference: 'docker.io/library/app:latest',
  digest: 'sha256:d',
  id: 'sha256:i',
  size: 1,
  config: { env: [], entrypoint: [], cmd: [], workingDir: '', user: '', stopSignal: '', volumes: [], labels: {} },
}
const PROVISION = { id: 'next', image: IMAGE, rootfs: '/rootfs' }
const INSTANCE = { id: 'c1', attempt: 0, stopSignal: '' }
const RUNNING: RunningStage = { stage: 'running', instance: INSTANCE, pid: 1, startedAt: NOW - 1000 }
const ORIGIN = { runtime: 'crun', hostAddress: '192.0.2.1' }

function ended(exitCode: number, fields: Partial<Termination> = {}): Termination {
  return {
    id: 'c0',
    attempt: 0,
    exitCode,
    reason: exitCode === 0 ? 'Completed' : 'Error',
    message: '',
    startedAt: NOW - 2000,
    finishedAt: NOW - 1000,
    startFailed: false,
    ...fields,
  }
}

function running(fields: Partial<ContainerRecord> = {}): ContainerRecord {
  return {
    attempt: 0,
    failures: 0,
    image: { name: 'app', reference: IMAGE.reference, digest: IMAGE.digest },
    stage: RUNNING,
    ...fields,
  }
}

/** Its last instance has ended. */
function over(end: Termination, retryAt = 0): ContainerRecord {
  return running({ failures: retryAt === 0 ? 0 : 2, stage: { stage: 'ended', end, retryAt } })
}

interface Given {
  pod?: Pod
  record?: Partial<PodRecord>
  state?: Partial<PodState>
}

/** A pod whose sandbox, volumes and images are there. */
function given({ pod = makePod('web'), record = {}, state = {} }: Given = {}): PodState {
  return {
    record: { ...newRecord(pod, NOW - 10_000), sandbox: {}, ...record },
    preparedContainers: new Map(
      [...(pod.spec.initContainers ?? []), ...pod.spec.containers].map((container) => [container.name, PROVISION]),
    ),
    volumesVersion: 'v1',
    configVersion: 'v1',
    failures: new Map(),
    busy: new Set(),
    ...state,
  }
}

function keys(state: PodState, now = NOW): string[] {
  return planPod(state, now).steps.map(stepKey)
}

const deleting = (grace: number): Pod =>
  makePod('web', {}, { deletionTimestamp: '2026-01-01T00:00:00Z', deletionGracePeriodSeconds: grace })
const two = makePod('web', {
  initContainers: [makeContainer('i1'), makeContainer('i2')],
  containers: [makeContainer('a'), makeContainer('b')],
})

describe('plan', () => {
  const table: [string, PodState, string[]][] = [
    [
      'nothing is there yet: all that can be made at once is',
      given({ record: { sandbox: undefined }, state: { preparedContainers: new Map(), volumesVersion: undefined } }),
      ['sandbox', 'volumes', 'pull/main'],
    ],
    [
      'the objects it uses are not known: no volumes, no start',
      given({ state: { configVersion: undefined, volumesVersion: undefined } }),
      [],
    ],
    ['ready: start', given(), ['start/main']],
    ['a step under way is not begun again', given({ state: { busy: new Set(['start/main']) } }), []],
    ['only the first init container', given({ pod: two }), ['start/i1']],
    [
      'all images are pulled while the first runs',
      given({ pod: two, record: { containers: { i1: running() } }, state: { preparedContainers: new Map() } }),
      ['pull/i2', 'pull/a', 'pull/b'],
    ],
    [
      'the second init container after the first',
      given({ pod: two, record: { containers: { i1: over(ended(0)) } } }),
      ['start/i2'],
    ],
    [
      'containers together after the last',
      given({ pod: two, record: { containers: { i1: over(ended(0)), i2: over(ended(0)) } } }),
      ['start/a', 'start/b'],
    ],
    ['running: nothing', given({ record: { containers: { main: running() } } }), []],
    [
      'config changed: files only',
      given({ record: { containers: { main: running() } }, state: { configVersion: 'v2' } }),
      ['volumes'],
    ],
    ['ended, back-off over: start', given({ record: { containers: { main: over(ended(1), NOW) } } }), ['start/main']],
    [
      'ended, and being removed: start',
      given({ record: { dead: ['c0'], containers: { main: over(ended(1)) } } }),
      ['remove/c0', 'start/main'],
    ],
    [
      'not started as far as is known, and not removed yet: no second one beside it',
      given({ record: { dead: ['c0'], containers: { main: over(ended(128, { startFailed: true })) } } }),
      ['remove/c0'],
    ],
    [
      'not started, and removed: start',
      given({ record: { containers: { main: over(ended(128, { startFailed: true })) } } }),
      ['start/main'],
    ],
    ['ended, in back-off: wait', given({ record: { containers: { main: over(ended(1), NOW + 5000) } } }), []],
    [
      'ended for good: tear down',
      given({ pod: makePod('web', { restartPolicy: 'Never' }), record: { containers: { main: over(ended(1)) } } }),
      ['teardown'],
    ],
    [
      'torn down: nothing',
      given({
        pod: makePod('web', { restartPolicy: 'OnFailure' }),
        record: { stage: { stage: 'tornDown' }, sandbox: undefined, containers: { main: over(ended(0)) } },
      }),
      [],
    ],
    [
      'another image: kill with grace',
      given({
        pod: makePod('web', { containers: [makeContainer('main', { image: 'app2' })] }),
        record: { containers: { main: running() } },
      }),
      ['kill/main'],
    ],
    [
      'deleted: kill',
      given({
        pod: deleting(30),
        record: { containers: { main: running() }, stage: { stage: 'stopping', since: NOW } },
      }),
      ['kill/main'],
    ],
    [
      'deleted while a start is under way: wait for it',
      given({ pod: deleting(0), state: { busy: new Set(['start/main']) } }),
      [],
    ],
    [
      'deleted, all ended: tear down after what is dead is removed',
      given({ pod: deleting(30), record: { dead: ['c1'] } }),
      ['remove/c1'],
    ],
    ['then tear down', given({ pod: deleting(30) }), ['teardown']],
    ['then release', given({ pod: deleting(30), record: { stage: { stage: 'tornDown' } } }), ['release']],
    ['released: nothing more', given({ pod: deleting(30), record: { stage: { stage: 'released' } } }), []],
    [
      'refused: tear down, but the object stays',
      given({ record: { failed: { reason: 'OutOfcpu', message: '' }, stage: { stage: 'tornDown' } } }),
      [],
    ],
    [
      'no longer assigned: as if deleted',
      given({ record: { assigned: false, containers: { main: running() }, stage: { stage: 'stopping', since: NOW } } }),
      ['kill/main'],
    ],
    [
      'past its deadline: give up',
      given({ pod: makePod('web', { activeDeadlineSeconds: 5 }), record: { containers: { main: running() } } }),
      ['fail'],
    ],
  ]
  for (const [title, state, expected] of table) it(title, () => assert.deepEqual(keys(state), expected))

  it('says when to look again', () => {
    const back = given({
      pod: makePod('web', { activeDeadlineSeconds: 60 }),
      record: { containers: { main: over(ended(1), NOW + 5000) } },
    })
    assert.equal(planPod(back, NOW).wakeAt, NOW + 5000)
    assert.equal(
      planPod(
        given({ pod: makePod('web', { activeDeadlineSeconds: 60 }), record: { containers: { main: running() } } }),
        NOW,
      ).wakeAt,
      NOW - 10_000 + 60_000,
    )
    assert.equal(planPod(given({ record: { containers: { main: running() } } }), NOW).wakeAt, undefined)
  })

  it('leaves out a step that failed until its time has come', () => {
    const failures = new Map([
      ['start/main', { reason: 'CreateContainerError', message: '', count: 1, retryAt: NOW + 500 }],
    ])
    assert.deepEqual(planPod(given({ state: { failures } }), NOW), { steps: [], wakeAt: NOW + 500 })
    assert.deepEqual(keys(given({ state: { failures } }), NOW + 500), ['start/main'])
    const forever = new Map([['volumes', { reason: 'FailedMount', message: '', count: 1, retryAt: Infinity }]])
    assert.deepEqual(planPod(given({ state: { failures: forever, volumesVersion: undefined } }), NOW), {
      steps: [],
      wakeAt: undefined,
    })
  })

  describe('killing', () => {
    const step = (state: PodState, now = NOW): PodStep | undefined => planPod(state, now).steps[0]
    const killing = (grace: number, deadline: number, sent: 'TERM' | 'KILL' = 'TERM'): PodState =>
      given({
        pod: deleting(grace),
        record: {
          stage: { stage: 'stopping', since: NOW },
          containers: {
            main: running({ stage: { ...RUNNING, kill: { reason: 'stop', since: NOW, deadline, sent } } }),
          },
        },
      })

    it('asks first', () => {
      assert.deepEqual(
        step(
          given({
            pod: deleting(30),
            record: { stage: { stage: 'stopping', since: NOW }, containers: { main: running() } },
          }),
        ),
        {
          step: 'kill',
          container: 'main',
          silent: false,
          kill: { reason: 'stop', since: NOW, deadline: NOW + 30_000, sent: 'TERM' },
        },
      )
    })

    it('does not ask with grace 0', () => {
      assert.equal(
        (
          step(
            given({
              pod: deleting(0),
              record: { stage: { stage: 'stopping', since: NOW }, containers: { main: running() } },
            }),
          ) as { kill: { sent: string } }
        ).kill.sent,
        'KILL',
      )
    })

    it('waits until the deadline, then kills once', () => {
      assert.deepEqual(planPod(killing(30, NOW + 30_000), NOW + 1), { steps: [], wakeAt: NOW + 30_000 })
      assert.equal((step(killing(30, NOW + 30_000), NOW + 30_000) as { kill: { sent: string } }).kill.sent, 'KILL')
      assert.equal(step(killing(30, NOW + 30_000, 'KILL'), NOW + 30_001), undefined)
    })

    it('takes a shorter grace and no longer one', () => {
      assert.deepEqual(step(killing(5, NOW + 30_000), NOW + 1), {
        step: 'kill',
        container: 'main',
        silent: true,
        kill: { reason: 'stop', since: NOW, deadline: NOW + 5000, sent: 'TERM' },
      })
      assert.deepEqual(planPod(killing(60, NOW + 30_000), NOW + 1), { steps: [], wakeAt: NOW + 30_000 })
    })
  })

  describe('whatever the state', () => {
    const termination = fc
      .record({ exitCode: fc.constantFrom(0, 1, 137), startFailed: fc.boolean() })
      .map((fields) => ended(fields.exitCode, fields))
    const instance = { id: 'c', attempt: 0, stopSignal: '' }
    const exit = {
      state: 'exited' as const,
      exitCode: 0,
      signal: undefined,
      oomKilled: false,
      startedAt: NOW,
      finishedAt: NOW,
    }
    const containerState = fc.oneof(
      fc
        .constantFrom<ContainerStage>(
          { stage: 'idle' },
          { stage: 'creating', instance },
          { stage: 'created', instance },
          { stage: 'running', instance, pid: 1, startedAt: NOW - 1000 },
          { stage: 'exited', instance, exit },
        )
        .map((stage): ContainerRecord =>
          stage.stage === 'idle' ? { attempt: 0, failures: 0, stage } : running({ stage }),
        ),
      fc
        .tuple(termination, fc.integer({ min: -5000, max: 5000 }))
        .map(([end, wait]): ContainerRecord => over(end, NOW + wait)),
    )
    const states = fc
      .record({
        policy: fc.constantFrom<Pod['spec']['restartPolicy']>('Always', 'OnFailure', 'Never'),
        containers: fc.tuple(containerState, containerState, containerState, containerState),
        deleted: fc.boolean(),
        assigned: fc.boolean(),
        failed: fc.boolean(),
        sandbox: fc.boolean(),
        tornDown: fc.boolean(),
        images: fc.boolean(),
        config: fc.constantFrom(undefined, 'v1', 'v2'),
        busy: fc.subarray(['start/a', 'sandbox', 'volumes', 'pull/b', 'end/a']),
        dead: fc.subarray(['x', 'y']),
      })
      .map((s): PodState => {
        const pod = makePod(
          'web',
          { ...two.spec, restartPolicy: s.policy },
          s.deleted ? { deletionTimestamp: 'now', deletionGracePeriodSeconds: 5 } : {},
        )
        const [i1, i2, a, b] = s.containers
        return given({
          pod,
          record: {
            assigned: s.assigned,
            sandbox: s.sandbox ? {} : undefined,
            // What is torn down has no instance any more.
            stage:
              s.tornDown && s.containers.every(({ stage }) => instanceIn(stage) === undefined)
                ? { stage: 'tornDown' }
                : s.deleted || !s.assigned || s.failed
                  ? { stage: 'stopping', since: NOW }
                  : { stage: 'active', since: NOW - 10_000 },
            dead: s.dead,
            containers: structuredClone({ i1, i2, a, b }),
            failed: s.failed ? { reason: 'x', message: '' } : undefined,
          },
          state: {
            configVersion: s.config,
            busy: new Set(s.busy),
            ...(s.images ? {} : { preparedContainers: new Map() }),
          },
        })
      })

    it('is a function: it changes nothing and answers the same again', () => {
      fc.assert(
        fc.property(states, (state) => {
          const before = structuredClone(state)
          const first = planPod(state, NOW)
          assert.deepEqual(state, before)
          assert.deepEqual(planPod(state, NOW), first)
        }),
      )
    })

    it('names no step twice and none that is under way', () => {
      fc.assert(
        fc.property(states, (state) => {
          const found = keys(state)
          assert.equal(new Set(found).size, found.length)
          for (const key of found) assert.ok(!state.busy.has(key))
        }),
      )
    })

    it('starts nothing in a pod that stops, and removes nothing from under what lives', () => {
      fc.assert(
        fc.property(states, (state) => {
          const found = keys(state)
          const { record } = state
          const stops =
            record.failed !== undefined || !record.assigned || record.pod.metadata.deletionTimestamp !== undefined
          if (stops) assert.ok(!found.some((key) => /^(start|pull|sandbox|volumes)/.test(key)), found.join())
          const lives = Object.values(record.containers).some(({ stage }) => instanceIn(stage) !== undefined)
          if (stops && lives) assert.ok(!found.includes('teardown') && !found.includes('release'))
        }),
      )
    })

    it('starts a container only when all that it needs is there', () => {
      fc.assert(
        fc.property(states, (state) => {
          for (const step of planPod(state, NOW).steps) {
            if (step.step !== 'start') continue
            assert.ok(
              state.record.sandbox !== undefined &&
                state.preparedContainers.has(step.container) &&
                state.configVersion === state.volumesVersion,
            )
            assert.equal(instanceOf(state.record, step.container), undefined)
          }
        }),
      )
    })

    it('tells a status whose phase fits its containers', () => {
      fc.assert(
        fc.property(states, (state) => {
          const status = podStatus(state, ORIGIN, NOW)
          const all = [...(status.initContainerStatuses ?? []), ...status.containerStatuses!]
          for (const container of all)
            assert.equal(
              [container.state!.waiting, container.state!.running, container.state!.terminated].filter(
                (part) => part !== undefined,
              ).length,
              1,
            )
          const ready = status.conditions!.find((condition) => condition.type === 'Ready')!.status === 'True'
          assert.equal(ready && status.phase !== 'Running' && status.phase !== 'Pending', false)
          if (status.phase === 'Succeeded')
            assert.ok(
              status.containerStatuses!.every(
                (container) => (container.state!.terminated ?? container.lastState?.terminated)?.exitCode === 0,
              ),
            )
        }),
      )
    })
  })
})
