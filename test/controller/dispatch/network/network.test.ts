/**
 * What nodes are told of the network, and when a pod counts as withdrawn: the dispatcher with scripted nodes on the
 * memory store.
 */
import assert from 'node:assert/strict'
import { Dispatcher, type DispatcherParts } from '../../../../controller/dispatch/dispatcher.ts'
import { DRAIN_GRACE_MS } from '../../../../controller/dispatch/network/endpoint-drain.ts'
import { GantryError } from '../../../../proto/base/errors.ts'
import { decodeResource } from '../../../../proto/codec/wire.ts'
import { silentLogger } from '../../../../proto/base/logger.ts'
import { seededRandom } from '../../../../proto/base/random.ts'
import { Channel } from '../../../../proto/base/channel.ts'
import { RunGroup } from '../../../../proto/base/run-group.ts'
import type { ControllerMessage, EndpointSlice, NodeMessage, Pod } from '../../../../proto/gen/types.ts'
import { FakeClock } from '../../../../proto/base/clock.ts'
import { eventually } from '../../../eventually.ts'
import { turnsTaken } from '../../../turns.ts'
import { ControlPlane } from '../../control-plane.ts'
import { caller, CLUSTER_NETWORK, NO_PEERS, sink, TestNode } from '../test-node.ts'

const CONTEXT = { fieldManager: 'test' }

