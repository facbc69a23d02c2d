import assert from 'node:assert/strict'
import { Dispatcher } from '../../../controller/dispatch/dispatcher.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { FakeClock } from '../../../proto/base/clock.ts'
import { silentLogger } from '../../../proto/base/logger.ts'
import { seededRandom } from '../../../proto/base/random.ts'
import type { Event, Node, NodeAddress, NodeStatus, Pod, PodStatus } from '../../../proto/gen/types.ts'
import { eventually } from '../../eventually.ts'
import { ControlPlane } from '../control-plane.ts'
import { CLUSTER_NETWORK, NO_PEERS, sink, TestNode, type Recorded } from './test-node.ts'

const CONTEXT = { fieldManager: 'test' }

const internal = (address: string): NodeAddress[] => [{ type: 'InternalIP', address }]

/** A node with a valid certificate, n1, that says whatever it likes; n2 is honest. */
describe('a hostile node', () => {
  let clock: FakeClock
  let plane: ControlPlane
  let dispatcher: Dispatcher
  let running: Promise<void>
  let stop: AbortController
  let events: Event[]
  let told: Recorded[]

  beforeEach(async () => {
    clock = new FakeClock()
    plane = await ControlPlane.start(clock)
    events = []
    told = []
    dispatcher = new Dispatcher({
      api: plane.api,
      informer: plane.informer,
      events: sink(events, told),
      clock,
      random: seededRandom(2),
      logger: silentLogger,
      controller: 'c1',
      cluster: CLUSTER_NETWORK,
      peers: NO_PEERS,
      controllers: () => ['10.0.0.100:7443', 'c1.example.com:6443'],
      nodeAddresses: ['10.7.0.0/16'],
    })
    stop = new AbortController()
    running = dispatcher.run(stop.signal)
  })

  afterEach(async () => {
    stop.abort()
    await running
    await plane.stop()
  })

  const stored = (name: string): Node | undefined => plane.informer.lister('Node').get('', name)
  const statusOf = (name: string): PodStatus => plane.informer.lister('Pod').get('default', name)!.status
  const reasons = (): string[] =>
    told.map(({ reason, regarding }) => `${regarding.kind}/${regarding.metadata.name} ${reason}`)

  async function node(name: string, address: string, status: NodeStatus = {}): Promise<TestNode> {
    const made = new TestNode(dispatcher, name, name, { status: { addresses: internal(address), ...status } })
    await eventually(() => made.welcomed !== undefined)
    return made
  }

  /** What becomes of a node that says so of itself, its session coming from 10.0.0.1. */
  async function refused(status: NodeStatus, peer = '10.0.0.1:40000'): Promise<string> {
    const ended = await new TestNode(dispatcher, 'n1', 'n1', { status, peer }).ended
    assert.ok(GantryError.is(ended, 'Forbidden', 'InvalidArgument'), String(ended))
    return ended.message
  }

  async function bound(
    name: string,
    on: string,
    { annotations, ...spec }: Partial<Pod['spec']> & { annotations?: Record<string, string> } = {},
  ): Promise<Pod> {
    const pod = await plane.api.create(
      {
        kind: 'Pod',
        metadata: { name, namespace: 'default', ...(annotations !== undefined && { annotations }) },
        spec: { containers: [{ name: 'c', image: 'busybox' }], ...spec },
      },
      CONTEXT,
    )
    const placed = await plane.api.bind('default', name, pod.metadata.uid, on, CONTEXT)
    await plane.informer.waitForRevision(Number(placed.metadata.resourceVersion))
    return placed
  }

  /** A later report that is right is stored: then what came before it has been dealt with. */
  async function then(from: TestNode, pod: Pod, right: PodStatus = {}): Promise<PodStatus> {
    const { name } = pod.metadata
    from.report(pod, { phase: 'Running', message: 'right', ...right })
    await eventually(() => statusOf(name).message === 'right')
    return statusOf(name)
  }

  describe('says of itself that it has', () => {
    it('an address that is more than one', async () => {
      for (const evil of ['10.9.9.9\nnetns add held', '10.0.0.1 dev lo', 'fe80::1%eth0;x', '10.0.0.1"', '']) {
        assert.match(
          await refused({ addresses: internal(evil) }),
          /addresses\[0\]\.address|is not an IP address/,
          JSON.stringify(evil),
        )
      }
      assert.equal(stored('n1'), undefined)
      assert.deepEqual([...new Set(reasons())], ['Node/n1 NodeStatusRefused'])
    })

    it('the address of another node, a controller, a pod, a Service or nobody', async () => {
      await node('n2', '10.0.0.2')
      const cases: [string, RegExp][] = [
        ['10.0.0.2', /is the address of node n2$/],
        ['10.0.0.100', /is the address of a controller$/],
        ['10.244.3.4', /is of 10\.244\.0\.0\/16/],
        ['10.96.0.1', /is of 10\.96\.0\.0\/16/],
        ['127.0.0.1', /is a loopback address$/],
        ['169.254.1.1', /is a link-local address$/],
        ['224.0.0.1', /is a multicast address$/],
        ['0.0.0.0', /is no address/],
        ['255.255.255.255', /is a reserved/],
        ['::1', /loopback/],
        ['fe80::1', /link-local/],
        ['ff02::1', /multicast/],
        ['::ffff:10.0.0.2', /in the form of IPv6/],
        ['10.9.9.9', /is not the address that its session comes from, 10\.0\.0\.1/],
      ]
      for (const [address, expected] of cases) {
        assert.match(await refused({ addresses: internal(address) }), expected, address)
        assert.match(
          await refused({ addresses: [...internal('10.0.0.1'), { type: 'ExternalIP', address }] }),
          expected,
          address,
        )
      }
      assert.ok(reasons().includes('Node/n1 NodeAddressRefused'))
      assert.deepEqual(stored('n2')!.status.addresses, internal('10.0.0.2'))
    })

    it('the address of another node, in another spelling or from that address', async () => {
      await node('n2', 'fd00::2')
      assert.match(
        await refused({ addresses: internal('fd00:0:0::0002') }, '[fd00::2]:1'),
        /is the address of node n2$/,
      )
    })

    it('another address while it runs: it keeps the one it had', async () => {
      await node('n2', '10.0.0.2')
      const n1 = await node('n1', '10.0.0.1')
      for (const [address, cpu] of [
        ['10.0.0.2', '3'],
        ['10.9.9.9', '4'],
      ] as const) {
        n1.sent.push({
          message: { case: 'node', value: { status: { addresses: internal(address), capacity: { cpu } } } },
        })
        await eventually(() => stored('n1')!.status.capacity?.cpu === cpu)
        assert.deepEqual(stored('n1')!.status.addresses, internal('10.0.0.1'))
      }
      n1.sent.push({
        message: { case: 'node', value: { status: { addresses: internal('10.9.9.9\nnetns add held') } } },
      })
      await eventually(() => told.some(({ message }) => /netns|not an IP/.test(message)))
      assert.deepEqual(stored('n1')!.status.addresses, internal('10.0.0.1'))
    })

    it('a hundred thousand conditions', async () => {
      const conditions = Array.from({ length: 100_000 }, (_, index) => ({ type: `C${index}`, status: 'True' as const }))
      assert.match(await refused({ conditions }), /conditions: are 100000, at most 200 are allowed/)
      const n1 = await node('n1', '10.0.0.1')
      n1.sent.push({ message: { case: 'node', value: { status: { conditions } } } })
      await eventually(() => reasons().filter((reason) => reason === 'Node/n1 NodeStatusRefused').length === 2)
      n1.sent.push({ message: { case: 'node', value: { status: { capacity: { cpu: '7' } } } } })
      await eventually(() => stored('n1')!.status.capacity?.cpu === '7')
    })
  })

  it('that is honest has the address that its session comes from, one that is listed, or the one that it had', async () => {
    await node('n1', '10.0.0.1')
    const listed = new TestNode(dispatcher, 'n3', 'n3', {
      status: { addresses: internal('10.7.0.9') },
      peer: '192.0.2.1:1',
    })
    await eventually(() => listed.welcomed !== undefined)
    const mapped = new TestNode(dispatcher, 'n4', 'n4', {
      status: { addresses: internal('10.0.0.4') },
      peer: '[::ffff:10.0.0.4]:1',
    })
    await eventually(() => mapped.welcomed !== undefined)
    const again = new TestNode(dispatcher, 'n1', 'n1', {
      status: { addresses: internal('10.0.0.1') },
      peer: '192.0.2.1:1',
    })
    await eventually(() => again.welcomed !== undefined)
    const onController = await node('n5', '10.0.0.100')
    assert.notEqual(onController.welcomed, undefined)
  })

  it('cannot come in the place of a node that is only silent, but one at the address of a lost node can, which has it no more', async () => {
    await node('n2', '10.0.0.2')
    assert.match(await refused({ addresses: internal('10.0.0.2') }, '10.0.0.2:1'), /is the address of node n2$/)
    await clock.advance(6_000)
    await eventually(() => stored('n2')!.status.conditions?.some(({ reason }) => reason === 'NodeLost') === true)
    assert.match(await refused({ addresses: internal('10.0.0.2') }), /is the address of node n2$/)
    await node('n1', '10.0.0.2')
    assert.deepEqual(stored('n2')!.status.addresses, undefined)
    assert.ok(reasons().includes('Node/n2 NodeAddressTaken'))
  })

  describe('says of a pod of its own that it has', () => {
    const wrong: [string, PodStatus, RegExp][] = [
      [
        'an address outside of its ranges',
        { podIP: '10.244.9.2', podIPs: [{ ip: '10.244.9.2' }] },
        /podIP "10\.244\.9\.2" is outside of the node's ranges for pods, 10\.244\.\d\.0\/24/,
      ],
      ["a Service's address", { podIP: '10.96.0.1' }, /is outside/],
      [
        'a second address outside of its ranges',
        { podIP: '10.244.0.2', podIPs: [{ ip: '10.244.0.2' }, { ip: 'fd00::1' }] },
        /"fd00::1" is outside/,
      ],
      ["its node's address", { podIP: '10.0.0.1' }, /is outside/],
      ['an address that is more than one', { podIP: '10.244.0.2 accept' }, /podIP/],
      ['another host', { hostIP: '10.0.0.2' }, /hostIP "10\.0\.0\.2" is no address of the node/],
      [
        'another host among several',
        { hostIP: '10.0.0.1', hostIPs: [{ ip: '10.0.0.1' }, { ip: 'fd00::2' }] },
        /hostIP "fd00::2"/,
      ],
      [
        'a container that it has not',
        { containerStatuses: [{ name: 'x', ready: true, restartCount: 0, image: '', imageID: '' }] },
        /container "x" is not in the pod's spec/,
      ],
      [
        'an init container that is no init container',
        { initContainerStatuses: [{ name: 'c', ready: true, restartCount: 0, image: '', imageID: '' }] },
        /container "c" is not/,
      ],
      [
        'an interface on a network that it does not ask for',
        { interfaces: [{ network: 'other', name: 'net1', addresses: [] }] },
        /asks for no interface "net1" on network "other"/,
      ],
    ]
    for (const [what, status, expected] of wrong) {
      it(`${what}: told, not stored, not tried again`, async () => {
        const n1 = await node('n1', '10.0.0.1')
        const pod = await bound('a', 'n1')
        n1.report(pod, { phase: 'Running', message: 'wrong', ...status })
        await eventually(() =>
          told.some(
            ({ reason, regarding, message }) =>
              reason === 'StatusRefused' && regarding.kind === 'Pod' && expected.test(message),
          ),
        )
        await clock.advance(1_000)
        assert.equal(told.filter(({ reason }) => reason === 'StatusRefused').length, 1)
        assert.equal(statusOf('a').phase, 'Pending')
        const right = await then(n1, pod, { podIP: '10.244.0.7', podIPs: [{ ip: '10.244.0.7' }], hostIP: '10.0.0.1' })
        assert.deepEqual([right.podIP, right.hostIP], ['10.244.0.7', '10.0.0.1'])
      })
    }

    it("in the node's network, an address that is not the node's", async () => {
      const n1 = await node('n1', '10.0.0.1')
      const pod = await bound('a', 'n1', { hostNetwork: true })
      n1.report(pod, { phase: 'Running', podIP: '10.0.0.2' })
      await eventually(() => told.some(({ message }) => message.includes("is in the node's network")))
      assert.equal((await then(n1, pod, { podIP: '10.0.0.1' })).podIP, '10.0.0.1')
    })

    it("on a Network, an address of a part that is another node's", async () => {
      const n1 = await node('n1', '10.0.0.1')
      await plane.api.create({ kind: 'Network', metadata: { name: 'back', namespace: 'default' } }, CONTEXT)
      await plane.api.mutate(
        'Network',
        'default',
        'back',
        'status',
        ({ status }) =>
          void Object.assign(status, {
            cidrs: ['172.24.0.0/20'],
            vni: 100,
            blocks: [
              { node: 'n2', cidr: '172.24.0.0/26' },
              { node: 'n1', cidr: '172.24.0.64/26' },
            ],
          }),
        CONTEXT,
      )
      const pod = await bound('a', 'n1', { annotations: { 'gantry.dev/networks': 'back=eth1' } })
      n1.report(pod, { phase: 'Running', interfaces: [{ network: 'back', name: 'eth1', addresses: ['172.24.0.5'] }] })
      await eventually(() =>
        told.some(({ message }) =>
          /"172\.24\.0\.5" is outside of the parts of network back that the node has, 172\.24\.0\.64\/26/.test(message),
        ),
      )
      const right = await then(n1, pod, { interfaces: [{ network: 'back', name: 'eth1', addresses: ['172.24.0.65'] }] })
      assert.deepEqual(right.interfaces?.[0]?.addresses, ['172.24.0.65'])
    })
  })

  it("leaves the control plane's conditions, class and steps alone", async () => {
    const n1 = await node('n1', '10.0.0.1')
    const pod = await bound('a', 'n1', { readinessGates: [{ conditionType: 'example.com/gate' }] })
    const before = statusOf('a')
    const status = await then(n1, pod, {
      conditions: ['PodScheduled', 'DisruptionTarget', 'example.com/gate', 'Ready'].map((type) => ({
        type,
        status: 'False' as const,
      })),
      qosClass: 'Guaranteed',
      nominatedNodeName: 'n2',
      timeline: [
        { step: 'accepted', time: '2000-01-01T00:00:00.000000Z' },
        { step: 'assigned', time: '2000-01-01T00:00:00.000000Z' },
        { step: 'created', time: '2026-01-01T00:00:00.000000Z' },
      ],
    })
    assert.deepEqual(
      status.conditions?.map(({ type, status: holds }) => `${type} ${holds}`),
      ['PodScheduled True', 'Ready False'],
    )
    assert.deepEqual([status.qosClass, status.nominatedNodeName], [before.qosClass, undefined])
    assert.ok(status.timeline?.every(({ time }) => !time.startsWith('2000')))
    await eventually(() => reasons().includes('Node/n1 ConditionRefused'))
  })

  it("says nothing of pods that are another node's, nobody's, or not called so", async () => {
    const n1 = await node('n1', '10.0.0.1')
    const n2 = await node('n2', '10.0.0.2')
    const foreign = await bound('foreign', 'n2')
    const own = await bound('own', 'n1')
    n1.report(foreign, { phase: 'Failed' }, true)
    n1.report({ ...foreign, metadata: { ...foreign.metadata, uid: own.metadata.uid } }, { phase: 'Failed' })
    n1.report({ ...foreign, metadata: { ...foreign.metadata, uid: 'made-up' } }, { phase: 'Failed' }, true)
    n1.report({ ...foreign, metadata: { ...foreign.metadata, name: 'a/b > c', uid: 'odd' } }, { phase: 'Failed' })
    await then(n1, own)
    assert.equal(statusOf('foreign').phase, 'Pending')
    assert.deepEqual(
      told
        .filter(({ reason }) => reason === 'StatusRefused')
        .map(({ regarding, message }) => `${regarding.kind}/${regarding.metadata.name} ${message}`),
      [
        'Node/n1 node n1 reports pod default/foreign, which is not its own',
        "Node/n1 node n1 reports a pod by a uid that is another object's",
        'Node/n1 node n1 reports a pod by a name that no pod can have',
      ],
    )
    await then(n2, foreign)
  })

  describe('tells events', () => {
    let count: number
    const about = (
      { metadata: { namespace, name, uid } }: Pick<Pod, 'metadata'>,
      reason: string,
      change: Partial<Event> = {},
    ): Event => ({
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: `${name}.${(count++).toString(36)}`, namespace, uid: '', resourceVersion: '' },
      involvedObject: { apiVersion: 'v1', kind: 'Pod', namespace, name, uid },
      type: 'Normal',
      reason,
      message: 'm',
      ...change,
    })
    const gone = (name: string, uid: string): Pick<Pod, 'metadata'> => ({
      metadata: { name, namespace: 'default', uid, resourceVersion: '' },
    })
    const tell = (from: TestNode, ...list: Event[]): void =>
      void from.sent.push({ message: { case: 'events', value: { events: list } } })

    beforeEach(() => {
      count = 0
    })

    it('of pods that are not, and were not, its own: none is passed on', async () => {
      const n1 = await node('n1', '10.0.0.1')
      const [foreign, own, late, foreignLate] = [
        await bound('foreign', 'n2'),
        await bound('own', 'n1'),
        await bound('late', 'n1'),
        await bound('foreign-late', 'n2'),
      ]
      for (const {
        metadata: { name },
      } of [late, foreignLate])
        await plane.api.delete('Pod', 'default', name, { gracePeriodSeconds: 0 }, CONTEXT)
      await eventually(() => plane.informer.lister('Pod').list().length === 2)
      tell(
        n1,
        about(foreign, 'Foreign'),
        about(gone('foreign', 'made-up'), 'MadeUp'),
        about(foreignLate, 'ForeignLate'),
        about(own, 'Secret', {
          involvedObject: { apiVersion: 'v1', kind: 'Secret', namespace: 'default', name: 'own', uid: 'u' },
        }),
        about(own, 'Odd\nname'),
        about(own, 'Fine', { type: 'Odd' as never }),
        about(own, 'Named', { metadata: { name: 'foreign.0', namespace: 'default', uid: '', resourceVersion: '' } }),
        about(late, 'Late'),
        about(own, 'Own', { message: 'm'.repeat(10_000), related: { kind: 'Node', name: 'n2' } }),
      )
      await eventually(() => events.some(({ reason }) => reason === 'Own'))
      assert.deepEqual(
        events.map(({ reason }) => reason),
        ['Late', 'Own'],
      )
      assert.deepEqual(
        [events[1]!.message?.length, events[1]!.related, events[1]!.source?.host],
        [4096, undefined, 'n1'],
      )
      assert.ok(reasons().includes('Node/n1 EventRefused'))
    })

    it('of pods that nobody knows: so many and no more', async () => {
      const n1 = await node('n1', '10.0.0.1')
      const own = await bound('own', 'n1')
      tell(
        n1,
        ...Array.from({ length: 1000 }, (_, index) => about(gone('ghost', `ghost-${index}`), 'Ghost')),
        about(own, 'Own'),
      )
      await eventually(() => events.some(({ reason }) => reason === 'Own'))
      assert.equal(events.filter(({ reason }) => reason === 'Ghost').length, 100)
    })

    it('of its own pods without end: so many and no more, and more as time passes', async () => {
      const n1 = await node('n1', '10.0.0.1')
      const own = await bound('own', 'n1')
      tell(n1, ...Array.from({ length: 5000 }, () => about(own, 'Own')))
      await eventually(() => reasons().includes('Node/n1 EventRefused'))
      assert.equal(events.length, 2000)
      await clock.advance(1_000)
      tell(n1, ...Array.from({ length: 100 }, () => about(own, 'Later')))
      await eventually(() => events.some(({ reason }) => reason === 'Later'))
      assert.equal(events.filter(({ reason }) => reason === 'Later').length, 50)
      assert.ok(told.length < 50, `${told.length} complaints`)
    })
  })
})
