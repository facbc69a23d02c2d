import assert from 'node:assert/strict'
import { chooseEndpoints, type NodeTopology } from '../../../../agent/network/services/endpoints.ts'
import { planService, type PlanContext, type ServicePlan } from '../../../../agent/network/services/service-plan.ts'
import { allowedRanges } from '../../../../agent/network/services/source-ranges.ts'
import type { Endpoint, EndpointSlice, Service, ServiceSpec } from '../../../../proto/gen/types.ts'
import { endpoint, port, TestView } from './view.ts'

const PLACE: NodeTopology = {
  node: 'n1',
  zone: 'east',
  zones: new Map([
    ['n1', 'east'],
    ['n2', 'east'],
    ['n3', 'west'],
  ]),
}
const CONTEXT: PlanContext = {
  topology: PLACE,
  nodeAddresses: new Set(['192.168.77.1', '192.168.78.2']),
  reserved: new Set(['TCP/7443']),
}

function made(
  spec: Partial<ServiceSpec>,
  endpoints: readonly Endpoint[],
  status: Service['status'] = {},
): { service: Service; slices: EndpointSlice[] } {
  const view = new TestView()
  view.service('web', { clusterIPs: ['10.96.0.1'], ...spec }, status)
  view.slice('web-1', 'web', endpoints)
  return { service: view.services.get('default/web')!, slices: [...view.slices.values()] }
}

function chosen(
  spec: Partial<ServiceSpec>,
  endpoints: readonly Endpoint[],
  place = PLACE,
): { cluster: string; local: string } {
  const { service, slices } = made(spec, endpoints)
  const { cluster, local } = chooseEndpoints(service, service.spec.ports![0]!, 4, slices, place)
  const last = (targets: readonly string[]): string => targets.map((target) => /\.(\d+) /.exec(target)![1]).join(' ')
  return { cluster: last(cluster), local: last(local) }
}

function planned(
  spec: Partial<ServiceSpec>,
  endpoints: readonly Endpoint[] = [endpoint('10.1.1.1'), endpoint('10.1.2.1', 'n2')],
  status: Service['status'] = {},
): ServicePlan | undefined {
  const { service, slices } = made(spec, endpoints, status)
  return planService(service, slices, CONTEXT)
}

function fronts(plan: ServicePlan | undefined): string[] {
  return plan!.fronts.map(
    ({ address = '*', protocol, port: number, backend }) =>
      `${address}:${number}/${protocol} ${backend.split('/').at(-1)}`,
  )
}

const ready = { ready: true, serving: true, terminating: false }
const leaving = { ready: false, serving: true, terminating: true }
const gone = { ready: false, serving: false, terminating: true }
const starting = { ready: false, serving: false, terminating: false }

