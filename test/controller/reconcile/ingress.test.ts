import assert from 'node:assert/strict'
import { IngressClassReconciler } from '../../../controller/reconcile/ingress/class-reconciler.ts'
import { GatewayStatusReconciler } from '../../../controller/reconcile/ingress/gateway-reconciler.ts'
import { IngressStatusReconciler } from '../../../controller/reconcile/ingress/ingress-reconciler.ts'
import { RouteStatusReconciler } from '../../../controller/reconcile/ingress/route-reconciler.ts'
import { IngressSource } from '../../../controller/dispatch/network/ingress-source.ts'
import type { Condition, Node } from '../../../proto/gen/types.ts'
import { objects, service, tlsSecret } from '../../agent/ingress/objects.ts'
import { metadata } from '../objects.ts'
import { SteppedControlPlane } from '../stepped-control-plane.ts'

function node(
  name: string,
  address: string,
  { ready = true, ingress = false }: { ready?: boolean; ingress?: boolean } = {},
): Node {
  const labels: Record<string, string> = ingress ? { 'gantry.dev/entrance': 'true' } : {}
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

let plane: SteppedControlPlane

describe('ingress, control side', () => {
  beforeEach(async () => {
    plane = await SteppedControlPlane.start()
    const { parts } = plane
    plane.run(
      new IngressClassReconciler(parts),
      new IngressStatusReconciler(parts),
      new GatewayStatusReconciler(parts),
      new RouteStatusReconciler(parts),
    )
    await plane.settle()
    await plane.put(node('n1', '10.0.0.1', { ingress: true }))
    await plane.put(node('n2', '10.0.0.2', { ready: false, ingress: true }))
    for (const object of objects(MANIFEST)) await plane.put(object)
    await plane.settle()
  })
  afterEach(() => plane.stop())

  it('makes the built-in classes, again if they go, and accepts those of Gantry', async () => {
    assert.equal(plane.get('IngressClass', 'gantry')!.spec.controller, 'gantry.dev/entrance')
    assert.deepEqual(words(plane.get('GatewayClass', 'gantry')!.status.conditions), ['Accepted True Accepted'])
    await plane.remove('IngressClass', 'gantry')
    await plane.settle()
    assert.notEqual(plane.get('IngressClass', 'gantry'), undefined)
  })

  it('says where Ingresses are reached, as nodes come and go', async () => {
    const addresses = (name: string) => plane.get('Ingress', name)!.status.loadBalancer?.ingress?.map(({ ip }) => ip)
    assert.deepEqual(addresses('shop'), ['10.0.0.1'])
    assert.equal(addresses('foreign'), undefined)
    await plane.change('Node', 'n2', ({ status }) => void (status.conditions = [{ type: 'Ready', status: 'True' }]))
    await plane.settle()
    assert.deepEqual(addresses('shop'), ['10.0.0.1', '10.0.0.2'])
    await plane.change('Node', 'n1', (object) => void delete object.metadata.labels)
    await plane.settle()
    assert.deepEqual(addresses('shop'), ['10.0.0.2'])
  })

  it('says so where there is no ingress node, and tells no node a key', async () => {
    const said = (): string[] => plane.events.filter((event) => event.startsWith('Warning NoEntrance'))
    const programmed = () => plane.get('Gateway', 'edge')!.status.conditions!.find(({ type }) => type === 'Programmed')!
    assert.deepEqual(said(), [])
    await plane.put(tlsSecret('shop', PAIR))
    for (const name of ['n1', 'n2']) await plane.change('Node', name, (object) => void delete object.metadata.labels)
    await plane.settle()
    const source = new IngressSource()
    const stop = source.start(plane.informer, {
      all: () => assert.fail('everybody would be told'),
      node: () => undefined,
    })
    assert.deepEqual(
      ['n1', 'n2'].map((name) => [...source.entriesOf(name).keys()]),
      [[], []],
    )
    stop()
    assert.equal(plane.get('Ingress', 'shop')!.status.loadBalancer?.ingress, undefined)
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
    await plane.change('Ingress', 'shop', (object) => void (object.metadata.labels = { any: 'change' }))
    await plane.settle()
    assert.equal(said().length, 1, 'it is told once')
  })

  it('says what holds of Gateways, their listeners and their routes', async () => {
    const listener = (name: string): string[] =>
      words(plane.get('Gateway', 'edge')!.status.listeners!.find((status) => status.name === name)!.conditions)
    const parents = (): string[][] =>
      plane.get('HTTPRoute', 'route')!.status.parents!.map(({ conditions }) => words(conditions))
    assert.deepEqual(words(plane.get('Gateway', 'edge')!.status.conditions), [
      'Accepted True ListenersNotValid',
      'Programmed True Programmed',
    ])
    assert.deepEqual(plane.get('Gateway', 'edge')!.status.addresses, [{ type: 'IPAddress', value: '10.0.0.1' }])
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
      plane.get('Gateway', 'edge')!.status.listeners!.map(({ attachedRoutes }) => attachedRoutes),
      [1, 0, 0],
    )
    await plane.put(service('web'))
    await plane.put(tlsSecret('late', PAIR))
    await plane.settle()
    assert.deepEqual(parents()[0], ['Accepted True Accepted', 'ResolvedRefs True ResolvedRefs'])
    assert.deepEqual(listener('secure'), [
      'Accepted True Accepted',
      'Conflicted False NoConflicts',
      'ResolvedRefs True ResolvedRefs',
      'Programmed True Programmed',
    ])
    const calls = plane.requests.length
    await plane.change('HTTPRoute', 'route', (object) => void (object.metadata.labels = { any: 'change' }))
    await plane.settle()
    assert.equal(
      plane.requests.filter(({ verb }) => verb === 'mutate').length,
      plane.requests.slice(0, calls).filter(({ verb }) => verb === 'mutate').length,
    )
  })

  it('tells ingress nodes what is served and the Secrets of it, and nobody else anything', async () => {
    const source = new IngressSource()
    const asked: string[] = []
    const stop = source.start(plane.informer, {
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
    for (const name of ['shop', 'foreign', 'other']) await plane.put(tlsSecret(name, PAIR))
    await plane.settle()
    assert.deepEqual(keys('n1'), [...served, 'Secret/default/shop'])
    asked.length = 0
    await plane.put(tlsSecret('more', PAIR))
    await plane.settle()
    assert.deepEqual(asked, [])
    await plane.change('Node', 'n2', (object) => void delete object.metadata.labels)
    await plane.settle()
    // Only those for whom that makes a difference.
    assert.deepEqual(asked, ['n2'])
    assert.deepEqual([keys('n2'), keys('n1').length], [[], served.length + 1])
    asked.length = 0
    await plane.remove('Secret', 'shop')
    await plane.settle()
    assert.deepEqual([asked, keys('n1')], [['n1'], served])
    stop()
  })
})
