import assert from 'node:assert/strict'
import fc from 'fast-check'
import { planEndpoints } from '../../../../controller/reconcile/endpoints/plan.ts'
import { mirroredGroups } from '../../../../controller/reconcile/endpointslicemirroring/plan.ts'
import type {
  Endpoint,
  EndpointPort,
  Endpoints,
  EndpointSlice,
  EndpointSubset,
  Service,
} from '../../../../proto/gen/types.ts'
import { metadata } from '../../objects.ts'

const TRIGGER = 'trigger'
const HTTP: EndpointPort = { name: 'http', protocol: 'TCP', port: 8080 }
const METRICS: EndpointPort = { name: 'metrics', protocol: 'TCP', port: 9090 }

type State = 'ready' | 'waiting' | 'ending'

function endpoint(ip: string, state: State = 'ready', more: Partial<Endpoint> = {}): Endpoint {
  const conditions = { ready: state === 'ready', serving: state !== 'waiting', terminating: state === 'ending' }
  return {
    addresses: [ip],
    conditions,
    targetRef: { kind: 'Pod', namespace: 'default', name: `p-${ip}`, uid: `u-${ip}` },
    ...more,
  }
}

function slice(ports: EndpointPort[], endpoints: Endpoint[], more: Partial<EndpointSlice> = {}): EndpointSlice {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: metadata('web-1'),
    addressType: 'IPv4',
    ports,
    endpoints,
    ...more,
  }
}

function service(spec: Partial<Service['spec']> = {}): Service {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: metadata('web'),
    spec: {
      clusterIP: '10.96.0.9',
      type: 'ClusterIP',
      selector: { app: 'web' },
      ports: [{ port: 80 }],
      ipFamilies: ['IPv4'],
      ...spec,
    } as Service['spec'],
    status: {},
  }
}

/** "10.0.0.1 10.0.0.2 | 10.0.0.3 : http/8080 metrics/9090" of each subset: the ready addresses, then the others. */
function shown({ subsets = [] }: { readonly subsets?: readonly EndpointSubset[] }): string[] {
  return subsets.map(({ addresses = [], notReadyAddresses = [], ports = [] }) =>
    [
      [addresses, notReadyAddresses].map((list) => list.map(({ ip }) => ip).join(' ')).join(' | '),
      ports.map(({ name, port }) => `${name}/${port}`).join(' '),
    ].join(' : '),
  )
}

