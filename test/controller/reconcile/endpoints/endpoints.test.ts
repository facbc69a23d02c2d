/** Endpoints of Services and their copies, on the real API core, watch cache and memory store. */
import assert from 'node:assert/strict'
import { ApiServiceReconciler } from '../../../../controller/reconcile/apiservice/reconciler.ts'
import { EndpointsReconciler } from '../../../../controller/reconcile/endpoints/reconciler.ts'
import { EndpointSliceMirror } from '../../../../controller/reconcile/endpointslicemirroring/reconciler.ts'
import { EndpointSliceReconciler } from '../../../../controller/reconcile/endpointslice/reconciler.ts'
import { GarbageReconciler } from '../../../../controller/reconcile/garbage/reconciler.ts'
import { NamespaceReconciler } from '../../../../controller/reconcile/namespace/reconciler.ts'
import { runReconcilers } from '../../../../controller/runner/runner.ts'
import { formatTime } from '../../../../proto/base/time.ts'
import { systemClock } from '../../../../proto/base/clock.ts'
import type { Endpoints, EndpointSlice, Pod, Service } from '../../../../proto/gen/types.ts'
import { eventually } from '../../../eventually.ts'
import { ControlPlane } from '../../control-plane.ts'
import { reconcileParts } from '../../reconcile-parts.ts'

const user = { fieldManager: 'user' }
const MIRRORED = 'endpointslicemirroring-controller.k8s.io'

