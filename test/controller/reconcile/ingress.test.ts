import assert from 'node:assert/strict'
import { IngressClassReconciler } from '../../../controller/reconcile/ingress/class-reconciler.ts'
import { GatewayStatusReconciler } from '../../../controller/reconcile/ingress/gateway-reconciler.ts'
import { IngressStatusReconciler } from '../../../controller/reconcile/ingress/ingress-reconciler.ts'
import { RouteStatusReconciler } from '../../../controller/reconcile/ingress/route-reconciler.ts'
import { IngressSource } from '../../../controller/dispatch/network/ingress-source.ts'
import type { Condition, Node } from '../../../proto/gen/types.ts'
import { objects, service, tlsSecret } from '../../agent/ingress/objects.ts'
import { FakeCluster, metadata } from './fake.ts'

function node(
  name: string,
  address: string,
  { ready = true, entrance = false }: { ready?: boolean; entrance?: boolean } = {},
): Node {
  const labels: Record<string, string> = entrance ? { 'gantry.dev/entrance': 'true' } : {}
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: metadata(name, { namespace: '', labels }),
    spec: {},
    status: {
      addresses: [{ type: 'InternalIP', address }],
      conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
    },
  }
}

const PAIR = { cert: '-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n', key: 'key' }

const MANIFEST = `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: shop }
spec: { tls: [{ hosts: [shop.example.com], secretName: shop }], defaultBackend: { service: { name: web, port: { number: 80 } } } }
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: foreign }
spec: { ingressClassName: other, tls: [{ secretName: foreign }], defaultBackend: { service: { name: web, port: { number: 80 } } } }
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge }
spec:
  gatewayClassName: gantry
  listeners:
  - { name: web, port: 8080, protocol: HTTP }
  - { name: secure, port: 8443, protocol: HTTPS, tls: { certificateRefs: [{ name: late }] } }
  - { name: raw, port: 9000, protocol: TCP }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: route }
spec: { parentRefs: [{ name: edge, sectionName: web }, { name: edge, sectionName: none }, { name: elsewhere }], rules: [{ backendRefs: [{ name: web, port: 80 }] }] }
`

const words = (conditions: readonly Condition[] | undefined): string[] =>
  (conditions ?? []).map(({ type, status, reason }) => `${type} ${status} ${reason}`)

async function running(work: (cluster: FakeCluster) => Promise<void>): Promise<void> {
  const cluster = new FakeCluster()
  const { parts } = cluster
  await cluster.running(
    [
      new IngressClassReconciler(parts),
      new IngressStatusReconciler(parts),
      new GatewayStatusReconciler(parts),
      new RouteStatusReconciler(parts),
    ],
    async () => {
      await cluster.settle()
      cluster.put(node('n1', '10.0.0.1', { entrance: true }))
      cluster.put(node('n2', '10.0.0.2', { ready: false, entrance: true }))
      for (const object of objects(MANIFEST)) cluster.put(object)
      await cluster.settle()
      await work(cluster)
    },
  )
}