describe('endpoints of a Service on a node', () => {
  it('are the ready ones; those on their way out only where there is no other, each scope for itself', () => {
    const all = [
      endpoint('10.1.1.1', 'n1', { conditions: leaving }),
      endpoint('10.1.2.2', 'n2', { conditions: ready }),
      endpoint('10.1.2.3', 'n2', { conditions: gone }),
      endpoint('10.1.1.4', 'n1', { conditions: starting }),
    ]
    assert.deepEqual(chosen({}, all), { cluster: '2', local: '1' })
    assert.deepEqual(
      chosen(
        {},
        all.filter((_, index) => index !== 1),
      ),
      { cluster: '1', local: '1' },
    )
    assert.deepEqual(chosen({}, all.slice(2)), { cluster: '', local: '' })
  })

  it('are ready when nothing is said', () => {
    assert.deepEqual(
      chosen({}, [
        { addresses: ['10.1.1.1'] },
        { addresses: ['10.1.1.2'], conditions: {} },
        { addresses: [] },
        { addresses: ['no address'] },
      ]),
      { cluster: '1 2', local: '' },
    )
  })

  it('count once if they stand in two slices, in the better condition', () => {
    assert.deepEqual(
      chosen({}, [
        endpoint('10.1.1.1', 'n1', { conditions: leaving }),
        endpoint('10.1.1.1', 'n1', { conditions: ready }),
        endpoint('10.1.1.1', 'n1', { conditions: leaving }),
      ]),
      { cluster: '1', local: '1' },
    )
  })

  it("are those for the node's zone if all say whom they are for and one is for it", () => {
    const hinted = (address: string, ...zones: string[]): Endpoint =>
      endpoint(address, 'n3', { hints: { forZones: zones.map((name) => ({ name })) } })
    assert.equal(
      chosen({}, [hinted('10.1.1.1', 'east'), hinted('10.1.1.2', 'west'), hinted('10.1.1.3', 'west', 'east')]).cluster,
      '1 3',
    )
    assert.equal(chosen({}, [hinted('10.1.1.1', 'east'), endpoint('10.1.1.2')]).cluster, '1 2')
    assert.equal(chosen({}, [hinted('10.1.1.1', 'west'), hinted('10.1.1.2', 'north')]).cluster, '1 2')
    assert.equal(
      chosen({}, [hinted('10.1.1.1', 'east'), hinted('10.1.1.2', 'west')], { ...PLACE, zone: undefined }).cluster,
      '1 2',
    )
    const forNodes = (address: string, name: string): Endpoint =>
      endpoint(address, 'n3', { hints: { forNodes: [{ name }], forZones: [{ name: 'east' }] } })
    assert.equal(chosen({}, [forNodes('10.1.1.1', 'n1'), forNodes('10.1.1.2', 'n2')]).cluster, '1')
    assert.equal(chosen({}, [forNodes('10.1.1.1', 'n3'), forNodes('10.1.1.2', 'n2')]).cluster, '1 2')
  })

  it("with PreferClose are those in the node's own zone, by their own word or by their nodes' label, as long as there are some", () => {
    const all = [endpoint('10.1.1.1', 'n2'), endpoint('10.1.1.2', 'n3'), endpoint('10.1.1.3', 'n9', { zone: 'east' })]
    assert.equal(chosen({}, all).cluster, '1 2 3')
    assert.equal(chosen({ trafficDistribution: 'PreferClose' }, all).cluster, '1 3')
    assert.equal(chosen({ trafficDistribution: 'PreferClose' }, [all[1]!]).cluster, '2')
    assert.equal(
      chosen({ trafficDistribution: 'PreferClose' }, [all[1]!, { ...all[0]!, conditions: leaving }]).cluster,
      '2',
    )
  })
})