describe('Endpoints plan', () => {
  const cases: readonly [string, Service, readonly EndpointSlice[], readonly string[]][] = [
    ['no subset for nobody', service(), [slice([], [])], []],
    [
      'ready addresses apart from those that are not ready, each sorted',
      service(),
      [slice([HTTP], [endpoint('10.0.0.3'), endpoint('10.0.0.2', 'waiting'), endpoint('10.0.0.1')])],
      ['10.0.0.1 10.0.0.3 | 10.0.0.2 : http/8080'],
    ],
    [
      'one subset for ports that have the same addresses',
      service(),
      [slice([METRICS, HTTP], [endpoint('10.0.0.1')])],
      ['10.0.0.1 |  : http/8080 metrics/9090'],
    ],
    [
      'a subset for each port that has addresses of its own',
      service(),
      [slice([HTTP], [endpoint('10.0.0.1')]), slice([HTTP, METRICS], [endpoint('10.0.0.2')])],
      ['10.0.0.1 10.0.0.2 |  : http/8080', '10.0.0.2 |  : metrics/9090'],
    ],
    [
      'a subset for each number that a name means',
      service(),
      [slice([HTTP], [endpoint('10.0.0.1')]), slice([{ ...HTTP, port: 8081 }], [endpoint('10.0.0.2')])],
      ['10.0.0.1 |  : http/8080', '10.0.0.2 |  : http/8081'],
    ],
    [
      'no address that is on its way out',
      service(),
      [slice([HTTP], [endpoint('10.0.0.1', 'ending'), endpoint('10.0.0.2')])],
      ['10.0.0.2 |  : http/8080'],
    ],
    [
      'every address where the Service publishes those that are not ready',
      service({ publishNotReadyAddresses: true }),
      [
        slice(
          [HTTP],
          [
            endpoint('10.0.0.1', 'ready', { conditions: { ready: true, serving: true, terminating: true } }),
            endpoint('10.0.0.2'),
          ],
        ),
      ],
      ['10.0.0.1 10.0.0.2 |  : http/8080'],
    ],
    ['no address without a port of the Service', service(), [slice([], [endpoint('10.0.0.1')])], []],
    [
      'addresses without ports of a headless Service that has none',
      service({ clusterIP: 'None', ports: [] }),
      [slice([], [endpoint('10.0.0.1'), endpoint('10.0.0.2', 'waiting')])],
      ['10.0.0.1 | 10.0.0.2 : '],
    ],
    [
      'the first of two address families',
      service({ ipFamilies: ['IPv6', 'IPv4'] }),
      [slice([HTTP], [endpoint('10.0.0.1')]), slice([HTTP], [endpoint('fd00::1')], { addressType: 'IPv6' })],
      ['fd00::1 |  : http/8080'],
    ],
    [
      'an endpoint once that two slices show, as not ready if one says so',
      service(),
      [slice([HTTP], [endpoint('10.0.0.1')]), slice([HTTP], [endpoint('10.0.0.1', 'waiting')])],
      [' | 10.0.0.1 : http/8080'],
    ],
  ]
  for (const [what, of, slices, wanted] of cases) {
    it(`has ${what}`, () => {
      const content = planEndpoints(of, slices, TRIGGER)
      assert.deepEqual(shown(content), wanted)
      assert.equal(content.truncated, false)
    })
  }

  it('says of an address what the slice says of the endpoint, and when the newest change was seen', () => {
    const target = { kind: 'Pod', namespace: 'default', name: 'a', uid: 'u' }
    const slices = ['2026-01-01T00:00:02.000000Z', '2026-01-01T00:00:01.000000Z'].map((time, index) =>
      slice(
        [{ ...HTTP, appProtocol: 'http' }],
        [endpoint(`10.0.0.${index}`, 'ready', { hostname: 'a', nodeName: 'n1', zone: 'z', targetRef: target })],
        { metadata: metadata(`web-${index}`, { annotations: { [TRIGGER]: time } }) },
      ),
    )
    const { subsets, trigger } = planEndpoints(service(), slices, TRIGGER)
    assert.deepEqual(subsets[0]!.addresses![0], { ip: '10.0.0.0', hostname: 'a', nodeName: 'n1', targetRef: target })
    assert.deepEqual(subsets[0]!.ports, [{ name: 'http', port: 8080, protocol: 'TCP', appProtocol: 'http' }])
    assert.equal(trigger, '2026-01-01T00:00:02.000000Z')
  })

  it('leaves out addresses that are not ready before ready ones, and gives each subset its share', () => {
    const many = (count: number, from: number, state: State): Endpoint[] =>
      Array.from({ length: count }, (_, index) => endpoint(`10.0.${from}.${index}`, state))
    const slices = [
      slice([HTTP], [...many(6, 0, 'ready'), ...many(4, 1, 'waiting')]),
      slice([{ ...HTTP, port: 8081 }], many(3, 2, 'ready')),
    ]
    const sizes = (most: number): number[][] =>
      planEndpoints(service(), slices, TRIGGER, most).subsets.map(({ addresses = [], notReadyAddresses = [] }) => [
        addresses.length,
        notReadyAddresses.length,
      ])
    assert.deepEqual([13, 11, 9, 6, 1].map(sizes), [
      [
        [6, 4],
        [3, 0],
      ],
      [
        [6, 2],
        [3, 0],
      ],
      [
        [6, 0],
        [3, 0],
      ],
      [
        [4, 0],
        [2, 0],
      ],
      [[1, 0]],
    ])
    assert.deepEqual(
      [13, 12].map((most) => planEndpoints(service(), slices, TRIGGER, most).truncated),
      [false, true],
    )
  })

  it('shows every pair of address and port exactly once, whatever the order of the slices', () => {
    const ports = [HTTP, METRICS, { ...HTTP, port: 8081 }]
    const anyEndpoint = fc
      .record({
        ip: fc.integer({ min: 1, max: 9 }).map((last) => `10.0.0.${last}`),
        state: fc.constantFrom<State>('ready', 'waiting', 'ending'),
      })
      .map(({ ip, state }) => endpoint(ip, state))
    const anySlice = fc
      .record({
        ports: fc.subarray(ports),
        endpoints: fc.uniqueArray(anyEndpoint, { maxLength: 6, selector: ({ addresses }) => addresses![0] }),
      })
      .map((content) => slice(content.ports, content.endpoints))
    fc.assert(
      fc.property(fc.array(anySlice, { maxLength: 5 }), fc.integer({ min: 1, max: 30 }), (slices, most) => {
        const wanted = new Map<string, boolean>()
        for (const { ports: own = [], endpoints = [] } of slices)
          for (const { addresses, conditions } of endpoints)
            for (const { name, port } of own) {
              if (conditions!.terminating === true) continue
              const pair = `${addresses![0]} ${name} ${port}`
              wanted.set(pair, (wanted.get(pair) ?? true) && conditions!.ready!)
            }
        const pairs = ({ subsets }: { readonly subsets: readonly EndpointSubset[] }): [string, boolean][] =>
          subsets.flatMap(({ addresses = [], notReadyAddresses = [], ports: own = [] }) =>
            [
              ...addresses.map(({ ip }) => ({ ip, ready: true })),
              ...notReadyAddresses.map(({ ip }) => ({ ip, ready: false })),
            ].flatMap(({ ip, ready }) =>
              own.map(({ name, port }): [string, boolean] => [`${ip} ${name} ${port}`, ready]),
            ),
          )
        const whole = planEndpoints(service(), slices, TRIGGER)
        assert.deepEqual(pairs(whole).sort(), [...wanted].sort())
        assert.deepEqual(planEndpoints(service(), [...slices].reverse(), TRIGGER).subsets, whole.subsets)
        const readyOf = (subsets: readonly EndpointSubset[]): number =>
          subsets.flatMap(({ addresses = [] }) => addresses).length
        const waitingOf = (subsets: readonly EndpointSubset[]): number =>
          subsets.flatMap(({ notReadyAddresses = [] }) => notReadyAddresses).length
        const cut = planEndpoints(service(), slices, TRIGGER, most)
        const [ready, waiting] = [readyOf(whole.subsets), waitingOf(whole.subsets)]
        assert.deepEqual(
          [readyOf(cut.subsets), waitingOf(cut.subsets), cut.truncated],
          [Math.min(ready, most), Math.min(waiting, Math.max(0, most - ready)), ready + waiting > most],
        )
        assert.ok(
          cut.subsets.every(
            ({ addresses = [], notReadyAddresses = [] }) => addresses.length + notReadyAddresses.length > 0,
          ),
        )
      }),
    )
  })
})

