import assert from 'node:assert/strict'
import { ConsistentReads } from '../../../controller/api/consistent-reads.ts'
import { ObjectRegistry } from '../../../controller/api/objects.ts'
import { createParticipants } from '../../../controller/participants.ts'
import { GroupCommit } from '../../../controller/store/group-commit.ts'
import { objectKey } from '../../../controller/store/keys.ts'
import { RunGroup } from '../../../proto/base/run-group.ts'
import { encodeResource } from '../../../proto/codec/wire.ts'
import { committed } from '../../contract/store.ts'
import { Dispatcher } from '../../../controller/dispatch/dispatcher.ts'
import { NodeRegistry } from '../../../controller/dispatch/registration.ts'
import { controllerOf, SESSION_ANNOTATION } from '../../../controller/nodehealth/node-session.ts'
import { StoreInformer } from '../../../controller/informer/informer.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { FakeClock, systemClock, type Clock } from '../../../proto/base/clock.ts'
import { silentLogger } from '../../../proto/base/logger.ts'
import { seededRandom } from '../../../proto/base/random.ts'
import type { Node, NodeCondition } from '../../../proto/gen/types.ts'
import { eventually } from '../../eventually.ts'
import { ControlPlane } from '../control-plane.ts'
import { CLUSTER_NETWORK, NO_PEERS, sink, TestNode } from './test-node.ts'

const USER = { fieldManager: 'somebody' }

/** Controllers over one store, each with a dispatcher. */
class Controllers {
  readonly clock: Clock
  plane!: ControlPlane
  readonly #stops: (() => Promise<void>)[] = []

  constructor(clock: Clock = systemClock) {
    this.clock = clock
  }

  async start(): Promise<void> {
    this.plane = await ControlPlane.start(this.clock)
  }

  dispatcher(seed = 2, controller = 'c1'): Dispatcher {
    const dispatcher = new Dispatcher({
      api: this.plane.api,
      informer: this.plane.informer,
      events: sink([]),
      clock: this.clock,
      random: seededRandom(seed),
      logger: silentLogger,
      controller,
      cluster: CLUSTER_NETWORK,
      peers: NO_PEERS,
    })
    const stop = new AbortController()
    const running = dispatcher.run(stop.signal)
    this.#stops.push(async () => {
      stop.abort()
      await running
    })
    return dispatcher
  }

  node(name = 'n1'): Node | undefined {
    return this.plane.informer.lister('Node').get('', name)
  }

  condition(type: string, name = 'n1'): NodeCondition | undefined {
    return this.node(name)?.status.conditions?.find((condition) => condition.type === type)
  }

  async stop(): Promise<void> {
    for (const stop of this.#stops) await stop()
    await this.plane.stop()
  }
}

function pressure(status: 'True' | 'False', second: number): NodeCondition {
  const time = `2026-01-01T00:00:0${second}Z`
  return {
    type: 'MemoryPressure',
    status,
    reason: status === 'True' ? 'Much' : 'Little',
    lastHeartbeatTime: time,
    lastTransitionTime: time,
  }
}

/** What an agent says of its node. */
function reporting(name: string, podCIDRs: string[] = []): Node {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, namespace: '', uid: name, resourceVersion: '' },
    spec: { podCIDR: podCIDRs[0], podCIDRs },
    status: {},
  }
}

/** The API of a further controller over the same store, with a cache of its own. */
async function replica(
  { store }: ControlPlane,
  group: RunGroup,
  { seed, podCidr }: { seed: number; podCidr?: string },
): Promise<ObjectRegistry> {
  const random = seededRandom(seed)
  const informer = new StoreInformer({ store, clock: systemClock, random, logger: silentLogger })
  group.add((signal) => informer.run(signal))
  await informer.synced()
  const reads = new ConsistentReads(store, informer)
  const participants = createParticipants({ informer, reads, store, random, podCidr })
  return new ObjectRegistry({
    informer,
    reads,
    commits: new GroupCommit(store),
    clock: systemClock,
    random,
    participants,
  })
}

/** A node that is welcomed. */
async function welcomed(node: TestNode): Promise<TestNode> {
  await eventually(() => node.assignments.length > 0)
  return node
}

async function leave(node: TestNode): Promise<void> {
  node.sent.close()
  await node.ended
}