describe('planService', () => {
  it('has nothing to do for headless and external names, and for what others serve', () => {
    assert.equal(planned({ clusterIPs: ['None'], clusterIP: 'None' }), undefined)
    assert.equal(planned({ type: 'ExternalName', clusterIPs: [] }), undefined)
    const { service, slices } = made({}, [endpoint('10.1.1.1')])
    assert.notEqual(planService(service, slices, CONTEXT), undefined)
    service.metadata.labels = { 'service.kubernetes.io/service-proxy-name': 'other' }
    assert.equal(planService(service, slices, CONTEXT), undefined)
  })

  it('reaches each address as its policy says', () => {
    const spec = { type: 'LoadBalancer', externalIPs: ['203.0.113.1'], ports: [port(80, { nodePort: 30080 })] } as const
    const status = {
      loadBalancer: {
        ingress: [
          { ip: '192.168.77.1' },
          { ip: '203.0.113.1' },
          { ip: '192.168.78.2', ipMode: 'Proxy' as const },
          { hostname: 'lb.example' },
        ],
      },
    }
    assert.deepEqual(
      fronts(planned({ ...spec, ports: [...spec.ports], externalIPs: [...spec.externalIPs] }, undefined, status)),
      ['10.96.0.1:80/TCP cluster', '203.0.113.1:80/TCP cluster', '192.168.77.1:80/TCP cluster', '*:30080/TCP cluster'],
    )
    const local = planned(
      {
        ...spec,
        ports: [...spec.ports],
        externalIPs: [...spec.externalIPs],
        externalTrafficPolicy: 'Local',
        internalTrafficPolicy: 'Local',
        healthCheckNodePort: 32000,
      },
      undefined,
      status,
    )
    assert.deepEqual(fronts(local), [
      '10.96.0.1:80/TCP local',
      '203.0.113.1:80/TCP external-local',
      '192.168.77.1:80/TCP external-local',
      '*:30080/TCP external-local',
    ])
    assert.deepEqual(local!.health, { port: 32000, localEndpoints: 1 })
    assert.deepEqual(
      [...local!.backends].map(([name, { targets, onNoEndpoints: none, internalBackend: inside }]) => [
        name,
        targets.length,
        none,
        inside,
      ]),
      [
        ['/TCP/4/local', 1, 'drop', undefined],
        ['/TCP/4/cluster', 2, 'refuse', undefined],
        ['/TCP/4/external-local', 1, 'drop', '/TCP/4/cluster'],
      ],
    )
    assert.deepEqual(
      [...planned({ externalTrafficPolicy: 'Local', externalIPs: ['203.0.113.1'] }, [])!.backends.values()].map(
        ({ onNoEndpoints: none }) => none,
      ),
      ['refuse', 'refuse'],
    )
  })

  it('has no node ports without a number, and in each family that the Service has', () => {
    assert.deepEqual(fronts(planned({ type: 'LoadBalancer', allocateLoadBalancerNodePorts: false })), [
      '10.96.0.1:80/TCP cluster',
    ])
    const dual = planned({
      type: 'NodePort',
      clusterIPs: ['10.96.0.1', 'FD00:96:0::1'],
      ports: [port(80, { nodePort: 30080 })],
    })!
    assert.deepEqual(
      dual.fronts.map(({ address, family }) => [address, family]),
      [
        ['10.96.0.1', 4],
        ['fd00:96::1', 6],
        [undefined, 4],
        [undefined, 6],
      ],
    )
  })

  it('counts an endpoint of two ports once for the health check', () => {
    const plan = planned({
      type: 'LoadBalancer',
      externalTrafficPolicy: 'Local',
      healthCheckNodePort: 32000,
      ports: [port(80, { nodePort: 30080 }), port(81, { nodePort: 30081 })],
    })
    assert.equal(plan!.health!.localEndpoints, 1)
  })

  it('counts for the health check only endpoints that are ready, and those without a way in from outside, too', () => {
    const spec = {
      type: 'LoadBalancer',
      externalTrafficPolicy: 'Local',
      healthCheckNodePort: 32000,
      allocateLoadBalancerNodePorts: false,
    } as const
    assert.equal(planned(spec)!.health!.localEndpoints, 1)
    const plan = planned({ ...spec, externalIPs: ['203.0.113.1'] }, [
      endpoint('10.1.1.1', 'n1', { conditions: leaving }),
    ])!
    assert.equal(plan.health!.localEndpoints, 0)
    assert.equal(plan.backends.get('/TCP/4/external-local')!.targets.length, 1)
  })

  it("leaves nodes' own ports to them, at nodes' addresses only", () => {
    const plan = planned(
      {
        type: 'LoadBalancer',
        ports: [port(7443, { nodePort: 7443 })],
        externalIPs: ['203.0.113.1', '192.168.78.2', 'nonsense'],
      },
      undefined,
      { loadBalancer: { ingress: [{ ip: '192.168.77.1' }] } },
    )
    assert.deepEqual(fronts(plan), ['10.96.0.1:7443/TCP cluster', '203.0.113.1:7443/TCP cluster'])
    assert.deepEqual(plan!.problems, [
      '192.168.78.2:7443/TCP is not served on node n1: the node itself needs port 7443',
      '"nonsense" is no IP address',
      '192.168.77.1:7443/TCP is not served on node n1: the node itself needs port 7443',
      'node port 7443/TCP is not served on node n1: the node itself needs port 7443',
    ])
  })

  it('keeps clients as long as the Service says', () => {
    const affinity = (spec: Partial<ServiceSpec>): unknown => [...planned(spec)!.backends.values()][0]!.affinity
    assert.equal(affinity({}), undefined)
    assert.equal(affinity({ sessionAffinity: 'ClientIP' }), 10_800)
    assert.equal(
      affinity({ sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } } }),
      60,
    )
  })
})

describe('allowedRanges', () => {
  it('are of one family, without one inside another', () => {
    assert.deepEqual(
      allowedRanges(
        [
          '10.1.2.3/8',
          '10.0.0.0/8',
          '10.2.0.0/16',
          '192.168.1.1/32',
          'fd00::/8',
          'fd00::1/128',
          '2001:db8::1/128',
          'nonsense',
        ],
        4,
      ),
      ['10.0.0.0/8', '192.168.1.1'],
    )
    assert.deepEqual(allowedRanges(['10.0.0.0/8', 'fd00::/8', 'fd00::1/128', '2001:db8::1/128'], 6), [
      'fd00::/8',
      '2001:db8::1',
    ])
  })
})