describe('EndpointSlice mirroring plan', () => {
  const endpoints = (subsets: EndpointSubset[]): Endpoints => ({
    apiVersion: 'v1',
    kind: 'Endpoints',
    metadata: metadata('db'),
    subsets,
  })

  it('makes a group for each address family and set of ports', () => {
    const ports = [{ name: 'sql', port: 5432, protocol: 'TCP' as const }]
    const groups = mirroredGroups(
      endpoints([
        {
          addresses: [{ ip: '192.0.2.1', nodeName: 'n1', hostname: 'a' }, { ip: '2001:db8::1' }],
          notReadyAddresses: [{ ip: '192.0.2.2' }],
          ports,
        },
        { addresses: [{ ip: '192.0.2.3' }], ports },
        { addresses: [{ ip: '192.0.2.4' }] },
      ]),
    )
    assert.deepEqual(
      groups.map(({ addressType, ports: own, endpoints: list }) => [
        addressType,
        own.map(({ port }) => port),
        list.map(({ addresses, conditions }) => `${addresses![0]} ${conditions!.ready}`),
      ]),
      [
        ['IPv4', [5432], ['192.0.2.1 true', '192.0.2.2 false', '192.0.2.3 true']],
        ['IPv6', [5432], ['2001:db8::1 true']],
        ['IPv4', [], ['192.0.2.4 true']],
      ],
    )
    assert.deepEqual(groups[0]!.endpoints[0], {
      addresses: ['192.0.2.1'],
      conditions: { ready: true },
      hostname: 'a',
      nodeName: 'n1',
    })
  })

  it('copies as many addresses of a subset as a copy may have', () => {
    const addresses = ['192.0.2.1', '192.0.2.2', '192.0.2.3'].map((ip) => ({ ip }))
    assert.deepEqual(
      mirroredGroups(endpoints([{ addresses }]), 2).map(({ endpoints: list }) => list.length),
      [2],
    )
    assert.deepEqual(mirroredGroups(endpoints([])), [])
  })
})