describe('the network as nodes are told', () => {
  let plane: ControlPlane
  let clock: FakeClock
  let group: RunGroup

  beforeEach(async () => {
    clock = new FakeClock()
    plane = await ControlPlane.start(clock)
    group = new RunGroup()
  })

  afterEach(async () => {
    group.stop()
    await group.wait()
    await plane.stop()
  })

  function start(controller = 'c1', peers: DispatcherParts['peers'] = NO_PEERS): Dispatcher {
    const dispatcher = new Dispatcher({
      api: plane.api,
      informer: plane.informer,
      events: sink([]),
      clock,
      random: seededRandom(controller.charCodeAt(1)),
      logger: silentLogger,
      controller,
      cluster: CLUSTER_NETWORK,
      peers,
    })
    group.add((signal) => dispatcher.run(signal))
    return dispatcher
  }

  /** Keys and what stands there, after all messages. */
  function known(node: TestNode): Map<string, string> {
    const view = new Map<string, string>()
    for (const { complete, set, removed } of node.network) {
      if (complete) view.clear()
      for (const key of removed) view.delete(key)
      for (const { key, entry } of set)
        view.set(
          key,
          entry?.case === 'object'
            ? decodeResource(entry.value.kind as 'Service', entry.value.raw).metadata.resourceVersion
            : JSON.stringify(entry?.value),
        )
    }
    return view
  }

  const makeSlice = (name: string, pods: readonly Pod[], ready = true): Promise<EndpointSlice> =>
    plane.api.create(
      {
        kind: 'EndpointSlice',
        metadata: { name, namespace: 'default', labels: { 'kubernetes.io/service-name': 'web' } },
        addressType: 'IPv4',
        ports: [{ name: '', port: 80 }],
        endpoints: pods.map(({ metadata: { uid, name: pod } }, index) => ({
          addresses: [`10.244.0.${index + 2}`],
          conditions: { ready },
          targetRef: { kind: 'Pod', namespace: 'default', name: pod, uid },
        })),
      },
      CONTEXT,
    )

  const unready = (name: string): Promise<EndpointSlice> =>
    plane.api.mutate(
      'EndpointSlice',
      'default',
      name,
      '',
      (slice) => {
        slice.endpoints = slice.endpoints?.map((endpoint) => ({
          ...endpoint,
          conditions: { ready: false, serving: true, terminating: true },
        }))
      },
      CONTEXT,
    )

  async function bound(name: string, node: string): Promise<Pod> {
    const pod = await plane.api.create(
      { kind: 'Pod', metadata: { name, namespace: 'default' }, spec: { containers: [{ name: 'c', image: 'one' }] } },
      CONTEXT,
    )
    return plane.api.bind('default', name, pod.metadata.uid, node, CONTEXT)
  }

  const remove = (pod: Pod): Promise<unknown> => plane.api.delete('Pod', 'default', pod.metadata.name, {}, CONTEXT)

  it('tells a node everything at first and then what changes, in numbered messages, before its pods', async () => {
    const dispatcher = start()
    const n1 = new TestNode(dispatcher, 'n1', 'n1', {
      status: { addresses: [{ type: 'InternalIP', address: '10.0.0.1' }] },
    })
    await eventually(() => n1.assignments.length === 1)
    assert.deepEqual(
      n1.received.map(({ message }) => message?.case),
      ['welcome', 'network', 'assignments'],
    )
    const welcome = n1.received[0]!.message
    assert.deepEqual(welcome?.case === 'welcome' && welcome.value.cluster, CLUSTER_NETWORK)
    assert.equal(n1.network[0]!.complete, true)
    const slice = await makeSlice('web-1', [])
    await eventually(() => known(n1).get('EndpointSlice/default/web-1') === slice.metadata.resourceVersion)
    const changed = await unready('web-1')
    await eventually(() => n1.network.at(-1)!.revision >= Number(changed.metadata.resourceVersion))
    new TestNode(dispatcher, 'n2')
    await eventually(() => known(n1).has('PeerNode/n2'))
    assert.match(known(n1).get('PeerNode/n1')!, /"addresses":\["10.0.0.1"\],"podCidrs":\["10.244.0.0\/24"\]/)
    await plane.api.delete('EndpointSlice', 'default', 'web-1', {}, CONTEXT)
    await eventually(() => !known(n1).has('EndpointSlice/default/web-1'))
    assert.deepEqual(
      n1.network.map(({ sequence }) => sequence),
      n1.network.map((_, index) => index + 1),
    )
    assert.ok(n1.network.slice(1).every(({ complete }) => !complete))
  })

  it('divides what is too much for one message, the last part without `more`', async () => {
    await Promise.all(Array.from({ length: 1200 }, (_, index) => makeSlice(`s-${index}`, [])))
    const n1 = new TestNode(start(), 'n1')
    await eventually(() => known(n1).has('EndpointSlice/default/s-1199'))
    await eventually(() => n1.assignments.length === 1)
    const whole = n1.network.slice(0, n1.network.findIndex(({ more }) => !more) + 1)
    assert.ok(whole.length >= 3)
    assert.deepEqual(
      whole.map(({ complete }) => complete),
      whole.map((_, index) => index === 0),
    )
    assert.equal(new Set(whole.map(({ revision }) => revision)).size, 1)
    assert.equal(whole.flatMap(({ set }) => set).filter(({ key }) => key.startsWith('EndpointSlice/')).length, 1200)
  })

  it('tells every node that begins the same bytes, made once', async () => {
    await Promise.all(Array.from({ length: 3 }, (_, index) => makeSlice(`s-${index}`, [])))
    const dispatcher = start()
    const [n1, n2] = [new TestNode(dispatcher, 'n1'), new TestNode(dispatcher, 'n2')]
    await eventually(() => n1.assignments.length === 1 && n2.assignments.length === 1)
    const again = [new TestNode(dispatcher, 'n1'), new TestNode(dispatcher, 'n2')]
    await eventually(() => again.every((node) => node.assignments.length === 1))
    assert.equal(known(again[0]!).size, known(n2).size)
    assert.equal(again[0]!.network[0]!.set, again[1]!.network[0]!.set)
  })

  it('ends the session of a node that takes nothing of what it is told', async () => {
    const dispatcher = start()
    const hello = {
      message: {
        case: 'hello' as const,
        value: {
          agentId: 'a',
          version: '1',
          node: {
            apiVersion: 'v1' as const,
            kind: 'Node' as const,
            metadata: { name: 'n1', namespace: '', uid: '', resourceVersion: '' },
            spec: {},
            status: {},
          },
        },
      },
    }
    const sent = new Channel<NodeMessage>()
    sent.push(hello)
    const messages = dispatcher.session('n1', sent, caller('system:node:n1'))
    assert.equal(((await messages.next()).value as ControllerMessage).message?.case, 'welcome')
    for (let count = 0; count < 10_001; count++)
      dispatcher.tell('n1', { message: { case: 'withdrawn', value: { podUids: ['u'] } } })
    await assert.rejects(messages.next(), (thrown) => GantryError.is(thrown, 'ResourceExhausted'))
    assert.equal(dispatcher.tell('n1', { message: { case: 'withdrawn', value: { podUids: [] } } }), false)
  })

  describe('withdrawal of a pod', () => {
    /** Nothing sent before is under way any more. */
    async function underWay(): Promise<void> {
      await turnsTaken()
      await clock.advance(DRAIN_GRACE_MS)
    }

    it('does not wait for a slice that says it is ready to its end', async () => {
      const n1 = new TestNode(start(), 'n1')
      await eventually(() => n1.assignments.length === 1)
      const pod = await bound('early', 'n1')
      await makeSlice('early-1', [pod])
      await remove(pod)
      await turnsTaken()
      assert.deepEqual(n1.withdrawn, [])
      await plane.api.mutate(
        'EndpointSlice',
        'default',
        'early-1',
        '',
        (slice) => {
          slice.endpoints = slice.endpoints?.map((endpoint) => ({
            ...endpoint,
            conditions: { ready: true, serving: true, terminating: true },
          }))
        },
        CONTEXT,
      )
      await underWay()
      await eventually(() => n1.withdrawn.includes(pod.metadata.uid))
    })

    it('asks another controller for a node that went over to it meanwhile', async () => {
      const asked: string[] = []
      const answers = new Map<string, () => void>()
      const peers = {
        client: (name: string) =>
          Promise.resolve({
            networkConfirmed: () => {
              asked.push(name)
              return new Promise((resolve) => answers.set(name, () => resolve({})))
            },
          } as never),
      }
      const n1 = new TestNode(start('c1', peers), 'n1')
      const n2 = new TestNode(start('c2'), 'n2')
      const third = start('c3')
      await eventually(() => n1.assignments.length === 1 && n2.assignments.length === 1)
      const pod = await bound('web', 'n1')
      await remove(pod)
      await eventually(() => asked.length === 1)
      assert.deepEqual(asked, ['c2'])
      const moved = new TestNode(third, 'n2')
      await eventually(() => moved.assignments.length === 1)
      answers.get('c2')!()
      await eventually(() => asked.length === 2)
      assert.deepEqual(asked, ['c2', 'c3'])
      await turnsTaken()
      assert.deepEqual(n1.withdrawn, [])
      answers.get('c3')!()
      await eventually(() => n1.withdrawn.includes(pod.metadata.uid))
    })

    it('is told at once of a pod that nothing is sent to', async () => {
      const n1 = new TestNode(start(), 'n1')
      await eventually(() => n1.assignments.length === 1)
      const pod = await bound('alone', 'n1')
      await remove(pod)
      await eventually(() => n1.withdrawn.includes(pod.metadata.uid))
    })

    it('waits until no slice says that it takes connections and every node follows that', async () => {
      const dispatcher = start()
      const [n1, n2] = [new TestNode(dispatcher, 'n1'), new TestNode(dispatcher, 'n2')]
      await eventually(() => n1.assignments.length === 1 && n2.assignments.length === 1)
      const pod = await bound('web', 'n1')
      await makeSlice('web-1', [pod])
      await eventually(() => known(n2).has('EndpointSlice/default/web-1'))
      n2.follows = false
      await remove(pod)
      const {
        metadata: { resourceVersion },
      } = await unready('web-1')
      await eventually(() => n2.network.at(-1)!.revision >= Number(resourceVersion))
      await turnsTaken()
      assert.deepEqual(n1.withdrawn, [])
      n2.confirm(Number(resourceVersion) - 1)
      await turnsTaken()
      assert.deepEqual(n1.withdrawn, [])
      n2.confirm(n2.network.at(-1)!.revision)
      await turnsTaken()
      assert.deepEqual(n1.withdrawn, [], 'what is under way may still arrive')
      await underWay()
      await eventually(() => n1.withdrawn.includes(pod.metadata.uid))
      assert.deepEqual(n2.withdrawn, [])
    })

    it('is told again to a node that begins a new session', async () => {
      const dispatcher = start()
      const first = new TestNode(dispatcher, 'n1')
      await eventually(() => first.assignments.length === 1)
      const pod = await bound('alone', 'n1')
      await remove(pod)
      await eventually(() => first.withdrawn.length === 1)
      const second = new TestNode(dispatcher, 'n1')
      await eventually(() => second.withdrawn.includes(pod.metadata.uid))
    })

    it('does not wait for a node that is lost', async () => {
      const dispatcher = start()
      const [n1, n2] = [new TestNode(dispatcher, 'n1'), new TestNode(dispatcher, 'n2')]
      await eventually(() => n1.assignments.length === 1 && n2.assignments.length === 1)
      const pod = await bound('web', 'n1')
      await makeSlice('web-1', [pod])
      n2.follows = false
      await eventually(() => known(n2).has('EndpointSlice/default/web-1'))
      const pass = async (beats: number): Promise<void> => {
        for (let beat = 0; beat < beats; beat++) {
          n1.sent.push({ message: { case: 'heartbeat', value: { uptimeMillis: 1 } } })
          await turnsTaken()
          await clock.advance(900)
        }
      }
      await pass(4)
      await remove(pod)
      await unready('web-1')
      await turnsTaken()
      assert.deepEqual(n1.withdrawn, [])
      await pass(4)
      await eventually(() => n1.withdrawn.includes(pod.metadata.uid))
    })

    it('asks the other controllers for the nodes that name them', async () => {
      const asked: number[] = []
      let answer = (): void => undefined
      const peers = {
        client: (name: string) => {
          assert.equal(name, 'c2')
          return Promise.resolve({
            networkConfirmed: ({ revision }: { revision: number }) => {
              asked.push(revision)
              return new Promise((resolve) => (answer = () => resolve({})))
            },
          } as never)
        },
      }
      const n1 = new TestNode(start('c1', peers), 'n1')
      const n2 = new TestNode(start('c2'), 'n2')
      await eventually(() => n1.assignments.length === 1 && n2.assignments.length === 1)
      const pod = await bound('web', 'n1')
      await remove(pod)
      await eventually(() => asked.length === 1)
      await turnsTaken()
      assert.deepEqual(n1.withdrawn, [])
      answer()
      await eventually(() => n1.withdrawn.includes(pod.metadata.uid))
    })
  })

  it('says which nodes do not follow when the time is up', async () => {
    const dispatcher = start()
    const n1 = new TestNode(dispatcher, 'n1')
    await eventually(() => n1.assignments.length === 1)
    n1.follows = false
    const slice = await makeSlice('web-1', [])
    const waiting = dispatcher.confirmations.awaitLocal(Number(slice.metadata.resourceVersion))
    const told = assert.rejects(
      waiting,
      (thrown) => GantryError.is(thrown, 'DeadlineExceeded') && /n1/.test((thrown as Error).message),
    )
    await eventually(() => known(n1).has('EndpointSlice/default/web-1'))
    for (let second = 0; second < 6; second++) {
      n1.sent.push({ message: { case: 'heartbeat', value: { uptimeMillis: 1 } } })
      await turnsTaken()
      await clock.advance(900)
    }
    await told
  })
})
