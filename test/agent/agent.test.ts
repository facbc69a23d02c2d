import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runAgent } from '../../agent/agent.ts'
import type { NetworkReconciler, PodGuard } from '../../agent/network/contract.ts'
import { AGENT_SETTINGS } from '../../agent/config.ts'
import { FakeMachine, FakeRuntime } from '../../agent/runtime/fake.ts'
import { FileState } from '../../agent/state/file.ts'
import { isTmpfs, mountsUnder, unmountUnder } from '../../agent/host/mount-table.ts'
import { parseConfig } from '../../proto/base/config-file.ts'
import { connect } from '../../proto/rpc/rpc.ts'
import { systemClock } from '../../proto/base/clock.ts'
import { run as runProgram } from '../../proto/base/command.ts'
import { silentLogger } from '../../proto/base/logger.ts'
import { seededRandom } from '../../proto/base/random.ts'
import type { Node, ObservedPod } from '../../proto/gen/types.ts'
import { FakeImages, FakeNetwork, makePod, until } from './fakes.ts'
import { FakeController, type FakeSession } from './session/fake-controller.ts'

describe('agent', () => {
  let directory: string
  let controller: FakeController
  let agent: { stop(): Promise<void> }
  const machine = new FakeMachine(systemClock)
  const network = new FakeNetwork()
  let images: FakeImages
  /** What the node's network hears, in order. */
  const heard: string[] = []
  const guard: PodGuard = {
    adopt: (given) => void heard.push(`lives on: ${[...given.values()].join()}`),
    protect: () => Promise.resolve(),
    forget: () => undefined,
  }
  const part: NetworkReconciler = {
    name: 'part',
    confirmsRevision: false,
    apply: async (view) => void heard.push(`revision ${view.revision}`),
    stop: () => Promise.resolve(),
  }

  /** Where the runtime lets files stand that a container may write to. */
  function boundedPlace(sandboxId: string): string {
    return join(directory, 'bounded', sandboxId)
  }

  function start(): void {
    const stopping = new AbortController()
    const config = parseConfig(
      JSON.stringify({
        name: 'n1',
        controllers: [controller.address],
        stateDir: join(directory, 'state'),
        runDir: join(directory, 'run'),
      }),
      'test',
      AGENT_SETTINGS,
    )
    const running = runAgent(
      {
        config,
        version: '1',
        images,
        networking: () => ({ network, guard, parts: [part] }),
        run: runProgram,
        runtime: Object.assign(new FakeRuntime(systemClock, () => ({}), machine), { podFiles: boundedPlace }),
        state: new FileState(join(directory, 'state/state')),
        connect: (address) => connect(address),
        clock: systemClock,
        random: seededRandom(3),
        log: silentLogger,
      },
      stopping.signal,
    )
    agent = {
      async stop() {
        stopping.abort()
        await running
      },
    }
  }

  /** A session of the agent, welcomed. */
  async function session(count: number): Promise<FakeSession> {
    await until(
      `session ${count}`,
      () => controller.sessions.length === count && controller.last!.cases()[0] === 'hello',
    )
    controller.last!.welcome(hello(controller.last!))
    return controller.last!
  }

  function hello(end: FakeSession): Node {
    const message = end.received[0]!.message
    assert.ok(message?.case === 'hello')
    return { ...message.value.node!, spec: { podCIDR: '10.1.0.0/24' } }
  }

  function told(end: FakeSession, name: string): ObservedPod | undefined {
    return end.received
      .flatMap(({ message }) => (message?.case === 'statuses' ? message.value.pods : []))
      .findLast((pod) => pod.name === name)
  }

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'gantry-agent-'))
    images = new FakeImages(join(directory, 'rootfs'))
    controller = new FakeController()
    await controller.start()
    start()
  })

  after(async () => {
    await agent.stop()
    await controller.stop()
    await unmountUnder(directory)
    await rm(directory, { recursive: true, force: true })
  })

  it('registers the machine and runs what it is given', async () => {
    const first = await session(1)
    assert.equal(hello(first).status.capacity!.pods, '250')
    first.send({
      case: 'network',
      value: {
        complete: true,
        sequence: 1,
        revision: 7,
        set: [{ key: 'PeerNode/n1', entry: { case: 'peer', value: { name: 'n1' } } }],
        removed: [],
        more: false,
      },
    })
    first.complete(makePod('web'))
    await until('web runs', () => told(first, 'web')?.status?.phase === 'Running')
    assert.deepEqual(network.ranges?.podCidrs, ['10.1.0.0/24'])
    assert.equal(await isTmpfs(join(directory, 'run')), true)
    const [container] = machine.containers.values()
    for (const destination of ['/etc/hosts', '/etc/hostname', '/etc/resolv.conf', '/dev/termination-log']) {
      const source = container!.spec.mounts.find((mount) => mount.destination === destination)!.source
      assert.ok(source.startsWith(`${boundedPlace('uid-web')}/`), `${destination} is ${source}`)
    }
    await until('events are told', () =>
      first.received.some(
        ({ message }) => message?.case === 'events' && message.value.events.some((event) => event.reason === 'Started'),
      ),
    )
  })

  it('restarts without touching what runs, and tells the same again', async () => {
    const before = told(controller.last!, 'web')!
    await agent.stop()
    assert.equal(machine.containers.size, 1)
    const mounts = await mountsUnder(directory)
    heard.length = 0
    start()
    const second = await session(2)
    await until('it is told', () => told(second, 'web') !== undefined)
    // What guards pods hears of those that live on before it is asked to follow what the run before knew.
    assert.deepEqual(heard.slice(0, 2), [`lives on: ${told(second, 'web')!.status!.podIP!}`, 'revision 7'])
    assert.deepEqual(await mountsUnder(directory), mounts)
    assert.equal(
      told(second, 'web')!.status!.containerStatuses![0]!.containerID,
      before.status!.containerStatuses![0]!.containerID,
    )
    assert.deepEqual(told(second, 'web')!.status!.conditions, before.status!.conditions)
    second.complete(makePod('web'))
    second.change([makePod('db')])
    await until('db runs', () => told(second, 'db')?.status?.phase === 'Running')
    assert.equal(machine.containers.size, 2)
  })

  it('keeps pods running while no controller answers, and ends those that are not assigned any more', async () => {
    await controller.stop()
    const [container] = machine.containers.values()
    machine.end(container!, 1)
    await until(
      'it is started again without a controller',
      () => [...machine.containers.values()].filter((other) => other.state.state === 'running').length === 2,
    )
    await controller.start()
    const third = await session(3)
    assert.equal(told(third, 'web')?.status?.containerStatuses![0]!.restartCount ?? 1, 1)
    third.complete(makePod('db'))
    await until('web is gone', () => machine.sandboxes.size === 1)
  })
})
