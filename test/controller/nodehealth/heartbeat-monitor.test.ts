/**
 * What becomes of a node's object while its session speaks, is silent, ends and begins again: real dispatchers,
 * scripted agents, fake time.
 */
import assert from 'node:assert/strict'
import { Dispatcher } from '../../../controller/dispatch/dispatcher.ts'
import { healthOf } from '../../../controller/nodehealth/health.ts'
import { HeartbeatMonitor } from '../../../controller/nodehealth/heartbeat-monitor.ts'
import type { Liveness } from '../../../controller/nodehealth/liveness.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { formatTime } from '../../../proto/base/time.ts'
import { FakeClock, type Clock } from '../../../proto/base/clock.ts'
import { silentLogger } from '../../../proto/base/logger.ts'
import { seededRandom } from '../../../proto/base/random.ts'
import { RunGroup } from '../../../proto/base/run-group.ts'
import type { Node, NodeCondition } from '../../../proto/gen/types.ts'
import { eventually } from '../../eventually.ts'
import { ControlPlane } from '../control-plane.ts'
import { interceptedApi } from '../intercepted-api.ts'
import { CLUSTER_NETWORK, NO_PEERS, sink, TestNode, type Recorded } from '../dispatch/test-node.ts'

const PRESSURE: NodeCondition = { type: 'MemoryPressure', status: 'False', reason: 'Little' }

describe("a node's life", () => {
  let clock: FakeClock
  let plane: ControlPlane
  let group: RunGroup
  let told: Recorded[]
  let dispatcher: Dispatcher

  /** The store takes no change while this is set. */
  let away = false

  const start = (controller = 'c1', seed = 2): Dispatcher => {
    const api = interceptedApi(plane.api, {
      before: ({ verb }) => {
        if (away && verb === 'mutate') throw new GantryError('Unavailable', 'the store is away')
      },
    })
    const made = new Dispatcher({
      api,
      informer: plane.informer,
      events: sink([], told),
      clock,
      random: seededRandom(seed),
      logger: silentLogger,
      controller,
      cluster: CLUSTER_NETWORK,
      peers: NO_PEERS,
    })
    group.add((signal) => made.run(signal))
    return made
  }

  beforeEach(async () => {
    away = false
    clock = new FakeClock()
    plane = await ControlPlane.start(clock)
    group = new RunGroup()
    told = []
    dispatcher = start()
  })

  afterEach(async () => {
    group.stop()
    await group.wait()
    await plane.stop()
  })

  const node = (): Node => plane.informer.lister('Node').get('', 'n1')!
  const ready = (): NodeCondition => node().status.conditions!.find(({ type }) => type === 'Ready')!
  const health = (): string => healthOf(node()).is
  const beat = (agent: TestNode): boolean =>
    agent.sent.push({ message: { case: 'heartbeat', value: { uptimeMillis: 1 } } })
  const becomes = (expected: string): Promise<unknown> => eventually(() => health() === expected)

  async function connect(to = dispatcher): Promise<TestNode> {
    const agent = new TestNode(to, 'n1', 'n1', { status: { conditions: [PRESSURE] } })
    await eventually(() => agent.assignments.length === 1)
    return agent
  }

  async function leave(agent: TestNode): Promise<void> {
    agent.sent.close()
    await agent.ended
  }

  it('is written at its changes, not at heartbeats', async () => {
    const agent = await connect()
    const before = await plane.store.revision()
    for (let second = 0; second < 20; second++) {
      await clock.advance(1_000)
      beat(agent)
    }
    assert.equal(await plane.store.revision(), before)
    assert.equal(health(), 'ready')
  })

  it('goes from ready to suspect at 3 s and to lost at 5 s, and says since when and who saw it', async () => {
    const since = formatTime(clock.now())
    const agent = await connect()
    await clock.advance(2_999)
    assert.equal(health(), 'ready')
    await clock.advance(1)
    await becomes('suspect')
    assert.deepEqual(
      [ready().status, ready().reason, ready().message, ready().lastHeartbeatTime],
      ['Unknown', 'NodeSuspect', `no sign of life since ${since} (seen by c1)`, since],
    )
    await clock.advance(1_999)
    assert.equal(health(), 'suspect')
    await clock.advance(1)
    await becomes('lost')
    assert.deepEqual([ready().status, ready().reason, ready().lastHeartbeatTime], ['Unknown', 'NodeLost', since])
    assert.ok(GantryError.is(await agent.ended, 'Unavailable'))
    const pressure = node().status.conditions!.find(({ type }) => type === 'MemoryPressure')!
    assert.deepEqual([pressure.status, pressure.reason], ['Unknown', 'NodeStatusUnknown'])
    assert.deepEqual(
      told.map(({ type, reason }) => `${type} ${reason}`),
      ['Warning NodeSuspect', 'Warning NodeLost'],
    )
  })

  it('a suspect that speaks again in its session is ready', async () => {
    const agent = await connect()
    await clock.advance(4_000)
    await becomes('suspect')
    beat(agent)
    await becomes('ready')
    await clock.advance(2_999)
    assert.equal(health(), 'ready')
    await clock.advance(1)
    await becomes('suspect')
    assert.deepEqual(
      told.map(({ reason }) => reason),
      ['NodeSuspect', 'NodeReady', 'NodeSuspect'],
    )
  })

  it('an agent that is away for less than 3 s changes nothing that is seen', async () => {
    await leave(await connect())
    await clock.advance(2_900)
    await connect()
    await clock.advance(2_900)
    assert.deepEqual([health(), told.length], ['ready', 0])
  })

  it('counts from the last sign of life, not from when the session closed', async () => {
    const agent = await connect()
    await clock.advance(2_500)
    await leave(agent)
    await clock.advance(500)
    await becomes('suspect')
    await clock.advance(2_000)
    await becomes('lost')
  })

  it('a lost node is back the moment it registers', async () => {
    await leave(await connect())
    await clock.advance(5_000)
    await becomes('lost')
    await connect()
    assert.equal(health(), 'ready')
    assert.deepEqual([ready().status, ready().reason], ['True', 'SessionOpen'])
    assert.equal(node().status.conditions!.find(({ type }) => type === 'MemoryPressure')!.status, 'False')
    assert.equal(told.at(-1)!.reason, 'NodeReady')
  })

  it('down for 4 s and up again, over and over, is never lost', async () => {
    for (let round = 0; round < 6; round++) {
      const agent = await connect()
      await leave(agent)
      await clock.advance(4_000)
      await becomes('suspect')
    }
    assert.ok(told.every(({ reason }) => reason !== 'NodeLost'))
  })

  it('is not counted by a controller from which the node has gone to another', async () => {
    const other = start('c2', 3)
    const first = await connect()
    const second = await connect(other)
    assert.ok(GantryError.is(await first.ended, 'Conflict'))
    for (let seconds = 0; seconds < 8; seconds += 2) {
      await clock.advance(2_000)
      beat(second)
    }
    assert.deepEqual([health(), told.length], ['ready', 0])
    await leave(second)
    await clock.advance(5_000)
    await becomes('lost')
    assert.match(ready().message!, /\(seen by c2\)$/)
  })

  it('is given the whole time anew by a controller that starts again under its name', async () => {
    group.stop()
    await group.wait()
    group = new RunGroup()
    dispatcher = start()
    await connect()
    group.stop()
    await group.wait()
    await clock.advance(60_000)
    group = new RunGroup()
    start('c1', 5)
    await clock.advance(2_999)
    assert.equal(health(), 'ready')
    await clock.advance(1)
    await becomes('suspect')
    await clock.advance(2_000)
    await becomes('lost')
  })

  it('is left alone by a controller that was never its', async () => {
    group.stop()
    await group.wait()
    group = new RunGroup()
    dispatcher = start()
    await connect()
    group.stop()
    await group.wait()
    group = new RunGroup()
    start('c2', 5)
    await clock.advance(60_000)
    assert.equal(health(), 'ready')
  })

  it('is written once the store takes it, as it is by then', async () => {
    const agent = await connect()
    away = true
    await clock.advance(4_000)
    beat(agent)
    await clock.advance(500)
    away = false
    await clock.advance(1_000)
    assert.deepEqual([health(), told.length], ['ready', 0])
    away = true
    await clock.advance(4_000)
    away = false
    await clock.advance(1_500)
    await becomes('lost')
    assert.deepEqual(
      told.map(({ reason }) => reason),
      ['NodeLost'],
    )
  })
})

