import assert from 'node:assert/strict'
import { Dispatcher } from '../../../controller/dispatch/dispatcher.ts'
import { PodStreams } from '../../../controller/dispatch/pod-streams.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import type { Input } from '../../../proto/codec/wire.ts'
import { Channel } from '../../../proto/base/channel.ts'
import { systemClock } from '../../../proto/base/clock.ts'
import { silentLogger } from '../../../proto/base/logger.ts'
import { seededRandom } from '../../../proto/base/random.ts'
import type { Event, Pod, StreamDown, StreamUp } from '../../../proto/gen/types.ts'
import { eventually } from '../../eventually.ts'
import { ControlPlane } from '../control-plane.ts'
import { CLUSTER_NETWORK, NO_PEERS, caller, sink, TestNode } from './test-node.ts'

const CONTEXT = { fieldManager: 'test' }

describe('dispatcher', () => {
  let plane: ControlPlane
  let dispatcher: Dispatcher
  let running: Promise<void>
  let stop: AbortController
  let events: Event[]

  beforeEach(async () => {
    plane = await ControlPlane.start()
    events = []
    dispatcher = new Dispatcher({
      api: plane.api,
      informer: plane.informer,
      events: sink(events),
      clock: systemClock,
      random: seededRandom(2),
      logger: silentLogger,
      controller: 'c1',
      cluster: CLUSTER_NETWORK,
      peers: NO_PEERS,
    })
    stop = new AbortController()
    running = dispatcher.run(stop.signal)
  })

  afterEach(async () => {
    stop.abort()
    await running
    await plane.stop()
  })

  const pods = (): PodStreams =>
    new PodStreams({
      informer: plane.informer,
      reads: plane.reads,
      dispatcher,
      controller: 'c1',
      peers: { client: () => assert.fail('this one holds the session') },
    })

  async function bound(name: string, node: string, spec: object = {}): Promise<Pod> {
    const pod = await plane.api.create(
      {
        kind: 'Pod',
        metadata: { name, namespace: 'default' },
        spec: { containers: [{ name: 'c', image: 'busybox' }], ...spec },
      },
      CONTEXT,
    )
    return plane.api.bind('default', name, pod.metadata.uid, node, CONTEXT)
  }

  it('registers a node with an address range of its own and Ready', async () => {
    const nodes = [new TestNode(dispatcher, 'n1'), new TestNode(dispatcher, 'n2')]
    await eventually(() => nodes.every((node) => node.assignments.length === 1))
    const stored = plane.informer.lister('Node').list()
    assert.deepEqual(stored.map((node) => node.spec.podCIDR).sort(), ['10.244.0.0/24', '10.244.1.0/24'])
    assert.deepEqual(
      stored.map((node) => node.status.conditions?.find(({ type }) => type === 'Ready')?.status),
      ['True', 'True'],
    )
    assert.equal(stored[0]?.status.capacity?.cpu, '2')
    const welcome = nodes[0]!.received[0]!.message
    assert.equal(welcome?.case === 'welcome' && welcome.value.node?.spec.podCIDR, stored[0]?.spec.podCIDR)
  })

  it('gives a node its pods and what they use, and nothing else', async () => {
    await plane.api.create(
      { kind: 'ConfigMap', metadata: { name: 'used', namespace: 'default' }, data: { a: '1' } },
      CONTEXT,
    )
    await plane.api.create(
      { kind: 'Secret', metadata: { name: 'foreign', namespace: 'default' }, data: { a: 'YQ==' } },
      CONTEXT,
    )
    await bound('before', 'n1')
    const node = new TestNode(dispatcher, 'n1')
    await eventually(() => node.holds.length === 1)
    await bound('mine', 'n1', { volumes: [{ name: 'v', configMap: { name: 'used' } }] })
    await bound('theirs', 'n2', { volumes: [{ name: 'v', secret: { secretName: 'foreign' } }] })
    await eventually(() => node.holds.includes('Pod/mine'))
    assert.deepEqual(node.holds, ['ConfigMap/used', 'Pod/before', 'Pod/mine'])
    await plane.api.delete('Pod', 'default', 'mine', { gracePeriodSeconds: 0 }, CONTEXT)
    await eventually(() => node.holds.length === 1)
    assert.deepEqual(node.holds, ['Pod/before'])
    assert.deepEqual(
      node.assignments.map(({ sequence }) => sequence),
      node.assignments.map((_, index) => index + 1),
    )
    assert.deepEqual(
      node.assignments.map(({ complete }) => complete),
      node.assignments.map((_, index) => index === 0),
    )
  })

  it('tells changes of config, and not the node its own status', async () => {
    await plane.api.create(
      { kind: 'ConfigMap', metadata: { name: 'used', namespace: 'default' }, data: { a: '1' } },
      CONTEXT,
    )
    const pod = await bound('a', 'n1', { volumes: [{ name: 'v', configMap: { name: 'used' } }] })
    const node = new TestNode(dispatcher, 'n1')
    await eventually(() => node.holds.length === 2)
    node.report(pod, { phase: 'Running' })
    await eventually(() => plane.informer.lister('Pod').get('default', 'a')?.status.phase === 'Running')
    await plane.api.mutate('ConfigMap', 'default', 'used', '', (map) => void (map.data = { a: '2' }), CONTEXT)
    await eventually(() => node.assignments.length === 2)
    assert.deepEqual(
      node.assignments[1]?.set?.map(({ kind }) => kind),
      ['ConfigMap'],
    )
  })

  it("writes the latest status with the control plane's share kept, and removes a released pod that is being deleted", async () => {
    const pod = await bound('a', 'n1')
    const node = new TestNode(dispatcher, 'n1')
    await eventually(() => node.holds.length === 1)
    node.report(pod, { phase: 'Pending' })
    node.report(pod, { phase: 'Running', podIP: '10.244.0.2' })
    await eventually(() => plane.informer.lister('Pod').get('default', 'a')?.status.phase === 'Running')
    const status = plane.informer.lister('Pod').get('default', 'a')!.status
    assert.equal(status.conditions?.find(({ type }) => type === 'PodScheduled')?.status, 'True')
    assert.deepEqual(
      status.timeline?.map(({ step }) => step),
      ['accepted', 'scheduled', 'assigned'],
    )
    await plane.api.delete('Pod', 'default', 'a', {}, CONTEXT)
    assert.ok(plane.informer.lister('Pod').get('default', 'a'), 'a running pod waits for its node')
    node.report(pod, { phase: 'Failed' }, true)
    await eventually(() => plane.informer.lister('Pod').get('default', 'a') === undefined)
    await eventually(() => node.holds.length === 0)
  })

  it("ignores a status of a pod that is another node's", async () => {
    const foreign = await bound('foreign', 'n2')
    const own = await bound('own', 'n1')
    const node = new TestNode(dispatcher, 'n1')
    node.report(foreign, { phase: 'Failed' }, true)
    node.report(own, { phase: 'Running' })
    await eventually(() => plane.informer.lister('Pod').get('default', 'own')?.status.phase === 'Running')
    assert.equal(plane.informer.lister('Pod').get('default', 'foreign')?.status.phase, 'Pending')
  })

  it('refuses a node that speaks for another', async () => {
    const ended = await new TestNode(dispatcher, 'n1', 'n2').ended
    assert.ok(GantryError.is(ended, 'Forbidden'))
    assert.equal(plane.informer.lister('Node').get('', 'n1'), undefined)
  })

  it('ends the older session of a node for a newer one', async () => {
    const older = new TestNode(dispatcher, 'n1')
    await eventually(() => older.assignments.length === 1)
    const newer = new TestNode(dispatcher, 'n1')
    assert.ok(GantryError.is(await older.ended, 'Conflict'))
    await bound('a', 'n1')
    await eventually(() => newer.holds.length === 1)
  })

  it('passes on what a node tells of its own pods, in its name, and of nothing else', async () => {
    const own = await bound('own', 'n1')
    const foreign = await bound('foreign', 'n2')
    const node = new TestNode(dispatcher, 'n1')
    const about = (reason: string, name: string, uid: string, change: object = {}): Event => ({
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: `${name}.0a1b`, namespace: 'default', uid: 'chosen', resourceVersion: '' },
      involvedObject: { kind: 'Pod', namespace: 'default', name, uid },
      type: 'Normal',
      reason,
      message: 'm'.repeat(10_000),
      source: { component: 'agent', host: 'liar' },
      ...change,
    })
    node.sent.push({
      message: {
        case: 'events',
        value: {
          events: [
            about('Foreign', 'foreign', foreign.metadata.uid),
            about('Renamed', 'other', own.metadata.uid),
            about('NamedLikeAnother', 'own', own.metadata.uid, {
              metadata: { name: 'foreign.0a1b', namespace: 'default', uid: '', resourceVersion: '' },
            }),
            about('OtherKind', 'own', own.metadata.uid, {
              involvedObject: { kind: 'Deployment', namespace: 'default', name: 'own' },
            }),
            about('OtherNamespace', 'own', own.metadata.uid, {
              involvedObject: { kind: 'Pod', namespace: 'kube-system', name: 'own' },
            }),
            about('Pulled', 'own', own.metadata.uid),
            about('Pulled', 'own', own.metadata.uid, { count: 2 }),
            about('Killing', 'gone', 'u'),
          ],
        },
      },
    })
    await eventually(() => events.some(({ reason }) => reason === 'Killing'))
    assert.deepEqual(
      events.map(({ reason, source, reportingInstance, message }) => [
        reason,
        source?.host,
        reportingInstance,
        message?.length,
      ]),
      [
        ['Pulled', 'n1', 'n1', 4096],
        ['Pulled', 'n1', 'n1', 4096],
        ['Killing', 'n1', 'n1', 4096],
      ],
    )
    assert.match(events[0]!.metadata.uid, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
    assert.equal(events[1]!.metadata.uid, events[0]!.metadata.uid)
  })

  for (const key of [
    'vault.node-restriction.kubernetes.io/pci',
    'gantry.dev/entrance',
    'node-role.kubernetes.io/control-plane',
  ]) {
    it(`refuses a node that gives itself the label ${key}, by which users direct pods and keys`, async () => {
      const ended = await new TestNode(dispatcher, 'n1', 'n1', { labels: { [key]: 'true' } }).ended
      assert.ok(
        GantryError.is(ended, 'Forbidden') && ended.message.includes(`cannot give itself the label ${key}`),
        String(ended),
      )
      assert.equal(plane.informer.lister('Node').get('', 'n1'), undefined)
    })
  }

  it('refuses such a label of a node that is known already, and leaves its object as it is', async () => {
    const known = new TestNode(dispatcher, 'n1', 'n1', { labels: { disk: 'ssd' } })
    await eventually(() => known.assignments.length > 0)
    const ended = await new TestNode(dispatcher, 'n1', 'n1', { labels: { 'gantry.dev/entrance': 'true' } }).ended
    assert.ok(GantryError.is(ended, 'Forbidden'))
    assert.deepEqual(Object.keys(plane.informer.lister('Node').get('', 'n1')!.metadata.labels ?? {}).sort(), [
      'disk',
      'kubernetes.io/hostname',
    ])
  })

  describe('streams', () => {
    const up = (message: StreamUp['message']): StreamUp => ({ message })

    it('joins a command with the stream that its node opens', async () => {
      const pod = await bound('a', 'n1')
      const node = new TestNode(dispatcher, 'n1')
      await eventually(() => node.holds.length === 1)
      const call = caller('admin')
      const inputs = (async function* () {
        yield {
          input: {
            case: 'start' as const,
            value: { namespace: 'default', pod: 'a', container: '', command: ['cat'], stdin: true, tty: false },
          },
        }
        yield { input: { case: 'stdin' as const, value: Buffer.from('hi') } }
      })()
      const outputs: unknown[] = []
      const done = (async () => {
        for await (const { output } of pods().exec(inputs, call))
          outputs.push(output?.case === 'stdout' ? Buffer.from(output.value as Uint8Array).toString() : output?.value)
      })()
      const request = await eventually(
        () =>
          node.received.map(({ message }) => message).find((message) => message?.case === 'openStream')?.value ?? false,
      )
      assert.equal(request.podUid, pod.metadata.uid)
      assert.equal(request.request?.case === 'exec' && request.request.value.container, 'c')
      const answers = new Channel<StreamUp>()
      answers.push(up({ case: 'opened', value: request.streamId }))
      const echoed: Input<StreamDown>[] = []
      for await (const message of dispatcher.stream('n1', answers, caller('system:node:n1'))) {
        echoed.push(message)
        if (message.message?.case === 'exec' && message.message.value?.input?.case === 'stdin') {
          answers.push(
            up({
              case: 'exec',
              value: { output: { case: 'stdout', value: message.message.value.input.value as Uint8Array } },
            }),
          )
          answers.push(up({ case: 'exec', value: { output: { case: 'exit', value: { code: 4, message: '' } } } }))
        }
      }
      await done
      assert.deepEqual(outputs, ['hi', { code: 4, message: '' }])
    })

    it("carries the node's refusal to the caller", async () => {
      await bound('a', 'n1')
      const node = new TestNode(dispatcher, 'n1')
      await eventually(() => node.holds.length === 1)
      const logs = pods().logs(
        {
          namespace: 'default',
          pod: 'a',
          container: '',
          follow: false,
          previous: true,
          sinceTime: '',
          timestamps: false,
        },
        caller('admin'),
      )
      const first = logs.next().then(
        () => undefined,
        (thrown: unknown) => thrown,
      )
      const request = await eventually(
        () =>
          node.received.map(({ message }) => message).find((message) => message?.case === 'openStream')?.value ?? false,
      )
      const answers = new Channel<StreamUp>()
      answers.push(up({ case: 'opened', value: request.streamId }))
      answers.push(up({ case: 'error', value: { code: 'NotFound', message: 'no previous instance', details: [] } }))
      answers.close()
      for await (const _ of dispatcher.stream('n1', answers, caller('system:node:n1')))
        assert.fail('nothing is sent down')
      const error = await first
      assert.ok(GantryError.is(error, 'NotFound') && error.message === 'no previous instance')
    })

    it("refuses another node's answer", async () => {
      await bound('a', 'n1')
      const node = new TestNode(dispatcher, 'n1')
      await eventually(() => node.holds.length === 1)
      const call = caller('admin')
      const logs = pods().logs(
        {
          namespace: 'default',
          pod: 'a',
          container: '',
          follow: false,
          previous: false,
          sinceTime: '',
          timestamps: false,
        },
        call,
      )
      const first = logs.next().then(
        () => undefined,
        (thrown: unknown) => thrown,
      )
      const request = await eventually(
        () =>
          node.received.map(({ message }) => message).find((message) => message?.case === 'openStream')?.value ?? false,
      )
      const answers = new Channel<StreamUp>()
      answers.push(up({ case: 'opened', value: request.streamId }))
      const stolen = dispatcher.stream('n2', answers, caller('system:node:n2'))[Symbol.asyncIterator]()
      await assert.rejects(stolen.next(), (error) => GantryError.is(error, 'NotFound'))
      call.abort()
      assert.ok(GantryError.is(await first, 'Cancelled'))
    })

    it('says at once that a node has no session', async () => {
      await bound('a', 'n9')
      const logs = pods().logs(
        {
          namespace: 'default',
          pod: 'a',
          container: '',
          follow: false,
          previous: false,
          sinceTime: '',
          timestamps: false,
        },
        caller('admin'),
      )
      await assert.rejects(logs.next(), (error) => GantryError.is(error, 'Unavailable'))
    })
  })
})