describe('registration of nodes', () => {
  let controllers: Controllers
  let plane: ControlPlane
  let dispatcher: Dispatcher

  beforeEach(async () => {
    controllers = new Controllers()
    await controllers.start()
    plane = controllers.plane
    dispatcher = controllers.dispatcher()
  })

  afterEach(() => controllers.stop())

  describe('labels', () => {
    const labels = (): Record<string, string> | undefined => controllers.node()?.metadata.labels

    async function register(stated: Record<string, string>): Promise<void> {
      await leave(await welcomed(new TestNode(dispatcher, 'n1', 'n1', { labels: stated })))
    }

    it('of the agent go when it states them no more; those of users stay', async () => {
      await register({ zone: 'a', disk: 'ssd' })
      await plane.api.mutate(
        'Node',
        '',
        'n1',
        '',
        (node) => void (node.metadata.labels = { ...node.metadata.labels, team: 'web' }),
        USER,
      )
      await register({ zone: 'b' })
      assert.deepEqual(labels(), { 'kubernetes.io/hostname': 'n1', zone: 'b', team: 'web' })
    })

    it("that a user changed are the user's, also when the agent states them no more", async () => {
      await register({ zone: 'a' })
      await plane.api.mutate(
        'Node',
        '',
        'n1',
        '',
        (node) => void (node.metadata.labels = { ...node.metadata.labels, zone: 'mine' }),
        USER,
      )
      await register({ zone: 'b' })
      assert.equal(labels()?.zone, 'mine')
      await register({})
      assert.equal(labels()?.zone, 'mine')
    })

    it("of the machine are the agent's to say", async () => {
      await register({})
      await plane.api.mutate(
        'Node',
        '',
        'n1',
        '',
        (node) => void (node.metadata.labels = { 'kubernetes.io/hostname': 'other' }),
        USER,
      )
      await register({})
      assert.equal(labels()?.['kubernetes.io/hostname'], 'n1')
    })
  })

  it('sets taints on a new node only', async () => {
    const taints = [{ key: 'k', value: 'v', effect: 'NoSchedule' as const }]
    await leave(await welcomed(new TestNode(dispatcher, 'n1', 'n1', { spec: { taints } })))
    assert.deepEqual(controllers.node()?.spec.taints, taints)
    await plane.api.mutate('Node', '', 'n1', '', (node) => void (node.spec.taints = []), USER)
    await welcomed(new TestNode(dispatcher, 'n1', 'n1', { spec: { taints } }))
    assert.equal(controllers.node()?.spec.taints, undefined)
  })

  it("takes from a node nothing that is the control plane's or the user's to say", async () => {
    await plane.api.create({ kind: 'Node', metadata: { name: 'n1' }, spec: { unschedulable: true } }, USER)
    const node = await welcomed(
      new TestNode(dispatcher, 'n1', 'n1', {
        spec: { unschedulable: false, podCIDR: '192.168.0.0/24', providerID: 'p' },
      }),
    )
    assert.deepEqual(controllers.node()?.spec, {
      unschedulable: true,
      podCIDR: '10.244.0.0/24',
      podCIDRs: ['10.244.0.0/24'],
    })
    assert.equal(node.welcomed?.spec.podCIDR, '10.244.0.0/24')
  })

  describe('of an object that is deleted', () => {
    it('ends the session, so that the node registers again, with the range that its pods have', async () => {
      await welcomed(new TestNode(dispatcher, 'n0'))
      const first = await welcomed(new TestNode(dispatcher, 'n1'))
      const { podCIDR } = first.welcomed!.spec
      assert.equal(podCIDR, '10.244.1.0/24')
      await plane.api.delete('Node', '', 'n0', {}, USER)
      await plane.api.delete('Node', '', 'n1', {}, USER)
      assert.ok(GantryError.is(await first.ended, 'NotFound'))
      assert.equal(controllers.node(), undefined)
      const second = await welcomed(new TestNode(dispatcher, 'n1', 'n1', { spec: { podCIDR } }))
      assert.equal(second.welcomed?.spec.podCIDR, podCIDR)
      assert.equal(controllers.condition('Ready')?.status, 'True')
    })

    it('does not take pods from the node', async () => {
      const pod = await plane.api.create(
        {
          kind: 'Pod',
          metadata: { name: 'a', namespace: 'default' },
          spec: { containers: [{ name: 'c', image: 'busybox' }] },
        },
        USER,
      )
      const first = await welcomed(new TestNode(dispatcher, 'n1'))
      await plane.api.bind('default', 'a', pod.metadata.uid, 'n1', USER)
      await eventually(() => first.holds.includes('Pod/a'))
      await plane.api.delete('Node', '', 'n1', {}, USER)
      await first.ended
      assert.deepEqual(first.holds, ['Pod/a'])
      assert.deepEqual((await welcomed(new TestNode(dispatcher, 'n1'))).holds, ['Pod/a'])
    })

    it('gives the range to another when it is asked for again too late', async () => {
      const first = await welcomed(new TestNode(dispatcher, 'n1'))
      await plane.api.delete('Node', '', 'n1', {}, USER)
      await first.ended
      await welcomed(new TestNode(dispatcher, 'n2'))
      const again = await welcomed(new TestNode(dispatcher, 'n1', 'n1', { spec: { podCIDR: '10.244.0.0/24' } }))
      assert.deepEqual(
        [controllers.node('n2')?.spec.podCIDR, again.welcomed?.spec.podCIDR],
        ['10.244.0.0/24', '10.244.1.0/24'],
      )
    })
  })

  it('gives many nodes that come at once a range each', async () => {
    const nodes = await Promise.all(
      Array.from({ length: 20 }, (_, index) => welcomed(new TestNode(dispatcher, `n${index}`))),
    )
    assert.equal(new Set(nodes.map((node) => node.welcomed!.spec.podCIDR)).size, 20)
  })

  it('gives nodes a range each through two controllers whose caches lag', async () => {
    const group = new RunGroup()
    const registries = await Promise.all(
      [1, 2].map(async (seed) => {
        const api = await replica(plane, group, { seed })
        return new NodeRegistry({ api, informer: plane.informer, clock: systemClock, controller: `c${seed}` })
      }),
    )
    const nodes = await Promise.all(
      Array.from({ length: 20 }, (_, index) => registries[index % 2]!.register(reporting(`n${index}`), `s${index}`)),
    )
    assert.equal(new Set(nodes.map(({ spec }) => spec.podCIDR)).size, 20)
    group.stop()
    await group.wait()
  })

  it('gives a node a range per family, and the second one to a node that had one when the cluster had one', async () => {
    const group = new RunGroup()
    const registry = async (podCidr: string): Promise<NodeRegistry> =>
      new NodeRegistry({
        api: await replica(plane, group, { seed: 1, podCidr }),
        informer: plane.informer,
        clock: systemClock,
        controller: 'c1',
      })
    await (await registry('10.244.0.0/16')).register(reporting('n1'), 's1')
    const dual = await registry('10.244.0.0/16,fd00:10:244::/48')
    const [first, second] = [
      await dual.register(reporting('n1'), 's2'),
      await dual.register(reporting('n2', ['10.244.7.0/24', 'fd00:10:244:9::/64']), 's1'),
    ]
    assert.deepEqual(first.spec.podCIDRs, ['10.244.0.0/24', 'fd00:10:244::/64'])
    assert.deepEqual(second.spec, { podCIDR: '10.244.7.0/24', podCIDRs: ['10.244.7.0/24', 'fd00:10:244:9::/64'] })
    assert.equal(second.metadata.annotations?.['gantry.dev/pod-range'], undefined)
    assert.deepEqual((await (await registry('fd00:10:244::/48')).register(reporting('n3'), 's1')).spec, {
      podCIDR: 'fd00:10:244:1::/64',
      podCIDRs: ['fd00:10:244:1::/64'],
    })
    group.stop()
    await group.wait()
  })

  it("refuses a node whose range is another's already, and says what to do", async () => {
    const spec = { podCIDR: '10.244.0.0/24', podCIDRs: ['10.244.0.0/24'] }
    await plane.api.create({ kind: 'Node', metadata: { name: 'n1' }, spec }, USER)
    await assert.rejects(
      plane.api.create({ kind: 'Node', metadata: { name: 'n2' }, spec }, USER),
      (error: GantryError) =>
        error.code === 'InvalidArgument' && /10\.244\.0\.0\/24 is taken by Node n1/.test(error.message),
    )
    // As a version stored it that knew no claims.
    const stored = encodeResource({ ...reporting('n2', spec.podCIDRs), spec })
    await committed(plane.store, {
      kind: 'put',
      key: objectKey('Node', '', 'n2'),
      value: stored,
      expect: { is: 'any' },
    })
    await welcomed(new TestNode(dispatcher, 'n1'))
    const ended = await new TestNode(dispatcher, 'n2').ended
    assert.ok(
      GantryError.is(ended, 'FailedPrecondition') &&
        ended.message === 'the address range 10.244.0.0/24 of node n2 is also that of node n1',
      String(ended),
    )
    await plane.api.delete('Node', '', 'n2', {}, USER)
    assert.equal((await welcomed(new TestNode(dispatcher, 'n2'))).welcomed?.spec.podCIDR, '10.244.1.0/24')
  })

  describe('status', () => {
    it('takes what the node reports, keeps Ready and what others say of it, and moves a transition only with the status', async () => {
      const node = await welcomed(
        new TestNode(dispatcher, 'n1', 'n1', {
          status: { conditions: [pressure('False', 1)], images: [{ names: ['a'], sizeBytes: 1 }] },
        }),
      )
      await plane.api.mutate(
        'Node',
        '',
        'n1',
        'status',
        ({ status }) => void (status.conditions = [...status.conditions!, { type: 'KernelDeadlock', status: 'False' }]),
        USER,
      )
      node.sent.push({
        message: {
          case: 'node',
          value: {
            status: {
              capacity: { cpu: '4' },
              conditions: [pressure('True', 2), { type: 'Ready', status: 'False' }],
              images: [],
            },
          },
        },
      })
      await eventually(() => controllers.node()?.status.capacity?.cpu === '4')
      assert.deepEqual(
        controllers
          .node()
          ?.status.conditions?.map(({ type, status }) => [type, status])
          .sort(),
        [
          ['KernelDeadlock', 'False'],
          ['MemoryPressure', 'True'],
          ['Ready', 'True'],
        ],
      )
      assert.equal(controllers.condition('MemoryPressure')?.lastTransitionTime, '2026-01-01T00:00:02Z')
      assert.equal(controllers.node()?.status.images, undefined)
      node.sent.push({
        message: { case: 'node', value: { status: { capacity: { cpu: '5' }, conditions: [pressure('True', 3)] } } },
      })
      await eventually(() => controllers.node()?.status.capacity?.cpu === '5')
      assert.equal(controllers.condition('MemoryPressure')?.lastTransitionTime, '2026-01-01T00:00:02Z')
      assert.equal(controllers.condition('MemoryPressure')?.lastHeartbeatTime, '2026-01-01T00:00:03Z')
    })

    it('of a session that is over counts for nothing', async () => {
      const older = await welcomed(new TestNode(dispatcher, 'n1'))
      await welcomed(new TestNode(dispatcher, 'n1'))
      await older.ended
      older.sent.push({ message: { case: 'node', value: { status: { capacity: { cpu: '9' } } } } })
      const registry = new NodeRegistry({
        api: plane.api,
        informer: plane.informer,
        clock: systemClock,
        controller: 'c1',
      })
      await registry.report('n1', 'another', { capacity: { cpu: '8' } })
      await registry.report('gone', 'another', { capacity: { cpu: '8' } })
      assert.equal((await plane.api.get('Node', '', 'n1')).status.capacity?.cpu, '2')
    })
  })
})

