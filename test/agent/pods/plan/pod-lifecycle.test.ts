import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { Image } from '../../../../agent/images/contract.ts'
import type { Change } from '../../../../agent/pods/plan/changes.ts'
import { applyChange } from '../../../../agent/pods/plan/pod-changes.ts'
import { planPod, stepKey, type PodStep } from '../../../../agent/pods/plan/pod-plan.ts'
import {
  containerRecord,
  instanceIn,
  isStopping,
  newRecord,
  type PodState,
} from '../../../../agent/pods/plan/pod-state.ts'
import { adoptionChanges, recoveredRecord } from '../../../../agent/pods/plan/recovery.ts'
import type { ExitedState, PodRecord } from '../../../../agent/state/contract.ts'
import { seededRandom } from '../../../../proto/base/random.ts'
import type { Pod } from '../../../../proto/gen/types.ts'
import { makeContainer, makePod } from '../../fakes.ts'

const T = 1_000_000
const IMAGE: Image = {
  reference: 'docker.io/library/app:latest',
  digest: 'sha256:d',
  id: 'sha256:i',
  size: 1,
  config: { env: [], entrypoint: [], cmd: [], workingDir: '', user: '', stopSignal: '', volumes: [], labels: {} },
}
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

describe('whatever happens to a pod', () => {
  const specs: Pod['spec']['restartPolicy'][] = ['Always', 'OnFailure', 'Never']
  const podOf = (restartPolicy: Pod['spec']['restartPolicy'], sidecar: boolean): Pod =>
    makePod('web', {
      restartPolicy,
      initContainers: [makeContainer('init', sidecar ? { restartPolicy: 'Always' } : {})],
      containers: [makeContainer('a'), makeContainer('b')],
    })

  /** A node in small: what runs there, and what the steps of a pod make of it. Chance decides what fails. */
  class Node {
    readonly pod: Pod
    state: PodState
    now = T
    #ids = 0
    readonly #alive = new Map<string, string>()
    readonly #chance: () => number

    constructor(pod: Pod, chance: () => number) {
      this.pod = pod
      this.#chance = chance
      this.state = stateOf(newRecord(pod, T))
    }

    apply(...changes: Change[]): void {
      for (const change of changes) {
        const before = this.state
        this.state = applyChange(Object.freeze(before), change)
        this.#check(before, change)
      }
    }

    /** One round: the plan's steps are carried out, or fail. */
    round(): void {
      const { steps, wakeAt } = planPod(this.state, this.now)
      for (const step of steps) {
        const key = stepKey(step)
        this.#held()
        if (this.#chance() < 0.2) {
          const failure = { reason: 'Failed', message: '', count: 1, retryAt: this.now + 500 }
          this.apply({ change: 'stepFailed', key, failure })
        } else
          this.apply(
            { change: 'stepBegun', key },
            ...this.#done(step),
            { change: 'stepEnded', key },
            { change: 'stepSucceeded', key },
          )
      }
      this.now = steps.length > 0 || wakeAt === undefined ? this.now + 100 : Math.max(this.now, wakeAt)
    }

    /** A container of its own accord. */
    exit(exitCode: number): void {
      const [id] = this.#alive.keys()
      if (id === undefined) return
      this.#alive.delete(id)
      this.apply({ change: 'exited', id, exit: { ...EXIT, exitCode, startedAt: this.now, finishedAt: this.now } })
    }

    /** The agent ends and starts; with `powerLoss` nothing lives that ran. */
    restart(powerLoss: boolean): void {
      if (powerLoss) this.#alive.clear()
      const written = JSON.parse(JSON.stringify(this.state.record)) as PodRecord
      const record = recoveredRecord(written, this.now)
      this.state = { ...stateOf(record), configVersion: this.state.configVersion }
      const existing = new Map(
        [...this.#alive.keys()].map((id) => [
          id,
          { id, sandboxId: 'uid-web', state: { state: 'running' as const, pid: 1, startedAt: this.now } },
        ]),
      )
      this.apply(...adoptionChanges(record, existing, !powerLoss, this.now))
    }

    #done(step: PodStep): Change[] {
      const { now: at } = this
      switch (step.step) {
        case 'volumes':
          return [{ change: 'mounted', version: this.state.configVersion }]
        case 'sandbox':
          return [{ change: 'sandboxed', attachment: undefined, at }]
        case 'pull': {
          const id = `c${this.#ids++}`
          const prepared = { id, image: IMAGE, rootfs: `/${id}` }
          return [{ change: 'prepared', container: step.container, prepared, at }]
        }
        case 'start': {
          const { id } = this.state.preparedContainers.get(step.container)!
          const instance = { id, attempt: 0, stopSignal: '' }
          const image = { name: 'app', reference: IMAGE.reference, digest: IMAGE.digest }
          this.#alive.set(id, step.container)
          return [
            { change: 'creating', container: step.container, instance, image, resources: {} },
            { change: 'created', id, at },
            { change: 'running', id, pid: 1, startedAt: at, at },
          ]
        }
        case 'kill': {
          const { id } = instanceIn(containerRecord(this.state.record, step.container).stage)!
          const noted: Change = { change: 'kill', id, kill: step.kill }
          if (step.kill.sent !== 'KILL' && this.#chance() < 0.5) return [noted]
          this.#alive.delete(id)
          return [noted, { change: 'exited', id, exit: { ...EXIT, exitCode: 137 } }]
        }
        case 'end': {
          const stage = containerRecord(this.state.record, step.container).stage
          if (stage.stage !== 'exited') return []
          const { exitCode } = stage.exit
          return [{ change: 'ended', end: termination(stage.instance.id, exitCode), at }]
        }
        case 'remove':
          return [{ change: 'removed', id: step.id }]
        case 'teardown':
          return [{ change: 'tornDown' }]
        case 'release':
          return [{ change: 'released' }]
        case 'fail':
          return [{ change: 'failed', reason: step.reason, message: step.message, at }]
        case 'resize':
        case 'postStart':
        case 'preStop':
          return []
      }
    }

    /** Whatever runs is on record. */
    #held(): void {
      const present = Object.values(this.state.record.containers).flatMap(({ stage }) => instanceIn(stage)?.id ?? [])
      for (const id of this.#alive.keys()) assert.ok(present.includes(id), `${id} runs and is forgotten`)
    }

    #check(before: PodState, change: Change): void {
      const { record } = this.state
      const stages = ['active', 'stopping', 'tornDown', 'released']
      if (change.change !== 'assigned')
        assert.ok(stages.indexOf(record.stage.stage) >= stages.indexOf(before.record.stage.stage), change.change)
      if (record.stage.stage === 'active') assert.ok(!isStopping(record), 'it is active, and stops')
      const present = Object.values(record.containers).flatMap(({ stage }) => instanceIn(stage)?.id ?? [])
      const held = [...present, ...record.dead, ...[...this.state.preparedContainers.values()].map(({ id }) => id)]
      assert.equal(new Set(held).size, held.length, `an instance is held twice: ${held.join()}`)
    }
  }

  it('it is put away whole once it is deleted', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...specs),
        fc.boolean(),
        fc.integer(),
        fc.array(
          fc.constantFrom('round', 'exit 0', 'exit 1', 'unassign', 'assign', 'config', 'restart', 'power loss'),
          { maxLength: 40 },
        ),
        (restartPolicy, sidecar, seed, script) => {
          const random = seededRandom(seed)
          const node = new Node(podOf(restartPolicy, sidecar), () => random.next())
          for (const line of script) {
            if (line === 'round') node.round()
            else if (line === 'restart' || line === 'power loss') node.restart(line === 'power loss')
            else if (line === 'unassign') node.apply({ change: 'unassigned', at: node.now })
            else if (line === 'assign') node.apply({ change: 'assigned', pod: node.pod, at: node.now })
            else if (line === 'config') node.apply({ change: 'configured', version: `v${node.now}` })
            else node.exit(Number(line.slice(-1)))
          }
          const gone = { ...node.pod, metadata: { ...node.pod.metadata, deletionTimestamp: 'now' } }
          node.apply({ change: 'assigned', pod: gone, at: node.now })
          for (let rounds = 0; node.state.record.stage.stage !== 'released'; rounds++) {
            assert.ok(rounds < 400, `it never ends: ${JSON.stringify(node.state.record)}`)
            node.round()
          }
          assert.deepEqual([node.state.record.dead, node.state.preparedContainers.size], [[], 0])
        },
      ),
    )
  })

  it('it runs as its policy says once nothing fails any more', () => {
    const events = fc.array(fc.constantFrom('exit 0', 'exit 1', 'restart', 'power loss'), { maxLength: 6 })
    fc.assert(
      fc.property(fc.constantFrom(...specs), events, (restartPolicy, script) => {
        const node = new Node(podOf(restartPolicy, true), () => 1)
        for (const line of script) {
          for (let rounds = 0; rounds < 30; rounds++) node.round()
          if (line.startsWith('exit')) node.exit(Number(line.slice(-1)))
          else node.restart(line === 'power loss')
        }
        for (let rounds = 0; rounds < 60; rounds++) node.round()
        const stages = ['a', 'b'].map((name) => containerRecord(node.state.record, name).stage.stage)
        if (restartPolicy === 'Always') assert.deepEqual(stages, ['running', 'running'])
        else for (const stage of stages) assert.ok(stage === 'running' || stage === 'ended', stage)
      }),
    )
  })
})
