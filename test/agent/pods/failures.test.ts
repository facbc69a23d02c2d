import assert from 'node:assert/strict'
import { GantryError } from '../../../proto/base/errors.ts'
import type { Pod } from '../../../proto/gen/types.ts'
import type { FakeContainer } from '../../../agent/runtime/fake.ts'
import { makeContainer, makePod, until } from '../fakes.ts'
import { NodeFixture } from './fixture.ts'

const SIGTERM = 15
const SIGKILL = 9

function deleted(pod: Pod, deletionGracePeriodSeconds: number): Pod {
  return {
    ...pod,
    metadata: { ...pod.metadata, deletionTimestamp: '2026-01-01T00:00:00Z', deletionGracePeriodSeconds },
  }
}

describe('pods of a node where steps fail', () => {
  let node: NodeFixture

  beforeEach(async () => {
    node = new NodeFixture()
    await node.start()
    await node.welcome()
  })

  afterEach(() => node.remove())

  /** No record can be written until the call returned is made. */
  function fillDisk(): () => void {
    node.state.put = () => Promise.reject(new GantryError('ResourceExhausted', 'no space left on device'))
    return () => Reflect.deleteProperty(node.state, 'put')
  }

  const onlyContainer = (): FakeContainer => [...node.machine.containers.values()][0]!

  it('starts a container once its record can be written', async () => {
    const empty = fillDisk()
    node.assignAll(makePod('web'))
    await until('a start has failed', () => node.reports.events.some(({ reason }) => reason === 'Failed'))
    assert.equal(node.specs.length, 0, 'a container whose record is not written was started')
    empty()
    await until('it runs', async () => (await node.clock.advance(1000), node.status('web').phase === 'Running'))
    assert.equal(node.status('web').containerStatuses![0]!.restartCount, 0)
    assert.deepEqual(await node.images.listRootfs(), [onlyContainer().spec.id])
  })

  for (const [name, sent] of [
    ['SIGTERM', SIGTERM],
    ['SIGKILL', SIGKILL],
  ] as const) {
    it(`sends ${name} once the record of it can be written`, async () => {
      node.behaviour = () => ({ ignoresSignals: true })
      node.assignAll(makePod('web'))
      await node.phase('web', 'Running')
      const container = onlyContainer()
      const empty = fillDisk()
      node.assign([deleted(makePod('web'), sent === SIGTERM ? 30 : 0)])
      node.pods.endpointsDrained(['uid-web'])
      await until('a kill has failed', () => node.reports.events.some(({ reason }) => reason === 'FailedKillPod'))
      assert.deepEqual(container.signals, [])
      empty()
      await until(`${name} is sent`, async () => (await node.clock.advance(1000), container.signals[0] === sent))
      await until(
        'it is gone',
        async () => (await node.clock.advance(1000), node.reports.latest('web')?.released === true),
      )
    })
  }

  it('runs a postStart hook once its record can be written', async () => {
    const hooked = makePod('web', {
      containers: [makeContainer('main', { lifecycle: { postStart: { exec: { command: ['warm'] } } } })],
    })
    const running = (): boolean => onlyContainer()?.state.state === 'running'
    let empty = (): void => undefined
    const start = node.runtime.startContainer.bind(node.runtime)
    node.runtime.startContainer = (id) => {
      empty = fillDisk()
      return start(id)
    }
    node.assignAll(hooked)
    await until(
      'a hook has failed',
      () => running() && node.reports.events.some(({ reason }) => reason === 'FailedKillPod'),
    )
    assert.equal(node.actions.hooked.length, 0)
    empty()
    await until('it runs', async () => (await node.clock.advance(1000), node.status('web').phase === 'Running'))
    assert.equal(node.actions.hooked.length, 1)
  })

  it('stays in session though nothing can be written', async () => {
    node.state.putNode = () => Promise.reject(new GantryError('ResourceExhausted', 'no space left on device'))
    await node.welcome()
    await node.restart()
    node.state.putNode = () => Promise.reject(new GantryError('ResourceExhausted', 'no space left on device'))
    await node.welcome()
  })

  it('takes down the end of a container of which nothing more can be learned', async () => {
    node.behaviour = () => ({ exitAfter: 10, oomKilled: true })
    node.runtime.stats = () => Promise.reject(new GantryError('ResourceExhausted', 'too many open files'))
    node.assignAll(makePod('web', { restartPolicy: 'Never' }))
    await until('it has failed', async () => (await node.clock.advance(10), node.status('web').phase === 'Failed'))
    const ended = node.status('web').containerStatuses![0]!.state!.terminated!
    assert.deepEqual([ended.reason, ended.message], ['OOMKilled', 'killed by the kernel, out of memory: limit none'])
  })

  it('kills again what could not be killed', async () => {
    node.assignAll(makePod('web'))
    await node.phase('web', 'Running')
    const kill = node.runtime.killContainer.bind(node.runtime)
    let failures = 0
    node.runtime.killContainer = (id, signal) =>
      ++failures <= 2 ? Promise.reject(new GantryError('Internal', 'not now')) : kill(id, signal)
    node.assign([deleted(makePod('web'), 0)])
    await until(
      'it is gone',
      async () => (await node.clock.advance(1000), node.reports.latest('web')?.released === true),
    )
    assert.equal(failures, 3)
  })

  it('kills what an agent that ended had only noted that it would kill', async () => {
    node.behaviour = () => ({ ignoresSignals: true })
    node.assignAll(makePod('web'))
    await node.phase('web', 'Running')
    const container = onlyContainer()
    // The agent ends after it has written that it kills, and before it does.
    node.runtime.killContainer = () => Promise.resolve()
    node.assign([deleted(makePod('web'), 0)])
    await until('it is noted', async () => {
      const { stage } = (await node.state.load()).pods[0]!.containers.main!
      return stage.stage === 'running' && stage.kill?.sent === 'KILL'
    })
    await node.stop()
    assert.deepEqual(container.signals, [])
    await node.start()
    await node.welcome()
    node.assignAll(deleted(makePod('web'), 0))
    await until(
      'it is gone',
      async () => (await node.clock.advance(1000), node.reports.latest('web')?.released === true),
    )
    assert.deepEqual(container.signals, [SIGKILL])
  })
})