describe('Endpoints', () => {
  let plane: ControlPlane
  let stop: AbortController
  let running: Promise<void>

  beforeEach(async () => {
    plane = await ControlPlane.start()
    stop = new AbortController()
    const addresses = new Map([
      ['c1', '192.0.2.1:7443'],
      ['c2', '192.0.2.2:7443'],
    ])
    const parts = reconcileParts(plane, {
      replicas: { present: () => true, kubeAddresses: () => addresses, on: () => () => undefined },
    })
    running = runReconcilers(
      [
        new EndpointSliceReconciler(parts),
        new EndpointsReconciler(parts),
        new EndpointSliceMirror(parts),
        new ApiServiceReconciler(parts),
        new GarbageReconciler(parts),
        new NamespaceReconciler(parts),
      ],
      parts,
      stop.signal,
    )
  })

  afterEach(async () => {
    stop.abort()
    await running
    await plane.stop()
  })

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
    plane.api.create<'Service'>(
      { kind: 'Service', metadata: { name, namespace, ...more }, spec: { ports: [{ port: 80 }], ...spec } },
      user,
    )

  const write = (name: string, ips: readonly string[], more: object = {}): Promise<Endpoints> =>
    plane.api.create<'Endpoints'>(
      {
        kind: 'Endpoints',
        metadata: { name, namespace: 'default', ...more },
        subsets: ips.length === 0 ? [] : [{ addresses: ips.map((ip) => ({ ip })), ports: [{ port: 5432 }] }],
      },
      user,
    )

  async function runPod(name: string, ip: string, isReady = true, namespace = 'default'): Promise<void> {
    const made = await plane.api.create<'Pod'>(
      {
        kind: 'Pod',
        metadata: { name, namespace, labels: { app: 'web' } },
        spec: { nodeName: 'n1', containers: [{ name: 'c', image: 'i' }] },
      },
      user,
    )
    await plane.api.updateStatus<'Pod'>(
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
      lastTransitionTime: formatTime(systemClock.now()),
    }))

  it('name the pods of a Service with a selector, and carry its labels', async () => {
    await create('web', { selector: { app: 'web' } }, { labels: { team: 'a' } })
    await eventually(() => endpoints('web') !== undefined)
    assert.deepEqual(endpoints('web')!.subsets ?? [], [])
    await runPod('b', '10.244.0.2')
    await runPod('a', '10.244.0.1')
    await runPod('c', '10.244.0.3', false)
    await eventually(() => shown('web') === '10.244.0.1:80 10.244.0.2:80 !10.244.0.3:80')
    const { metadata, subsets } = endpoints('web')!
    assert.deepEqual(metadata.labels, { team: 'a', 'endpoints.kubernetes.io/managed-by': 'endpoint-controller' })
    const { uid } = plane.informer.lister('Pod').get('default', 'a')!.metadata
    assert.deepEqual(subsets![0]!.addresses![0], {
      ip: '10.244.0.1',
      nodeName: 'n1',
      targetRef: { kind: 'Pod', namespace: 'default', name: 'a', uid },
    })
    assert.match(metadata.annotations!['endpoints.kubernetes.io/last-change-trigger-time']!, /^\d{4}-.*Z$/)
    await plane.api.mutate(
      'Service',
      'default',
      'web',
      '',
      (service) => void (service.metadata.labels = { team: 'b' }),
      user,
    )
    await eventually(() => endpoints('web')!.metadata.labels?.['team'] === 'b')
    assert.deepEqual(
      slicesOf('web').map(({ metadata: { labels } }) => labels?.['endpointslice.kubernetes.io/managed-by']),
      ['endpointslice-controller.k8s.io'],
    )
  })

  it('are not written where nothing changes', async () => {
    await create('web', { selector: { app: 'web' } })
    await runPod('a', '10.244.0.1')
    await eventually(() => shown('web') === '10.244.0.1:80')
    const { resourceVersion } = endpoints('web')!.metadata
    // A slice that changes without any difference for Endpoints, and then another Service whose Endpoints are written
    // later.
    await plane.api.mutate(
      'EndpointSlice',
      'default',
      slicesOf('web')[0]!.metadata.name,
      '',
      ({ metadata }) => void (metadata.annotations = { ...metadata.annotations, note: 'x' }),
      user,
    )
    await create('later', { selector: { app: 'web' } })
    await eventually(() => shown('later') === '10.244.0.1:80')
    assert.equal(endpoints('web')!.metadata.resourceVersion, resourceVersion)
  })

  it('come back when a user changes or removes them', async () => {
    await create('web', { selector: { app: 'web' } })
    await runPod('a', '10.244.0.1')
    await eventually(() => shown('web') === '10.244.0.1:80')
    await plane.api.mutate(
      'Endpoints',
      'default',
      'web',
      '',
      (stored) =>
        void (stored.subsets = [{ addresses: [{ ip: '192.0.2.66' }], ports: [{ port: 1, protocol: 'TCP' }] }]),
      user,
    )
    await eventually(() => shown('web') === '10.244.0.1:80')
    await plane.api.delete('Endpoints', 'default', 'web', {}, user)
    await eventually(() => shown('web') === '10.244.0.1:80')
    assert.equal(mirrored('web'), '')
  })

  it('go with the Service, and with its selector', async () => {
    for (const name of ['gone', 'bare']) await create(name, { selector: { app: 'web' } })
    await runPod('a', '10.244.0.1')
    await eventually(() => shown('gone') !== '' && shown('bare') !== '')
    await plane.api.delete('Service', 'default', 'gone', {}, user)
    await eventually(() => endpoints('gone') === undefined)
    await plane.api.mutate('Service', 'default', 'bare', '', ({ spec }) => void delete spec.selector, user)
    await eventually(() => endpoints('bare') === undefined && slicesOf('bare').length === 0)
  })

  it('heed headless Services and those that publish what is not ready', async () => {
    await create('names', { selector: { app: 'web' }, clusterIP: 'None', ports: [] })
    await create('early', { selector: { app: 'web' }, publishNotReadyAddresses: true })
    await runPod('a', '10.244.0.1', false)
    await eventually(() => shown('names') === '!10.244.0.1' && shown('early') === '10.244.0.1:80')
    assert.deepEqual(endpoints('names')!.metadata.labels, {
      'endpoints.kubernetes.io/managed-by': 'endpoint-controller',
      'service.kubernetes.io/headless': '',
    })
  })

  it('name the controllers as default/kubernetes, and are not copied', async () => {
    await eventually(() => shown('kubernetes') === '192.0.2.1:7443 192.0.2.2:7443')
    assert.equal(endpoints('kubernetes')!.metadata.labels!['endpointslice.kubernetes.io/skip-mirror'], 'true')
    await plane.api.delete('Endpoints', 'default', 'kubernetes', {}, user)
    await eventually(() => shown('kubernetes') === '192.0.2.1:7443 192.0.2.2:7443')
    assert.equal(mirrored('kubernetes'), '')
  })

  it('of a user are copied to EndpointSlices for a Service without a selector, as long as there is one', async () => {
    await write('db', ['192.0.2.51', '2001:db8::1'], { labels: { team: 'a' }, annotations: { note: 'x' } })
    await create('db', {})
    await eventually(() => mirrored('db') === '192.0.2.51:5432 2001:db8::1:5432')
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
    await plane.api.mutate(
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
    await eventually(() => mirrored('db') === '!192.0.2.52:5433')
    await plane.api.mutate(
      'EndpointSlice',
      'default',
      slicesOf('db')[0]!.metadata.name,
      '',
      (slice) => void (slice.endpoints = []),
      user,
    )
    await eventually(() => mirrored('db') === '!192.0.2.52:5433')
    await plane.api.mutate(
      'Endpoints',
      'default',
      'db',
      '',
      ({ metadata }) => void (metadata.labels = { 'endpointslice.kubernetes.io/skip-mirror': 'true' }),
      user,
    )
    await eventually(() => slicesOf('db').length === 0)
    await plane.api.mutate('Endpoints', 'default', 'db', '', ({ metadata }) => void (metadata.labels = {}), user)
    await eventually(() => mirrored('db') === '!192.0.2.52:5433')
    await plane.api.delete('Endpoints', 'default', 'db', {}, user)
    await eventually(() => slicesOf('db').length === 0)
  })

  it('of a user go with the Service, with their copies; a lock of a leader election stays and is not copied', async () => {
    for (const name of ['db', 'lock']) await create(name, {})
    await write('db', ['192.0.2.51'])
    await write('lock', ['192.0.2.52'], { annotations: { 'control-plane.alpha.kubernetes.io/leader': '{}' } })
    await eventually(() => mirrored('db') === '192.0.2.51:5432')
    assert.equal(mirrored('lock'), '')
    for (const name of ['lock', 'db']) await plane.api.delete('Service', 'default', name, {}, user)
    await eventually(() => endpoints('db') === undefined && slicesOf('db').length === 0)
    assert.ok(endpoints('lock') !== undefined)
  })

  it('of a user give way to those of a Service that gets a selector', async () => {
    await create('db', {})
    await write('db', ['192.0.2.51'])
    await runPod('a', '10.244.0.1')
    await eventually(() => mirrored('db') === '192.0.2.51:5432')
    await plane.api.mutate('Service', 'default', 'db', '', ({ spec }) => void (spec.selector = { app: 'web' }), user)
    await eventually(() => shown('db') === '10.244.0.1:80' && mirrored('db') === '')
  })

  it('go with their namespace', async () => {
    await plane.api.create<'Namespace'>({ kind: 'Namespace', metadata: { name: 'team' } }, user)
    await create('web', { selector: { app: 'web' } }, {}, 'team')
    await runPod('a', '10.244.0.1', true, 'team')
    await eventually(() => shown('web', 'team') === '10.244.0.1:80')
    await plane.api.delete('Namespace', '', 'team', {}, user)
    const pod = (): Pod => plane.informer.lister('Pod').get('team', 'a')!
    await eventually(() => pod().metadata.deletionTimestamp !== undefined)
    await plane.api.release('team', 'a', pod().metadata.uid, user)
    await eventually(() => plane.informer.lister('Namespace').get('', 'team') === undefined)
    assert.equal(endpoints('web', 'team'), undefined)
  })
})
