import assert from 'node:assert/strict'
import type { NodeRanges } from '../../../agent/network/contract.ts'
import type { NetworkUpdateHandler } from '../../../agent/network/contract.ts'
import type { AssignmentHandler, NodeStreams } from '../../../agent/session/contract.ts'
import { Outbox } from '../../../agent/session/outbox.ts'
import { Session, type SessionParts } from '../../../agent/session/session.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { connect, type Connection } from '../../../proto/rpc/rpc.ts'
import { systemClock, type Clock } from '../../../proto/base/clock.ts'
import { silentLogger } from '../../../proto/base/logger.ts'
import { seededRandom } from '../../../proto/base/random.ts'
import type {
  Event,
  ExecInput,
  ExecStart,
  LogsRequest,
  NetworkUpdate,
  Node,
  NodeMessage,
  ObservedPod,
} from '../../../proto/gen/types.ts'
import { makePod, until } from '../fakes.ts'
import { FakeController } from './fake-controller.ts'

const NODE: Node = {
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name: 'n1', namespace: '', uid: 'u', resourceVersion: '1' },
  spec: { podCIDR: '10.1.0.0/24' },
  status: {},
}
const LOGS: LogsRequest = {
  namespace: 'default',
  pod: 'web',
  container: '',
  follow: false,
  previous: false,
  sinceTime: '',
  timestamps: false,
}
const EXEC: ExecStart = { namespace: 'default', pod: 'web', container: '', command: ['cat'], stdin: true, tty: false }

function observed(name: string, phase: 'Pending' | 'Running' = 'Running'): ObservedPod {
  return { namespace: 'default', name, uid: `uid-${name}`, status: { phase }, released: false }
}

function event(reason: string): Event {
  return {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: reason, namespace: 'default', uid: '', resourceVersion: '' },
    reason,
  }
}

class RecordedWorkload implements AssignmentHandler, Pick<NodeStreams, 'logs' | 'exec'> {
  readonly assigned: { complete: boolean; names: string[]; removed: number }[] = []
  readonly welcomed: string[] = []
  followers = 0

  welcome(ranges: NodeRanges): Promise<void> {
    this.welcomed.push(ranges.podCidrs.join())
    return Promise.resolve()
  }

  assign(change: Parameters<AssignmentHandler['assign']>[0]): void {
    this.assigned.push({
      complete: change.complete,
      names: change.set.map((object) => object.metadata.name),
      removed: change.removed.length,
    })
  }

  readonly withdrawals: (readonly string[])[] = []

  endpointsDrained(podUids: readonly string[]): void {
    this.withdrawals.push(podUids)
  }

  observations(): ObservedPod[] {
    return [observed('web')]
  }

  async *logs(podUid: string, request: LogsRequest, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    if (podUid !== 'uid-web') throw new GantryError('NotFound', `no pod ${podUid}`)
    yield Buffer.from('line\n')
    if (!request.follow) return
    this.followers++
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
    this.followers--
  }

  async *exec(
    _uid: string,
    _start: ExecStart,
    inputs: AsyncIterable<ExecInput>,
  ): AsyncGenerator<{
    output: { case: 'stdout'; value: Uint8Array } | { case: 'exit'; value: { code: number; message: string } }
  }> {
    for await (const { input } of inputs) {
      if (input?.case === 'stdinClosed') break
      if (input?.case === 'stdin') yield { output: { case: 'stdout', value: input.value } }
    }
    yield { output: { case: 'exit', value: { code: 7, message: '' } } }
  }
}

class RecordedNetwork implements NetworkUpdateHandler {
  readonly updates: NetworkUpdate[] = []
  readonly welcomes: NodeRanges[] = []

  welcome(ranges: NodeRanges): Promise<void> {
    this.welcomes.push(ranges)
    return Promise.resolve()
  }

  update(update: NetworkUpdate): void {
    this.updates.push(update)
  }
}

