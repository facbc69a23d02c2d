import assert from 'node:assert/strict'
import fc from 'fast-check'
import {
  killPlanFor,
  nextKillStep,
  terminationOrder,
  awaitsEndpointDrain,
  type KillPlan,
} from '../../../../agent/pods/plan/kill-plan.ts'
import { newRecord } from '../../../../agent/pods/plan/pod-state.ts'
import type { ContainerRecord, Kill, PodRecord } from '../../../../agent/state/contract.ts'
import type { Container, Lifecycle } from '../../../../proto/gen/types.ts'
import { makeContainer, makePod } from '../../fakes.ts'

const T = 1_000_000
const plain = makeContainer('main')
const hooked = (preStop: Lifecycle['preStop']): Container => makeContainer('main', { lifecycle: { preStop } })
const command = hooked({ exec: { command: ['drain'] } })
const sleep = hooked({ sleep: { seconds: 4 } })
const stop = (graceSeconds: number, holdUntil = 0): KillPlan => ({ reason: 'stop', since: T, graceSeconds, holdUntil })
const kill = (fields: Partial<Kill> = {}): Kill => ({
  reason: 'stop',
  since: T,
  deadline: T + 30_000,
  sent: 'NOTHING',
  ...fields,
})

describe('how a container is ended', () => {
  /**
   * What, the container, its kill, the ending, milliseconds since it began; what is sent or done, and in how many
   * milliseconds to look again.
   */
  const table: [string, Container, Kill | undefined, KillPlan, number, string, number | undefined][] = [
    ['at once', plain, undefined, stop(30), 0, 'TERM', 30_000],
    ['with no grace', plain, undefined, stop(0), 0, 'KILL', undefined],
    ['held back', plain, undefined, stop(30, T + 5000), 0, 'NOTHING', 5000],
    ['still held back', plain, kill(), stop(30, T + 5000), 4999, '', 5000],
    ['no longer held back', plain, kill(), stop(30), 700, 'TERM', 30_000],
    ['held back long enough', plain, kill(), stop(30, T + 5000), 5000, 'TERM', 30_000],
    ['asked already', plain, kill({ sent: 'TERM' }), stop(30), 7000, '', 30_000],
    ['the grace is over', plain, kill({ sent: 'TERM' }), stop(30), 30_000, 'KILL', undefined],
    ['killed already', plain, kill({ sent: 'KILL' }), stop(30), 31_000, '', undefined],
    ['a hook to be run: begun', command, undefined, stop(30), 0, 'NOTHING', 30_000],
    ['a hook to be run: run', command, kill(), stop(30), 1, 'preStop', 30_000],
    ['a hook runs while SIGTERM is held back', command, kill(), stop(30, T + 5000), 1, 'preStop', 30_000],
    ['a hook under way', command, kill({ preStop: 'begun' }), stop(30), 1000, '', 30_000],
    ['a hook has ended', command, kill({ preStop: 'ended' }), stop(30), 1000, 'TERM', 30_000],
    ['a hook has ended, held back', command, kill({ preStop: 'ended' }), stop(30, T + 5000), 1000, '', 5000],
    [
      'a hook that outlasts the grace: a last one',
      command,
      kill({ preStop: 'begun' }),
      stop(30),
      30_000,
      'TERM+2000',
      undefined,
    ],
    [
      'a last grace',
      command,
      kill({ sent: 'TERM', extended: true, deadline: T + 32_000 }),
      stop(30),
      31_000,
      '',
      32_000,
    ],
    [
      'a last grace is over',
      command,
      kill({ sent: 'TERM', extended: true, deadline: T + 32_000 }),
      stop(30),
      32_000,
      'KILL',
      undefined,
    ],
    [
      'a last grace taken away',
      command,
      kill({ sent: 'TERM', extended: true, deadline: T + 32_000 }),
      stop(0),
      31_000,
      'KILL',
      undefined,
    ],
    ['no hook without grace', command, undefined, stop(0), 0, 'KILL', undefined],
    ['a hook under way loses its grace', command, kill({ preStop: 'begun' }), stop(0), 10, 'KILL', undefined],
    ['a hook that sleeps: begun', sleep, undefined, stop(30), 0, 'NOTHING', 4000],
    ['a hook that sleeps', sleep, kill(), stop(30), 3999, '', 4000],
    ['a hook that has slept', sleep, kill(), stop(30), 4000, 'TERM', 30_000],
    ['a shorter grace', plain, kill({ sent: 'TERM' }), stop(5), 1, 'silent', 5000],
    ['no longer grace', plain, kill({ sent: 'TERM', deadline: T + 5000 }), stop(60), 1, '', 5000],
    [
      'for its health, then because the pod stops',
      plain,
      kill({ reason: 'unhealthy', sent: 'TERM', deadline: T + 2000 }),
      stop(30),
      1,
      'silent',
      30_000,
    ],
  ]
  for (const [title, container, before, ending, at, expected, wake] of table) {
    it(title, () => {
      const next = nextKillStep(container, before, ending, T + at)
      const sent =
        next.kill === undefined
          ? ''
          : next.silent === true
            ? 'silent'
            : next.kill.extended === true && before?.extended !== true
              ? `${next.kill.sent}+${next.kill.deadline - T - at}`
              : next.kill.sent
      assert.equal(next.preStop === true ? 'preStop' : sent, expected)
      assert.equal(next.wakeAt === undefined ? undefined : next.wakeAt - T, wake)
    })
  }

  it('ends whatever happens, with SIGTERM before SIGKILL where there is grace, and soon after it', () => {
    const hooks = fc.constantFrom(plain, command, sleep)
    fc.assert(
      fc.property(
        hooks,
        fc.integer({ min: 0, max: 20 }),
        fc.constantFrom(0, 5000, Infinity),
        fc.integer({ min: 0, max: 40_000 }),
        (container, grace, hold, hookTakes) => {
          let present: Kill | undefined
          let hookEnds = Infinity
          const sent: string[] = []
          let now = T
          for (let turn = 0; turn < 50; turn++) {
            if (now >= hookEnds && present?.preStop === 'begun') present = { ...present, preStop: 'ended' }
            const next = nextKillStep(
              container,
              present,
              { reason: 'stop', since: T, graceSeconds: grace, holdUntil: hold === 0 ? 0 : T + hold },
              now,
            )
            if (next.kill !== undefined) {
              if (next.kill.sent !== (present?.sent ?? 'NOTHING')) sent.push(`${next.kill.sent}`)
              present = { ...next.kill, preStop: present?.preStop }
            } else if (next.preStop === true) {
              present = { ...present!, preStop: 'begun' }
              hookEnds = now + hookTakes
            } else {
              if (next.wakeAt === undefined) break
              assert.ok(next.wakeAt > now, 'it looks again without end')
              now = Math.min(next.wakeAt, hookEnds > now ? hookEnds : Infinity)
            }
          }
          assert.deepEqual(sent, grace === 0 ? ['KILL'] : ['TERM', 'KILL'])
          assert.ok(now <= T + grace * 1000 + 2000, `it took ${now - T} ms`)
        },
      ),
    )
  })
})

