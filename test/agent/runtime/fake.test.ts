import assert from 'node:assert/strict'
import type { ContainerRecord, ContainerSpec } from '../../../agent/runtime/contract.ts'
import { FakeMachine, FakeRuntime, type FakeBehaviour } from '../../../agent/runtime/fake.ts'
import { FakeClock } from '../../../proto/base/clock.ts'
import { containerSpec, runtimeSuite, sandboxSpec } from '../../contract/runtime.ts'

const SCRIPT: Record<string, FakeBehaviour> = {
  runs: {},
  stubborn: { ignoresSignals: true },
  exits: { exitAfter: 10, exitCode: 3 },
  missing: { startFailure: 127 },
  directory: { startFailure: 126 },
}

runtimeSuite('fake', () => {
  const clock = new FakeClock()
  const machine = new FakeMachine(clock)
  return Promise.resolve({
    driver: () => new FakeRuntime(clock, ({ args }) => SCRIPT[args[0]!]!, machine),
    commands: {
      runs: ['runs'],
      ignoresSigterm: ['stubborn'],
      exitsWith3: ['exits'],
      missing: ['missing'],
      notExecutable: ['directory'],
    },
    rootfs: '/rootfs',
    logPath: (id: string) => `/logs/${id}`,
    kill: (pid: number) => {
      for (const container of machine.containers.values())
        if (container.state.state === 'running' && container.state.pid === pid) machine.end(container, 137)
    },
    pass: () => clock.advance(20),
    cleanUp: () => Promise.resolve(),
  })
})

describe('FakeRuntime', () => {
  const place = { rootfs: '/rootfs', logPath: (id: string) => `/logs/${id}` }

  async function runtime(
    behaviour: FakeBehaviour,
  ): Promise<{ clock: FakeClock; driver: FakeRuntime; exits: ContainerRecord[]; spec: ContainerSpec }> {
    const clock = new FakeClock()
    const driver = new FakeRuntime(clock, () => behaviour)
    const exits: ContainerRecord[] = []
    driver.onExit((container) => exits.push(container))
    await driver.start()
    await driver.createSandbox(sandboxSpec('pod'))
    return { clock, driver, exits, spec: containerSpec(place, 'c', 'pod', ['x']) }
  }

  it('ends a container at its scripted time, not before', async () => {
    const { clock, driver, exits, spec } = await runtime({ exitAfter: 1000, oomKilled: true })
    await driver.createContainer(spec)
    await driver.startContainer('c')
    await clock.advance(999)
    assert.equal(exits.length, 0)
    await clock.advance(1)
    assert.equal(exits.length, 1)
    const { state } = exits[0]!
    assert.ok(
      state.state === 'exited' &&
        state.oomKilled &&
        state.exitCode === 137 &&
        state.finishedAt - state.startedAt === 1000,
    )
  })

  it('takes the scripted time to stop', async () => {
    const { clock, driver, exits, spec } = await runtime({ stopAfter: 500 })
    await driver.createContainer(spec)
    await driver.startContainer('c')
    await driver.killContainer('c', 'SIGTERM')
    await clock.advance(499)
    assert.equal(exits.length, 0)
    await clock.advance(1)
    assert.ok(exits[0]?.state.state === 'exited' && exits[0].state.exitCode === 143)
    assert.deepEqual(driver.machine.containers.get('c')?.signals, [15])
  })

  it('loses everything in a reboot, and tells of it', async () => {
    const { driver, exits, spec } = await runtime({})
    await driver.createContainer(spec)
    await driver.startContainer('c')
    await driver.stop()
    driver.machine.reboot()
    await driver.start()
    assert.deepEqual(await driver.list(), { sandboxes: [], containers: [] })
    assert.ok(exits[0]?.state.state === 'exited' && exits[0].state.exitCode === 255)
  })
})