describe('entrance, control side', () => {
  it('makes the built-in classes, again if they go, and accepts those of the entrance', () =>
    running(async (cluster) => {
      assert.equal(cluster.get('IngressClass', 'gantry', '')!.spec.controller, 'gantry.dev/entrance')
      assert.deepEqual(words(cluster.get('GatewayClass', 'gantry', '')!.status.conditions), ['Accepted True Accepted'])
      cluster.remove('IngressClass', 'gantry', '')
      await cluster.settle()
      assert.notEqual(cluster.get('IngressClass', 'gantry', ''), undefined)
    }))

  it('says where Ingresses are reached, as nodes come and go', () =>
    running(async (cluster) => {
      const addresses = (name: string) =>
        cluster.get('Ingress', name)!.status.loadBalancer?.ingress?.map(({ ip }) => ip)
      assert.deepEqual(addresses('shop'), ['10.0.0.1'])
      assert.equal(addresses('foreign'), undefined)
      cluster.change('Node', 'n2', ({ status }) => void (status.conditions = [{ type: 'Ready', status: 'True' }]), '')
      await cluster.settle()
      assert.deepEqual(addresses('shop'), ['10.0.0.1', '10.0.0.2'])
      cluster.change('Node', 'n1', (object) => void delete object.metadata.labels, '')
      await cluster.settle()
      assert.deepEqual(addresses('shop'), ['10.0.0.2'])
    }))

  it('says so where no node is an entrance, and tells no node a key', () =>
    running(async (cluster) => {
      const said = (): string[] => cluster.events.filter((event) => event.startsWith('Warning NoEntrance'))
      const programmed = () =>
        cluster.get('Gateway', 'edge')!.status.conditions!.find(({ type }) => type === 'Programmed')!
      assert.deepEqual(said(), [])
      cluster.put(tlsSecret('shop', PAIR))
      for (const name of ['n1', 'n2']) cluster.change('Node', name, (object) => void delete object.metadata.labels, '')
      await cluster.settle()
      const source = new IngressSource()
      const stop = source.start(cluster.informer, {
        all: () => assert.fail('everybody would be told'),
        node: () => undefined,
      })
      assert.deepEqual(
        ['n1', 'n2'].map((name) => [...source.entriesOf(name).keys()]),
        [[], []],
      )
      stop()
      assert.equal(cluster.get('Ingress', 'shop')!.status.loadBalancer?.ingress, undefined)
      assert.deepEqual(said(), [
        'Warning NoEntrance No node is an entrance: gantry label node NODE gantry.dev/entrance=true makes one',
      ])
      assert.deepEqual(
        [programmed().status, programmed().reason, programmed().message],
        [
          'False',
          'AddressNotAssigned',
          'No node is an entrance: gantry label node NODE gantry.dev/entrance=true makes one',
        ],
      )
      cluster.change('Ingress', 'shop', (object) => void (object.metadata.labels = { any: 'change' }))
      await cluster.settle()
      assert.equal(said().length, 1, 'it is told once')
    }))

  it('says what holds of Gateways, their listeners and their routes', () =>
    running(async (cluster) => {
      const listener = (name: string): string[] =>
        words(cluster.get('Gateway', 'edge')!.status.listeners!.find((status) => status.name === name)!.conditions)
      const parents = (): string[][] =>
        cluster.get('HTTPRoute', 'route')!.status.parents!.map(({ conditions }) => words(conditions))
      assert.deepEqual(words(cluster.get('Gateway', 'edge')!.status.conditions), [
        'Accepted True ListenersNotValid',
        'Programmed True Programmed',
      ])
      assert.deepEqual(cluster.get('Gateway', 'edge')!.status.addresses, [{ type: 'IPAddress', value: '10.0.0.1' }])
      assert.deepEqual(listener('web'), [
        'Accepted True Accepted',
        'Conflicted False NoConflicts',
        'ResolvedRefs True ResolvedRefs',
        'Programmed True Programmed',
      ])
      assert.deepEqual(listener('secure'), [
        'Accepted True Accepted',
        'Conflicted False NoConflicts',
        'ResolvedRefs False InvalidCertificateRef',
        'Programmed False Invalid',
      ])
      assert.deepEqual(listener('raw'), [
        'Accepted False UnsupportedProtocol',
        'Conflicted False NoConflicts',
        'ResolvedRefs True ResolvedRefs',
        'Programmed False Invalid',
      ])
      assert.deepEqual(parents(), [
        ['Accepted True Accepted', 'ResolvedRefs False BackendNotFound'],
        ['Accepted False NoMatchingParent', 'ResolvedRefs False BackendNotFound'],
      ])
      assert.deepEqual(
        cluster.get('Gateway', 'edge')!.status.listeners!.map(({ attachedRoutes }) => attachedRoutes),
        [1, 0, 0],
      )
      cluster.put(service('web'))
      cluster.put(tlsSecret('late', PAIR))
      await cluster.settle()
      assert.deepEqual(parents()[0], ['Accepted True Accepted', 'ResolvedRefs True ResolvedRefs'])
      assert.deepEqual(listener('secure'), [
        'Accepted True Accepted',
        'Conflicted False NoConflicts',
        'ResolvedRefs True ResolvedRefs',
        'Programmed True Programmed',
      ])
      const calls = cluster.calls.length
      cluster.change('HTTPRoute', 'route', (object) => void (object.metadata.labels = { any: 'change' }))
      await cluster.settle()
      assert.equal(
        cluster.calls.filter(({ verb }) => verb === 'mutate').length,
        cluster.calls.slice(0, calls).filter(({ verb }) => verb === 'mutate').length,
      )
    }))

  it('tells entrance nodes what is served and the Secrets of it, and nobody else anything', () =>
    running(async (cluster) => {
      const source = new IngressSource()
      const asked: string[] = []
      const stop = source.start(cluster.informer, {
        all: () => assert.fail('everybody would be told'),
        node: (name) => void asked.push(name),
      })
      const keys = (name: string): string[] => [...source.entriesOf(name).keys()].sort()
      const served = [
        'Gateway/default/edge',
        'GatewayClass//gantry',
        'HTTPRoute/default/route',
        'Ingress/default/shop',
        'IngressClass//gantry',
      ]
      assert.deepEqual(keys('n2'), served)
      for (const name of ['shop', 'foreign', 'other']) cluster.put(tlsSecret(name, PAIR))
      await cluster.settle()
      assert.deepEqual(keys('n1'), [...served, 'Secret/default/shop'])
      asked.length = 0
      cluster.put(tlsSecret('more', PAIR))
      await cluster.settle()
      assert.deepEqual(asked, [])
      cluster.change('Node', 'n2', (object) => void delete object.metadata.labels, '')
      await cluster.settle()
      // Only those for whom that makes a difference.
      assert.deepEqual(asked, ['n2'])
      assert.deepEqual([keys('n2'), keys('n1').length], [[], served.length + 1])
      asked.length = 0
      cluster.remove('Secret', 'shop')
      await cluster.settle()
      assert.deepEqual([asked, keys('n1')], [['n1'], served])
      stop()
    }))
})
