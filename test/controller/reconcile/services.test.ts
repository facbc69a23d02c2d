/** What becomes of Services. */
import assert from 'node:assert/strict'
import { ApiServiceReconciler } from '../../../controller/reconcile/apiservice/reconciler.ts'
import { EndpointSliceReconciler } from '../../../controller/reconcile/endpointslice/reconciler.ts'
import { GarbageReconciler } from '../../../controller/reconcile/garbage/reconciler.ts'
import { LoadBalancerReconciler } from '../../../controller/reconcile/loadbalancer/reconciler.ts'
import { PodHealthReconciler } from '../../../controller/nodehealth/pod-reconciler.ts'
import type { ReconcileParts } from '../../../controller/runner/runner.ts'
import { formatTime } from '../../../proto/base/time.ts'
import type { EndpointSlice, Kind, Pod, Resources, Service } from '../../../proto/gen/types.ts'
import { SteppedControlPlane } from '../stepped-control-plane.ts'
import { readyCondition, type State } from '../nodehealth/nodes.ts'

const user = { fieldManager: 'user' }

describe('Services', () => {
  let plane: SteppedControlPlane
  let controllers: Map<string, string>
  let tellController: (name: string) => void
  const events: string[] = []

  beforeEach(async () => {
    events.length = 0
    controllers = new Map([
      ['c1', '192.0.2.1:7443'],
      ['c2', '192.0.2.2:7443'],
      ['c3', 'c3.example.com:7443'],
    ])
    plane = await SteppedControlPlane.start()
    const parts: ReconcileParts = {
      ...plane.parts,
      replicas: {
        present: (name) => controllers.has(name),
        kubeAddresses: () => controllers,
        on: (change) => ((tellController = change), () => undefined),
      },
      events: {
        record: ({ regarding, reason, message }) => void events.push(`${regarding.metadata.name} ${reason} ${message}`),
      },
    }
    plane.run(
      new EndpointSliceReconciler(parts),
      new LoadBalancerReconciler(parts),
      new ApiServiceReconciler(parts),
      new GarbageReconciler(parts),
      new PodHealthReconciler(parts),
    )
  })
  afterEach(() => plane.stop())

  const list = <K extends Kind>(kind: K): Resources[K][] => plane.informer.lister(kind).list()
  const slicesOf = (name: string): EndpointSlice[] =>
    list('EndpointSlice').filter(({ metadata }) => metadata.labels?.['kubernetes.io/service-name'] === name)
  const service = (name: string): Service => plane.informer.lister('Service').get('default', name)!
  /** "10.244.0.7:8080" of the ready endpoints, in order. */
  const ready = (name: string): string[] =>
    slicesOf(name)
      .flatMap(({ endpoints = [], ports = [] }) =>
        endpoints
          .filter(({ conditions }) => conditions?.ready !== false)
          .flatMap(({ addresses = [] }) => ports.map(({ port }) => `${addresses[0]}:${port}`)),
      )
      .sort()
  const create = (name: string, spec: object): Promise<Service> =>
    plane.users.create<'Service'>({ kind: 'Service', metadata: { name, namespace: 'default' }, spec }, user)

  async function runPod(
    name: string,
    ip: string,
    more: { node?: string; labels?: Record<string, string>; spec?: object; ready?: boolean } = {},
  ): Promise<Pod> {
    const { node = 'n1', labels = { app: 'web' }, spec = {}, ready: isReady = true } = more
    const made = await plane.users.create<'Pod'>(
      {
        kind: 'Pod',
        metadata: { name, namespace: 'default', labels },
        spec: {
          nodeName: node,
          containers: [{ name: 'c', image: 'i', ports: [{ name: 'http', containerPort: 8080 }] }],
          ...spec,
        },
      },
      user,
    )
    return plane.users.updateStatus<'Pod'>(
      {
        ...made,
        metadata: { ...made.metadata, resourceVersion: '' },
        status: { phase: 'Running', podIP: ip, podIPs: [{ ip }], conditions: conditions(isReady) },
      },
      user,
    )
  }

  const conditions = (isReady: boolean): NonNullable<Pod['status']['conditions']> =>
    ['Ready', 'ContainersReady'].map((type) => ({
      type,
      status: isReady ? 'True' : 'False',
      lastTransitionTime: formatTime(plane.clock.now()),
    }))

  async function setReady(name: string, isReady: boolean): Promise<void> {
    await plane.users.mutate(
      'Pod',
      'default',
      name,
      'status',
      (pod) => void (pod.status.conditions = conditions(isReady)),
      user,
    )
  }

  async function addNode(name: string, address: string, labels: Record<string, string> = {}): Promise<void> {
    await plane.users.create<'Node'>(
      {
        kind: 'Node',
        metadata: { name, labels },
        spec: {},
        status: {
          addresses: [{ type: 'InternalIP', address }],
          conditions: [readyCondition('ready', plane.clock.now() - 60_000)],
        },
      },
      user,
    )
  }

  async function setNode(name: string, state: Exclude<State, 'never'>): Promise<void> {
    await plane.users.mutate(
      'Node',
      '',
      name,
      'status',
      (node) =>
        void (node.status.conditions = [
          readyCondition(state, plane.clock.now() - (state === 'ready' ? 60_000 : 3_000)),
        ]),
      user,
    )
  }

  it('lead to the pods that their selector matches, once those are ready, and no longer when they are not', async () => {
    await addNode('n1', '192.0.2.11', { 'topology.kubernetes.io/zone': 'z1' })
    await create('web', { selector: { app: 'web' }, ports: [{ port: 80, targetPort: 'http' }] })
    await plane.settleTo(() => slicesOf('web').length === 1)
    await runPod('a', '10.244.0.1')
    await runPod('b', '10.244.0.2', { ready: false })
    await runPod('c', '10.244.0.3', { labels: { app: 'other' } })
    await plane.settleTo(() => ready('web').join() === '10.244.0.1:8080' && slicesOf('web')[0]!.endpoints?.length === 2)
    const [slice] = slicesOf('web')
    const {
      metadata: { uid },
    } = plane.informer.lister('Pod').get('default', 'a')!
    assert.deepEqual(slice!.endpoints![0], {
      addresses: ['10.244.0.1'],
      conditions: { ready: true, serving: true, terminating: false },
      targetRef: { kind: 'Pod', namespace: 'default', name: 'a', uid },
      nodeName: 'n1',
      zone: 'z1',
    })
    assert.deepEqual(
      slice!.metadata.ownerReferences?.map(({ kind, name, controller }) => [kind, name, controller]),
      [['Service', 'web', true]],
    )
    assert.match(slice!.metadata.annotations!['endpoints.kubernetes.io/last-change-trigger-time']!, /^\d{4}-.*Z$/)
    await setReady('b', true)
    await setReady('a', false)
    await plane.settleTo(() => ready('web').join() === '10.244.0.2:8080')
    await plane.users.mutate('Pod', 'default', 'c', '', (pod) => void (pod.metadata.labels = { app: 'web' }), user)
    await plane.settleTo(() => ready('web').join() === '10.244.0.2:8080,10.244.0.3:8080')
    await plane.users.mutate('Pod', 'default', 'c', 'status', (pod) => void (pod.status.phase = 'Failed'), user)
    await plane.settleTo(() => slicesOf('web')[0]!.endpoints!.length === 2)
  })

  it('take a pod out at once when it is to end, but say that it still serves', async () => {
    await create('web', { selector: { app: 'web' }, ports: [{ port: 80 }] })
    await create('all', {
      selector: { app: 'web' },
      ports: [{ port: 80 }],
      publishNotReadyAddresses: true,
      clusterIP: 'None',
    })
    await runPod('a', '10.244.0.1')
    await runPod('b', '10.244.0.2', { ready: false })
    await plane.settleTo(() => ready('web').join() === '10.244.0.1:80' && ready('all').length === 2)
    await plane.users.delete('Pod', 'default', 'a', {}, user)
    await plane.settleTo(() => ready('web').length === 0)
    assert.deepEqual(
      slicesOf('web')[0]!.endpoints!.map(({ conditions }) => conditions),
      [
        { ready: false, serving: true, terminating: true },
        { ready: false, serving: false, terminating: false },
      ],
    )
    assert.equal(slicesOf('all')[0]!.metadata.labels!['service.kubernetes.io/headless'], '')
    assert.equal(ready('all').length, 2)
    await plane.users.release('default', 'a', plane.informer.lister('Pod').get('default', 'a')!.metadata.uid, user)
    await plane.settleTo(() => slicesOf('web')[0]!.endpoints!.length === 1)
  })

  it("keep apart what one name means in different pods, name hosts, and take the node's address for its network", async () => {
    await addNode('n1', '192.0.2.11')
    await create('web', {
      clusterIP: 'None',
      selector: { app: 'web' },
      ports: [{ name: 'http', port: 80, targetPort: 'http' }],
    })
    await runPod('a', '10.244.0.1', { spec: { hostname: 'host-a' } })
    await runPod('b', '10.244.0.2', {
      spec: { containers: [{ name: 'c', image: 'i', ports: [{ name: 'http', containerPort: 9090 }] }] },
    })
    await runPod('h', '192.0.2.11', { spec: { hostNetwork: true } })
    await plane.settleTo(() => ready('web').join() === '10.244.0.1:8080,10.244.0.2:9090,192.0.2.11:8080')
    assert.deepEqual(
      slicesOf('web')
        .map(({ ports }) => ports!.map(({ port }) => port))
        .sort(),
      [[8080], [9090]],
    )
  })

  it('leave a silent node at once, except when too many are silent or nothing else is left', async () => {
    for (const [index, name] of ['n1', 'n2', 'n3', 'n4', 'n5'].entries()) await addNode(name, `192.0.2.${index + 1}`)
    await create('web', { selector: { app: 'web' }, ports: [{ port: 80 }] })
    await create('single', { selector: { only: 'one' }, ports: [{ port: 80 }] })
    await runPod('a', '10.244.0.1', { node: 'n1', labels: { app: 'web', only: 'one' } })
    await runPod('b', '10.244.0.2', { node: 'n2' })
    await plane.settleTo(() => ready('web').length === 2 && ready('single').length === 1)
    await setNode('n1', 'suspect')
    await plane.settleTo(() => ready('web').join() === '10.244.0.2:80')
    await plane.settleTo(() => events.some((event) => /^single EndpointsKept .* n1 stay ready .*no others/.test(event)))
    assert.deepEqual(ready('single'), ['10.244.0.1:80'])
    await setNode('n1', 'ready')
    await plane.settleTo(
      () => ready('web').length === 2 && events.some((event) => event.startsWith('single EndpointsSettled')),
    )
    await setNode('n3', 'suspect')
    await setNode('n4', 'suspect')
    await setNode('n1', 'suspect')
    await plane.settleTo(() =>
      events.some((event) => /^web EndpointsKept .* n1 stay ready .*too many nodes/.test(event)),
    )
    assert.equal(ready('web').length, 2)
  })

  it('lose their slices with their selector, leave those of users alone, and take them along when they go', async () => {
    await create('web', { selector: { app: 'web' }, ports: [{ port: 80 }] })
    await runPod('a', '10.244.0.1')
    await plane.users.create<'EndpointSlice'>(
      {
        kind: 'EndpointSlice',
        metadata: { name: 'mine', namespace: 'default', labels: { 'kubernetes.io/service-name': 'web' } },
        addressType: 'IPv4',
        ports: [],
        endpoints: [{ addresses: ['192.0.2.99'] }],
      },
      user,
    )
    await plane.settleTo(() => ready('web').length === 1 && slicesOf('web').length === 2)
    const [made] = slicesOf('web').filter(({ metadata }) => metadata.name !== 'mine')
    await plane.users.delete('EndpointSlice', 'default', made!.metadata.name, {}, user)
    await plane.settleTo(() => slicesOf('web').length === 2 && ready('web').length === 1)
    await plane.users.mutate(
      'EndpointSlice',
      'default',
      slicesOf('web').find(({ metadata }) => metadata.name !== 'mine')!.metadata.name,
      '',
      (slice) => void (slice.endpoints = []),
      user,
    )
    await plane.settleTo(() => ready('web').length === 1)
    await plane.users.mutate('Service', 'default', 'web', '', ({ spec }) => void delete spec.selector, user)
    await plane.settleTo(
      () =>
        slicesOf('web')
          .map(({ metadata }) => metadata.name)
          .join() === 'mine',
    )
    await plane.users.mutate('Service', 'default', 'web', '', ({ spec }) => void (spec.selector = { app: 'web' }), user)
    await plane.settleTo(() => ready('web').length === 1)
    await plane.users.delete('Service', 'default', 'web', {}, user)
    await plane.settleTo(
      () =>
        slicesOf('web')
          .map(({ metadata }) => metadata.name)
          .join() === 'mine',
    )
  })

  it('lead to the controllers as default/kubernetes, which comes back when it is deleted', async () => {
    await plane.settleTo(() => ready('kubernetes').join() === '192.0.2.1:7443,192.0.2.2:7443')
    assert.deepEqual(
      [service('kubernetes').spec.clusterIP, service('kubernetes').spec.ports],
      ['10.96.0.1', [{ name: 'https', protocol: 'TCP', port: 443, targetPort: 7443 }]],
    )
    controllers = new Map([
      ['c1', '192.0.2.1:7443'],
      ['c4', '[2001:db8::4]:7444'],
    ])
    tellController('c4')
    await plane.settleTo(() => ready('kubernetes').join() === '192.0.2.1:7443,2001:db8::4:7444')
    const { uid } = service('kubernetes').metadata
    await plane.users.delete('Service', 'default', 'kubernetes', {}, user)
    await plane.settleTo(
      () =>
        service('kubernetes') !== undefined &&
        service('kubernetes').metadata.uid !== uid &&
        slicesOf('kubernetes').length === 2 &&
        slicesOf('kubernetes').every(
          ({ metadata }) => metadata.ownerReferences?.[0]?.uid === service('kubernetes').metadata.uid,
        ),
    )
    assert.equal(service('kubernetes').spec.clusterIP, '10.96.0.1')
    await plane.users.mutate(
      'Service',
      'default',
      'kubernetes',
      '',
      ({ spec }) => void (spec.selector = { app: 'evil' }),
      user,
    )
    await plane.settleTo(() => service('kubernetes').spec.selector === undefined)
  })

  it('are reached at nodes as load balancers, the older one where two take one port', async () => {
    const reached = (name: string): string[] => (service(name).status.loadBalancer?.ingress ?? []).map(({ ip }) => ip!)
    const balancer = (name: string, spec: object = {}): Promise<Service> =>
      create(name, { type: 'LoadBalancer', selector: { app: name }, ports: [{ port: 80 }], ...spec })
    await addNode('n1', '192.0.2.11')
    await addNode('n2', '192.0.2.12')
    await balancer('one')
    await plane.settleTo(() => reached('one').join() === '192.0.2.11,192.0.2.12')
    await plane.pass(1000) // creationTimestamp is in seconds
    await balancer('two')
    await plane.settleTo(() => service('two').status.conditions?.[0]?.type === 'LoadBalancerPortsError')
    assert.match(service('two').status.conditions![0]!.message!, /port 80\/TCP is taken by Service default\/one/)
    assert.deepEqual([reached('two'), events.filter((event) => event.startsWith('two ')).length], [[], 1])
    await balancer('local', { ports: [{ port: 81 }], externalTrafficPolicy: 'Local' })
    await runPod('p', '10.244.0.1', { node: 'n2', labels: { app: 'local' } })
    await plane.settleTo(() => reached('local').join() === '192.0.2.12')
    await plane.users.mutate(
      'Service',
      'default',
      'one',
      '',
      ({ spec }) => void (spec.loadBalancerIP = '192.0.2.11'),
      user,
    )
    await plane.settleTo(() => reached('one').join() === '192.0.2.11')
    assert.deepEqual(reached('two'), [])
    await plane.users.mutate(
      'Service',
      'default',
      'two',
      '',
      ({ spec }) => void (spec.loadBalancerIP = '192.0.2.12'),
      user,
    )
    await plane.settleTo(() => reached('two').join() === '192.0.2.12' && service('two').status.conditions === undefined)
    await plane.users.mutate('Service', 'default', 'two', '', ({ spec }) => void delete spec.loadBalancerIP, user)
    await plane.settleTo(() => reached('two').length === 0)
    await plane.users.mutate('Service', 'default', 'one', '', ({ spec }) => void (spec.type = 'ClusterIP'), user)
    await plane.settleTo(() => reached('one').length === 0 && reached('two').length === 2)
    await setNode('n1', 'lost')
    await plane.settleTo(() => reached('two').join() === '192.0.2.12')
    await balancer('classy', { ports: [{ port: 80 }], loadBalancerClass: 'example.com/other' })
    await balancer('far', { ports: [{ port: 82 }], loadBalancerIP: '198.51.100.1' })
    await plane.settleTo(() => service('far').status.conditions?.[0]?.type === 'LoadBalancerAddressError')
    assert.equal(service('classy').status.conditions, undefined)
  })
  it('are not given addresses that a node says are its own and that are of pods, Services or nobody', async () => {
    const reached = (): string[] => (service('web').status.loadBalancer?.ingress ?? []).map(({ ip }) => ip!)
    for (const [name, address] of [
      ['liar', '10.96.0.1'],
      ['greedy', '10.244.0.9'],
      ['cloudy', '169.254.169.254'],
      ['honest', '192.0.2.11'],
    ] as const)
      await addNode(name, address)
    await create('web', { type: 'LoadBalancer', selector: { app: 'web' }, ports: [{ port: 80 }] })
    await plane.settleTo(() => reached().length > 0)
    assert.deepEqual(reached(), ['192.0.2.11'])
    await plane.users.mutate(
      'Service',
      'default',
      'web',
      '',
      ({ spec }) => void (spec.loadBalancerIP = '10.96.0.1'),
      user,
    )
    await plane.settleTo(() => service('web').status.conditions?.[0]?.type === 'LoadBalancerAddressError')
    assert.deepEqual(reached(), [])
  })
  it('do not take the ports of Ingresses at ingress nodes', async () => {
    const reached = (name: string): string[] => (service(name).status.loadBalancer?.ingress ?? []).map(({ ip }) => ip!)
    const problem = (name: string): string | undefined =>
      service(name).status.conditions?.find(({ type }) => type === 'LoadBalancerPortsError')?.message
    await addNode('n1', '192.0.2.11', { 'gantry.dev/entrance': 'true' })
    await addNode('n2', '192.0.2.12')
    await create('secure', { type: 'LoadBalancer', selector: { app: 'a' }, ports: [{ port: 443 }] })
    await create('other', { type: 'LoadBalancer', selector: { app: 'a' }, ports: [{ port: 8443 }] })
    await plane.settleTo(() => reached('secure').length > 0 && reached('other').length === 2)
    assert.deepEqual([reached('secure'), problem('secure')], [['192.0.2.12'], undefined])
    await plane.users.mutate(
      'Node',
      '',
      'n2',
      '',
      ({ metadata }) => void (metadata.labels = { 'gantry.dev/entrance': 'true' }),
      user,
    )
    await plane.settleTo(() => reached('secure').length === 0)
    assert.match(problem('secure')!, /^port 443\/TCP of nodes that are an entrance is for Ingresses/)
    assert.deepEqual(reached('other'), ['192.0.2.11', '192.0.2.12'])
  })
})