describe('session', () => {
  let controller: FakeController
  let workload: RecordedWorkload
  let network: RecordedNetwork
  let outbox: Outbox
  let stopping: AbortController
  let running: Promise<void>

  beforeEach(async () => {
    controller = new FakeController()
    await controller.start()
    workload = new RecordedWorkload()
    network = new RecordedNetwork()
    outbox = new Outbox()
    stopping = new AbortController()
    const session = new Session({
      controllers: ['127.0.0.1:1', controller.address],
      connect: (address) => connect(address),
      workload,
      streams: workload,
      network,
      outbox,
      node: () => Promise.resolve(NODE),
      agentId: 'a1',
      version: '1',
      clock: systemClock,
      random: seededRandom(1),
      log: silentLogger,
    })
    running = session.run(stopping.signal)
    await until('a session', () => controller.last?.cases()[0] === 'hello')
  })

  afterEach(async () => {
    stopping.abort()
    await running
    await controller.stop()
  })

  it('passes over a controller that does not answer and says hello to the next', () => {
    const hello = controller.last!.received[0]!.message
    assert.ok(hello?.case === 'hello')
    assert.equal(hello.value.node!.metadata.name, 'n1')
    assert.equal(hello.value.agentId, 'a1')
  })

  it('tells every pod after welcome, then what changes, and beats', async () => {
    outbox.event(event('Before'))
    const session = controller.last!
    session.welcome(NODE, 100)
    await until('statuses and events', () => session.cases().includes('statuses') && session.cases().includes('events'))
    assert.deepEqual(workload.welcomed, ['10.1.0.0/24'])
    const before = session.received.length
    outbox.podStatusChanged(observed('web', 'Pending'))
    outbox.podStatusChanged(observed('web'))
    outbox.podStatusChanged(observed('db'))
    await until('one more batch', () =>
      session.received.slice(before).some(({ message }) => message?.case === 'statuses'),
    )
    const batch = session.received.slice(before).find(({ message }) => message?.case === 'statuses')!.message
    assert.deepEqual(
      (batch as { value: { pods: ObservedPod[] } }).value.pods.map((pod) => [pod.name, pod.status!.phase]),
      [
        ['web', 'Running'],
        ['db', 'Running'],
      ],
    )
    await until('a heartbeat', () => session.cases().includes('heartbeat'))
  })

  it('hands on assignments and begins anew after a gap', async () => {
    const first = controller.last!
    first.welcome(NODE)
    first.complete(makePod('web'))
    first.change([makePod('db')])
    await until('both are assigned', () => workload.assigned.length === 2)
    assert.deepEqual(workload.assigned, [
      { complete: true, names: ['web'], removed: 0 },
      { complete: false, names: ['db'], removed: 0 },
    ])
    first.send({ case: 'withdrawn', value: { podUids: ['uid-web', 'uid-db'] } })
    await until('the withdrawal is handed on', () => workload.withdrawals.length === 1)
    assert.deepEqual(workload.withdrawals, [['uid-web', 'uid-db']])
    first.change([makePod('lost')], 1)
    await until('a second session', () => controller.sessions.length === 2 && controller.last!.cases()[0] === 'hello')
    assert.equal(workload.assigned.length, 2)
  })

  it('comes back after the controller was away, and tells everything again', async () => {
    controller.last!.welcome(NODE)
    await until('statuses', () => controller.last!.cases().includes('statuses'))
    await controller.stop()
    outbox.event(event('Meanwhile'))
    await controller.start()
    await until('a second session', () => controller.sessions.length >= 2 && controller.last!.cases()[0] === 'hello')
    const hello = controller.last!.received[0]!.message
    assert.equal(
      hello?.case === 'hello' && hello.value.node?.spec.podCIDR,
      '10.1.0.0/24',
      'it asks for the range that its pods have addresses of',
    )
    controller.last!.welcome(NODE)
    await until(
      'statuses and events',
      () => controller.last!.cases().includes('statuses') && controller.last!.cases().includes('events'),
    )
  })

  it('answers with a log, and with an error', async () => {
    const session = controller.last!
    session.welcome(NODE)
    session.send({
      case: 'openStream',
      value: { streamId: 'l1', podUid: 'uid-web', request: { case: 'logs', value: LOGS } },
    })
    session.send({
      case: 'openStream',
      value: { streamId: 'l2', podUid: 'uid-none', request: { case: 'logs', value: LOGS } },
    })
    await until(
      'both have ended',
      () => controller.streams.length === 2 && controller.streams.every((stream) => stream.ended),
    )
    const told = controller.streams.map(({ up }) =>
      up.map(({ message }) =>
        message?.case === 'logs'
          ? Buffer.from(message.value.data).toString()
          : message?.case === 'error'
            ? message.value.code
            : message?.value,
      ),
    )
    assert.deepEqual(told.sort(), [
      ['l1', 'line\n'],
      ['l2', 'NotFound'],
    ])
  })

  it('carries a command both ways', async () => {
    const session = controller.last!
    session.welcome(NODE)
    session.send({
      case: 'openStream',
      value: { streamId: 'e1', podUid: 'uid-web', request: { case: 'exec', value: EXEC } },
    })
    await until('it is open', () => controller.streams[0]?.up.length === 1)
    const [stream] = controller.streams
    stream!.down.push({ message: { case: 'exec', value: { input: { case: 'stdin', value: Buffer.from('hi') } } } })
    stream!.down.push({ message: { case: 'exec', value: { input: { case: 'stdinClosed', value: true } } } })
    await until('it has ended', () => stream!.ended)
    assert.deepEqual(
      stream!.up.slice(1).map(({ message }) => (message?.case === 'exec' ? message.value.output?.case : message?.case)),
      ['stdout', 'exit'],
    )
  })

  it('hands on what it is told of the network, says what is followed, and begins anew after a gap', async () => {
    const session = controller.last!
    session.welcome(NODE)
    const update = (sequence: number, complete: boolean): NetworkUpdate => ({
      complete,
      sequence,
      revision: 10 + sequence,
      set: [],
      removed: [],
      more: false,
    })
    session.send({ case: 'network', value: update(1, true) })
    session.send({ case: 'network', value: update(2, false) })
    await until('both are here', () => network.updates.length === 2)
    assert.deepEqual(network.welcomes[0]!.podCidrs, [NODE.spec.podCIDR])
    outbox.networkApplied(11)
    outbox.networkApplied(12)
    await until('the later one is told', () => session.cases().includes('networkApplied'))
    const told = session.received.flatMap(({ message }) =>
      message?.case === 'networkApplied' ? message.value.revision : [],
    )
    assert.deepEqual(told, [12])
    session.send({ case: 'network', value: update(4, false) })
    await until('a new session', () => controller.last !== session)
    assert.equal(network.updates.length, 2)
  })

  it('ends a log that is no longer wanted', async () => {
    const session = controller.last!
    session.welcome(NODE)
    session.send({
      case: 'openStream',
      value: { streamId: 'f1', podUid: 'uid-web', request: { case: 'logs', value: { ...LOGS, follow: true } } },
    })
    await until('it follows', () => workload.followers === 1)
    session.send({ case: 'closeStream', value: 'f1' })
    await until('it has ended', () => workload.followers === 0)
  })
})