describe('how a pod is ended', () => {
  const running = (id: string): ContainerRecord => ({
    attempt: 0,
    failures: 0,
    stage: { stage: 'running', instance: { id, attempt: 0, stopSignal: '' }, pid: 1, startedAt: T },
  })
  const READY = [{ step: 'ready' as const, time: '2026-01-01T00:00:00.000000Z' }]
  const deleting = (grace: number, fields: Partial<PodRecord> = {}): PodRecord => ({
    ...newRecord(
      makePod('web', {}, { deletionTimestamp: '2026-01-01T00:00:00Z', deletionGracePeriodSeconds: grace }),
      T,
    ),
    timeline: READY,
    ...fields,
  })

  const waits: [string, PodRecord, number | undefined][] = [
    ['a pod that was ready waits 5 s', deleting(30), 5000],
    ['half a short grace', deleting(4), 2000],
    ['not with a second of grace', deleting(1), undefined],
    ['not without any', deleting(0), undefined],
    ['not one that never was ready', deleting(30, { timeline: [] }), undefined],
    ['not once it was told', deleting(30, { withdrawn: true }), undefined],
    ["not one that is no longer the node's", deleting(30, { assigned: false }), undefined],
    [
      'not one that the node gives up',
      { ...newRecord(makePod('web'), T, { reason: 'Evicted', message: '' }), timeline: READY },
      undefined,
    ],
  ]
  for (const [title, record, millis] of waits) {
    it(`is held back until nobody sends it anything: ${title}`, () => {
      assert.equal(awaitsEndpointDrain(record), millis !== undefined)
      assert.equal(killPlanFor(record, undefined, false, T, true).holdUntil, millis === undefined ? 0 : T + millis)
    })
  }

  it('ends sidecars last, the last one first', () => {
    const sidecar = (name: string): Container => makeContainer(name, { restartPolicy: 'Always' })
    const pod = makePod('web', {
      initContainers: [sidecar('log'), makeContainer('once'), sidecar('mesh')],
      containers: [makeContainer('a'), makeContainer('b')],
    })
    const order = (...alive: string[]): string => {
      const record = {
        ...newRecord(pod, T),
        containers: Object.fromEntries(alive.map((name) => [name, running(name)])),
      }
      return terminationOrder(record)
        .map(({ container, turn }) => `${container.name}${turn ? '!' : ''}`)
        .join(' ')
    }
    assert.equal(order('log', 'mesh', 'a', 'b'), 'a! b! mesh log')
    assert.equal(order('log', 'mesh', 'b'), 'b! mesh log')
    assert.equal(order('log', 'mesh'), 'mesh! log')
    assert.equal(order('log'), 'log!')
    assert.equal(order('log', 'once'), 'once! log')
  })
})