describe('a controller that stood still', () => {
  it('hears what nodes said meanwhile before it judges them', async () => {
    const clock = new FakeClock()
    let offset = 0
    /** Runs ahead of its timers by what the program stood still. */
    const late: Clock = {
      now: () => clock.now() + offset,
      monotonic: () => clock.monotonic() + offset,
      after: (millis, call) => clock.after(Math.max(0, millis), call),
    }
    const seen: string[] = []
    const watch = new HeartbeatMonitor({
      write: async () => undefined,
      changed: (node, _session, { is }: Liveness) => void seen.push(`${node} ${is}`),
      clock: late,
      random: seededRandom(1),
      logger: silentLogger,
    })
    const group = new RunGroup()
    group.add((signal) => watch.run(signal))
    watch.begin('speaks', 's')
    watch.begin('silent', 's')
    offset = 10_000
    await clock.advance(3_000)
    assert.deepEqual(seen, [])
    watch.messageReceived('speaks', 's')
    await clock.advance(499)
    assert.deepEqual(seen, [])
    await clock.advance(1)
    assert.deepEqual(seen, ['silent lost'])
    group.stop()
    await group.wait()
  })
})

describe('a controller that is cut off from the store', () => {
  it('judges nobody, and counts anew when it reaches the store again', async () => {
    const clock = new FakeClock()
    let cutOff = true
    const seen: string[] = []
    const watch = new HeartbeatMonitor({
      write: async () => undefined,
      changed: (node, _session, { is }: Liveness) => void seen.push(`${node} ${is}`),
      cutOff: () => cutOff,
      clock,
      random: seededRandom(1),
      logger: silentLogger,
    })
    const group = new RunGroup()
    group.add((signal) => watch.run(signal))
    watch.begin('n1', 's')
    await clock.advance(60_000)
    assert.deepEqual(seen, [])
    cutOff = false
    await clock.advance(2_999)
    assert.deepEqual(seen, [])
    await clock.advance(1)
    assert.deepEqual(seen, ['n1 suspect'])
    group.stop()
    await group.wait()
  })
})