describe('session with several controllers', () => {
  const parts = (controllers: readonly string[], seed: number): SessionParts => ({
    controllers,
    connect: (address) => connect(address),
    workload: new RecordedWorkload(),
    network: new RecordedNetwork(),
    outbox: new Outbox(),
    node: () => Promise.resolve(NODE),
    agentId: 'a1',
    version: '1',
    clock: systemClock,
    random: seededRandom(seed),
    log: silentLogger,
  })

  it('leaves one that takes the call and never says welcome', async () => {
    const controllers = [new FakeController(), new FakeController()]
    for (const controller of controllers) await controller.start()
    const stopping = new AbortController()
    const hasty: Clock = { ...systemClock, after: (millis, call) => systemClock.after(millis / 100, call) }
    const running = new Session({
      ...parts(
        controllers.map(({ address }) => address),
        1,
      ),
      clock: hasty,
    }).run(stopping.signal)
    try {
      await until('both were asked', () => controllers.every(({ last }) => last?.cases()[0] === 'hello'))
    } finally {
      stopping.abort()
      await running
      for (const controller of controllers) await controller.stop()
    }
  })

  for (const [controllers, patience] of [
    [['a:1'], [2_000, 4_000, 8_000, 8_000]],
    [
      ['a:1', 'b:1'],
      [1_000, 1_000, 2_000, 2_000, 4_000, 4_000, 4_000],
    ],
  ] as const)
    it(`has more patience after each round in vain through ${controllers.length}`, async () => {
      const stopping = new AbortController()
      const hasty: Clock = { ...systemClock, after: (millis, call) => systemClock.after(millis / 100, call) }
      const waited: number[] = []
      const dial = (address: string): Connection => ({
        address,
        client: () => assert.fail('it is not connected'),
        ready: (timeout) => {
          waited.push(timeout)
          if (waited.length === patience.length) stopping.abort()
          return Promise.reject(new GantryError('DeadlineExceeded', 'slow'))
        },
        onLost: () => undefined,
        close: () => undefined,
      })
      await new Session({ ...parts([...controllers], 1), clock: hasty, connect: dial }).run(stopping.signal)
      assert.deepEqual(waited, patience)
    })

  it('begins with another on each node, and goes on to each in turn', async () => {
    const orders = await Promise.all(
      Array.from({ length: 60 }, async (_, seed) => {
        const stopping = new AbortController()
        const dialled: string[] = []
        const dial = (address: string): never => {
          dialled.push(address)
          if (dialled.length === 3) stopping.abort()
          throw new GantryError('Unavailable', 'down')
        }
        await new Session({ ...parts(['a:1', 'b:1', 'c:1'], seed), connect: dial }).run(stopping.signal)
        return dialled
      }),
    )
    for (const order of orders) assert.deepEqual([...order].sort(), ['a:1', 'b:1', 'c:1'])
    assert.equal(new Set(orders.map(String)).size, 6, 'every order, so that those of one that is gone spread as well')
  })
})

describe('outbox', () => {
  it('keeps the latest status of the node until it can be sent, and forgets what a hello tells', () => {
    const outbox = new Outbox()
    const sent: NodeMessage['message'][] = []
    outbox.nodeStatusChanged({ phase: 'old' })
    outbox.nodeStatusChanged(undefined)
    const close = outbox.open(({ message }) => sent.push(message), [])
    return Promise.resolve()
      .then(() => {
        assert.deepEqual(
          sent.map((message) => message?.case),
          ['statuses'],
        )
        outbox.nodeStatusChanged({ phase: 'first' })
        outbox.nodeStatusChanged({ phase: 'second' })
      })
      .then(() => {
        assert.deepEqual(sent.at(-1), { case: 'node', value: { status: { phase: 'second' } } })
        close()
        outbox.nodeStatusChanged({ phase: 'third' })
        outbox.open(({ message }) => sent.push(message), [])
      })
      .then(() => assert.deepEqual(sent.at(-1), { case: 'node', value: { status: { phase: 'third' } } }))
  })

  it('keeps a bounded number of events and counts what it drops', () => {
    const outbox = new Outbox()
    for (let index = 0; index < 1010; index++) outbox.event(event(`e${index}`))
    assert.equal(outbox.dropped, 10)
  })
})