describe('nodes and several controllers', () => {
  it('a node that went to another controller is not marked as lost by the first, and its session there ends', async () => {
    const clock = new FakeClock()
    const controllers = new Controllers(clock)
    await controllers.start()
    const [a, b] = [controllers.dispatcher(3, 'c1'), controllers.dispatcher(4, 'c2')]
    const first = await welcomed(new TestNode(a, 'n1'))
    const second = await welcomed(new TestNode(b, 'n1'))
    assert.ok(GantryError.is(await first.ended, 'Conflict'))
    for (let seconds = 0; seconds < 8; seconds += 2) {
      await clock.advance(2_000)
      second.sent.push({ message: { case: 'heartbeat', value: { uptimeMillis: 1 } } })
    }
    await clock.advance(2_000)
    assert.equal(controllers.condition('Ready')?.status, 'True')
    assert.equal(await Promise.race([second.ended.then(() => 'ended'), Promise.resolve('open')]), 'open')
    await leave(second)
    await clock.advance(5_000)
    await eventually(() => controllers.condition('Ready')?.status === 'Unknown')
    await controllers.stop()
  })

  it('a controller that starts marks nodes that do not come back, and no other', async () => {
    const clock = new FakeClock()
    const controllers = new Controllers(clock)
    await controllers.start()
    const before = controllers.dispatcher(3)
    const stays = await welcomed(new TestNode(before, 'stays'))
    await welcomed(new TestNode(before, 'silent'))
    controllers.dispatcher(4)
    await clock.advance(3_000)
    await leave(stays)
    await welcomed(new TestNode(before, 'stays'))
    await clock.advance(2_000)
    await eventually(() => controllers.condition('Ready', 'silent')?.status === 'Unknown')
    assert.equal(controllers.condition('Ready', 'stays')?.status, 'True')
    await controllers.stop()
  })

  it('a call without a hello is ended', async () => {
    const clock = new FakeClock()
    const controllers = new Controllers(clock)
    await controllers.start()
    const silent = new TestNode(controllers.dispatcher(), 'n1', 'n1', {}, false)
    await clock.advance(5_000)
    assert.ok(GantryError.is(await silent.ended, 'DeadlineExceeded'))
    await controllers.stop()
  })

  it("names the session and the controller that holds it in the node's object", async () => {
    const controllers = new Controllers()
    await controllers.start()
    const node = await welcomed(new TestNode(controllers.dispatcher(), 'n1'))
    const first = node.received[0]!.message
    assert.equal(
      controllers.node()?.metadata.annotations?.[SESSION_ANNOTATION],
      first?.case === 'welcome' && first.value.sessionId,
    )
    assert.equal(controllerOf(controllers.node()!), 'c1')
    await controllers.stop()
  })
})
