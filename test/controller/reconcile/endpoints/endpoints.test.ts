/** Endpoints of Services and their copies. */
import assert from 'node:assert/strict'
import { ApiServiceReconciler } from '../../../../controller/reconcile/apiservice/reconciler.ts'
import { BATCH_WINDOW_MS, EndpointsReconciler } from '../../../../controller/reconcile/endpoints/reconciler.ts'
import { EndpointSliceMirror } from '../../../../controller/reconcile/endpointslicemirroring/reconciler.ts'
import { EndpointSliceReconciler } from '../../../../controller/reconcile/endpointslice/reconciler.ts'
import { GarbageReconciler } from '../../../../controller/reconcile/garbage/reconciler.ts'
import { NamespaceReconciler } from '../../../../controller/reconcile/namespace/reconciler.ts'
import { formatTime } from '../../../../proto/base/time.ts'
import type { Endpoints, EndpointSlice, Pod, Service } from '../../../../proto/gen/types.ts'
import { SteppedControlPlane } from '../../stepped-control-plane.ts'

const user = { fieldManager: 'user' }
const MIRRORED = 'endpointslicemirroring-controller.k8s.io'

describe('Endpoints', () => {
  let plane: SteppedControlPlane

  beforeEach(async () => {
    plane = await SteppedControlPlane.start()
    const addresses = new Map([
      ['c1', '192.0.2.1:7443'],
      ['c2', '192.0.2.2:7443'],
    ])
    const replicas = { present: () => true, kubeAddresses: () => addresses, on: () => () => undefined }
    const parts = { ...plane.parts, replicas }
    plane.run(
      new EndpointSliceReconciler(parts),
      new EndpointsReconciler(parts),
      new EndpointSliceMirror(parts),
      new ApiServiceReconciler(parts),
      new GarbageReconciler(parts),
      new NamespaceReconciler(parts),
    )
  })
  afterEach(() => plane.stop())

  /** Once what a window gathers is written, and what that makes others write. */
  async function settleTo(holds: () => boolean): Promise<void> {
    await plane.pass(BATCH_WINDOW_MS)
    await plane.settleTo(holds)
  }

  const endpoints = (name: string, namespace = 'default'): Endpoints | undefined =>
    plane.informer.lister('Endpoints').get(namespace, name)
  /** "10.244.0.1:80" of the ready addresses, then "!10.244.0.2:80" of the others. */
  const shown = (name: string, namespace = 'default'): string =>
    (endpoints(name, namespace)?.subsets ?? [])
      .flatMap(({ addresses = [], notReadyAddresses = [], ports = [] }) =>
        [...addresses.map(({ ip }) => ip), ...notReadyAddresses.map(({ ip }) => `!${ip}`)].flatMap((ip) =>
          ports.length === 0 ? [ip] : ports.map(({ port }) => `${ip}:${port}`),
        ),
      )
      .join(' ')
  const slicesOf = (name: string): EndpointSlice[] =>
    plane.informer
      .lister('EndpointSlice')
      .list('default')
      .filter(({ metadata }) => metadata.labels?.['kubernetes.io/service-name'] === name)
  const mirrored = (name: string): string =>
    slicesOf(name)
      .filter(({ metadata }) => metadata.labels?.['endpointslice.kubernetes.io/managed-by'] === MIRRORED)
      .flatMap(({ endpoints: list = [], ports = [] }) =>
        list.flatMap(({ addresses, conditions }) =>
          ports.map(({ port }) => `${conditions?.ready === false ? '!' : ''}${addresses![0]}:${port}`),
        ),
      )
      .sort()
      .join(' ')

  const create = (name: string, spec: object, more: object = {}, namespace = 'default'): Promise<Service> =>
    plane.users.create<'Service'>(
      { kind: 'Service', metadata: { name, namespace, ...more }, spec: { ports: [{ port: 80 }], ...spec } },
      user,
    )

  const write = (name: string, ips: readonly string[], more: object = {}): Promise<Endpoints> =>
    plane.users.create<'Endpoints'>(
      {
        kind: 'Endpoints',
        metadata: { name, namespace: 'default', ...more },
        subsets: ips.length === 0 ? [] : [{ addresses: ips.map((ip) => ({ ip })), ports: [{ port: 5432 }] }],
      },
      user,
    )

  async function runPod(name: string, ip: string, isReady = true, namespace = 'default'): Promise<void> {
    const made = await plane.users.create<'Pod'>(
      {
        kind: 'Pod',
        metadata: { name, namespace, labels: { app: 'web' } },
        spec: { nodeName: 'n1', containers: [{ name: 'c', image: 'i' }] },
      },
      user,
    )
    await plane.users.updateStatus<'Pod'>(
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

  it('name the pods of a Service with a selector, and carry its labels', async () => {
    await create('web', { selector: { app: 'web' } }, { labels: { team: 'a' } })
    await settleTo(() => endpoints('web') !== undefined)
    assert.deepEqual(endpoints('web')!.subsets ?? [], [])
    await runPod('b', '10.244.0.2')
    await runPod('a', '10.244.0.1')
    await runPod('c', '10.244.0.3', false)
    await settleTo(() => shown('web') === '10.244.0.1:80 10.244.0.2:80 !10.244.0.3:80')
    const { metadata, subsets } = endpoints('web')!
    assert.deepEqual(metadata.labels, { team: 'a', 'endpoints.kubernetes.io/managed-by': 'endpoint-controller' })
    const { uid } = plane.informer.lister('Pod').get('default', 'a')!.metadata
    assert.deepEqual(subsets![0]!.addresses![0], {
      ip: '10.244.0.1',
      nodeName: 'n1',
      targetRef: { kind: 'Pod', namespace: 'default', name: 'a', uid },
    })
    assert.match(metadata.annotations!['endpoints.kubernetes.io/last-change-trigger-time']!, /^\d{4}-.*Z$/)
    await plane.users.mutate(
      'Service',
      'default',
      'web',
      '',
      (service) => void (service.metadata.labels = { team: 'b' }),
      user,
    )
    await settleTo(() => endpoints('web')!.metadata.labels?.['team'] === 'b')
    assert.deepEqual(
      slicesOf('web').map(({ metadata: { labels } }) => labels?.['endpointslice.kubernetes.io/managed-by']),
      ['endpointslice-controller.k8s.io'],
    )
  })

  it('are written once for all that changes within a window', async () => {
    await create('web', { selector: { app: 'web' } })
    await plane.pass(BATCH_WINDOW_MS)
    const before = plane.requests.length
    await runPod('a', '10.244.0.1')
    await plane.pass(BATCH_WINDOW_MS / 2)
    await runPod('b', '10.244.0.2')
    await plane.pass(BATCH_WINDOW_MS / 2 - 1)
    assert.equal(shown('web'), '')
    await plane.pass(1)
    assert.equal(shown('web'), '10.244.0.1:80 10.244.0.2:80')
    const written = plane.requests.slice(before).filter(({ verb, kind }) => kind === 'Endpoints' && verb !== 'get')
    assert.equal(written.length, 1)
  })

  it('are not written where nothing changes', async () => {
    await create('web', { selector: { app: 'web' } })
    await runPod('a', '10.244.0.1')
    await settleTo(() => shown('web') === '10.244.0.1:80')
    const { resourceVersion } = endpoints('web')!.metadata
    // A slice that changes without any difference for Endpoints, and then another Service whose Endpoints are written
    // later.
    await plane.users.mutate(
      'EndpointSlice',
      'default',
      slicesOf('web')[0]!.metadata.name,
      '',
      ({ metadata }) => void (metadata.annotations = { ...metadata.annotations, note: 'x' }),
      user,
    )
    await create('later', { selector: { app: 'web' } })
    await settleTo(() => shown('later') === '10.244.0.1:80')
    assert.equal(endpoints('web')!.metadata.resourceVersion, resourceVersion)
  })

  it('come back when a user changes or removes them', async () => {
    await create('web', { selector: { app: 'web' } })
    await runPod('a', '10.244.0.1')
    await settleTo(() => shown('web') === '10.244.0.1:80')
    await plane.users.mutate(
      'Endpoints',
      'default',
      'web',
      '',
      (stored) =>
        void (stored.subsets = [{ addresses: [{ ip: '192.0.2.66' }], ports: [{ port: 1, protocol: 'TCP' }] }]),
      user,
    )
    await settleTo(() => shown('web') === '10.244.0.1:80')
    await plane.users.delete('Endpoints', 'default', 'web', {}, user)
    await settleTo(() => shown('web') === '10.244.0.1:80')
    assert.equal(mirrored('web'), '')
  })

  it('go with the Service, and with its selector', async () => {
    for (const name of ['gone', 'bare']) await create(name, { selector: { app: 'web' } })
    await runPod('a', '10.244.0.1')
    await settleTo(() => shown('gone') !== '' && shown('bare') !== '')
    await plane.users.delete('Service', 'default', 'gone', {}, user)
    await settleTo(() => endpoints('gone') === undefined)
    await plane.users.mutate('Service', 'default', 'bare', '', ({ spec }) => void delete spec.selector, user)
    await settleTo(() => endpoints('bare') === undefined && slicesOf('bare').length === 0)
  })

  it('heed headless Services and those that publish what is not ready', async () => {
    await create('names', { selector: { app: 'web' }, clusterIP: 'None', ports: [] })
    await create('early', { selector: { app: 'web' }, publishNotReadyAddresses: true })
    await runPod('a', '10.244.0.1', false)
    await settleTo(() => shown('names') === '!10.244.0.1' && shown('early') === '10.244.0.1:80')
    assert.deepEqual(endpoints('names')!.metadata.labels, {
      'endpoints.kubernetes.io/managed-by': 'endpoint-controller',
      'service.kubernetes.io/headless': '',
    })
  })

  it('name the controllers as default/kubernetes, and are not copied', async () => {
    await settleTo(() => shown('kubernetes') === '192.0.2.1:7443 192.0.2.2:7443')
    assert.equal(endpoints('kubernetes')!.metadata.labels!['endpointslice.kubernetes.io/skip-mirror'], 'true')
    await plane.users.delete('Endpoints', 'default', 'kubernetes', {}, user)
    await settleTo(() => shown('kubernetes') === '192.0.2.1:7443 192.0.2.2:7443')
    assert.equal(mirrored('kubernetes'), '')
  })

  it('of a user are copied to EndpointSlices for a Service without a selector, as long as there is one', async () => {
    await write('db', ['192.0.2.51', '2001:db8::1'], { labels: { team: 'a' }, annotations: { note: 'x' } })
    await create('db', {})
    await settleTo(() => mirrored('db') === '192.0.2.51:5432 2001:db8::1:5432')
    const [one] = slicesOf('db')
    assert.deepEqual(
      [
        one!.metadata.labels,
        one!.metadata.annotations,
        one!.metadata.ownerReferences?.map(({ kind, name }) => `${kind} ${name}`),
      ],
      [
        { team: 'a', 'kubernetes.io/service-name': 'db', 'endpointslice.kubernetes.io/managed-by': MIRRORED },
        { note: 'x' },
        ['Endpoints db'],
      ],
    )
    await plane.users.mutate(
      'Endpoints',
      'default',
      'db',
      '',
      (stored) =>
        void (stored.subsets = [
          { notReadyAddresses: [{ ip: '192.0.2.52' }], ports: [{ port: 5433, protocol: 'TCP' }] },
        ]),
      user,
    )
    await settleTo(() => mirrored('db') === '!192.0.2.52:5433')
    await plane.users.mutate(
      'EndpointSlice',
      'default',
      slicesOf('db')[0]!.metadata.name,
      '',
      (slice) => void (slice.endpoints = []),
      user,
    )
    await settleTo(() => mirrored('db') === '!192.0.2.52:5433')
    await plane.users.mutate(
      'Endpoints',
      'default',
      'db',
      '',
      ({ metadata }) => void (metadata.labels = { 'endpointslice.kubernetes.io/skip-mirror': 'true' }),
      user,
    )
    await settleTo(() => slicesOf('db').length === 0)
    await plane.users.mutate('Endpoints', 'default', 'db', '', ({ metadata }) => void (metadata.labels = {}), user)
    await settleTo(() => mirrored('db') === '!192.0.2.52:5433')
    await plane.users.delete('Endpoints', 'default', 'db', {}, user)
    await settleTo(() => slicesOf('db').length === 0)
  })

  it('of a user go with the Service, with their copies; a lock of a leader election stays and is not copied', async () => {
    for (const name of ['db', 'lock']) await create(name, {})
    await write('db', ['192.0.2.51'])
    await write('lock', ['192.0.2.52'], { annotations: { 'control-plane.alpha.kubernetes.io/leader': '{}' } })
    await settleTo(() => mirrored('db') === '192.0.2.51:5432')
    assert.equal(mirrored('lock'), '')
    for (const name of ['lock', 'db']) await plane.users.delete('Service', 'default', name, {}, user)
    await settleTo(() => endpoints('db') === undefined && slicesOf('db').length === 0)
    assert.ok(endpoints('lock') !== undefined)
  })

  it('of a user give way to those of a Service that gets a selector', async () => {
    await create('db', {})
    await write('db', ['192.0.2.51'])
    await runPod('a', '10.244.0.1')
    await settleTo(() => mirrored('db') === '192.0.2.51:5432')
    await plane.users.mutate('Service', 'default', 'db', '', ({ spec }) => void (spec.selector = { app: 'web' }), user)
    await settleTo(() => shown('db') === '10.244.0.1:80' && mirrored('db') === '')
  })

  it('go with their namespace', async () => {
    await plane.users.create<'Namespace'>({ kind: 'Namespace', metadata: { name: 'team' } }, user)
    await create('web', { selector: { app: 'web' } }, {}, 'team')
    await runPod('a', '10.244.0.1', true, 'team')
    await settleTo(() => shown('web', 'team') === '10.244.0.1:80')
    await plane.users.delete('Namespace', '', 'team', {}, user)
    const pod = (): Pod => plane.informer.lister('Pod').get('team', 'a')!
    await settleTo(() => pod().metadata.deletionTimestamp !== undefined)
    await plane.users.release('team', 'a', pod().metadata.uid, user)
    await settleTo(() => plane.informer.lister('Namespace').get('', 'team') === undefined)
    assert.equal(endpoints('web', 'team'), undefined)
  })
})
