import assert from 'node:assert/strict'
import { decodeJson } from '../../../proto/codec/codec.ts'
import { applyDefaults } from '../../../proto/codec/defaults.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { validate, validateUpdate } from '../../../proto/validation/validation.ts'
import type { JsonObject, Service } from '../../../proto/gen/types.ts'

function service(spec: JsonObject, name = 'web'): Service {
  return applyDefaults(
    decodeJson('Service', {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, namespace: 'default' },
      spec: { ports: [{ port: 80 }], ...spec },
    }),
  )
}

const sentence = ({ field, message }: { field: string; message: string }): string => `${field} ${message}`

/** Also what the decoder refuses. */
function problems(spec: JsonObject, name?: string): string[] {
  try {
    return validate(service(spec, name)).map(sentence)
  } catch (thrown) {
    return GantryError.from(thrown).details.map(sentence)
  }
}

const updates = (next: JsonObject, previous: JsonObject): string[] =>
  validateUpdate(service(next), service(previous)).map(({ field, message }) => `${field} ${message}`)

function slice(content: JsonObject): string[] {
  const object = applyDefaults(
    decodeJson('EndpointSlice', {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: 'web-1', namespace: 'default' },
      addressType: 'IPv4',
      ...content,
    }),
  )
  return validate(object).map(({ field, message }) => `${field} ${message}`)
}

function endpoints(subsets: JsonObject[]): string[] {
  const told = (details: readonly { readonly field: string; readonly message: string }[]): string[] =>
    details.map(({ field, message }) => `${field} ${message}`)
  try {
    return told(
      validate(
        applyDefaults(
          decodeJson('Endpoints', {
            apiVersion: 'v1',
            kind: 'Endpoints',
            metadata: { name: 'web', namespace: 'default' },
            subsets,
          }),
        ),
      ),
    )
  } catch (thrown) {
    return told(GantryError.from(thrown).details)
  }
}

describe('Endpoints', () => {
  const address = [{ ip: '192.0.2.1' }]
  const cases: [string, JsonObject, string[]][] = [
    [
      'have addresses and ports',
      {
        addresses: [
          { ip: '192.0.2.1', hostname: 'a', nodeName: 'n1', targetRef: { kind: 'Pod', name: 'a' } },
          { ip: '2001:db8::1' },
        ],
        ports: [{ port: 80, appProtocol: 'http' }],
      },
      [],
    ],
    ['may have no ports', { notReadyAddresses: address }, []],
    ['have an address in each set', { ports: [{ port: 80 }] }, ['subsets[0] is required']],
    [
      'name the ports where there are several',
      { addresses: address, ports: [{ port: 80 }, { name: 'b', port: 81 }] },
      ['subsets[0].ports[0].name is required'],
    ],
    [
      'have no address that is none',
      { addresses: [{ ip: 'web.example.com' }] },
      ['subsets[0].addresses[0].ip is not an IP address'],
    ],
    ['have no empty address', { addresses: [{}] }, ['subsets[0].addresses[0].ip is required']],
    [
      'have no loopback address',
      { addresses: [{ ip: '127.0.0.1' }] },
      ['subsets[0].addresses[0].ip is a loopback address'],
    ],
    [
      'have no link-local address',
      { notReadyAddresses: [{ ip: '169.254.169.254' }] },
      ['subsets[0].notReadyAddresses[0].ip is a link-local address'],
    ],
    [
      'have no multicast address',
      { addresses: [{ ip: 'ff02::1' }] },
      ['subsets[0].addresses[0].ip is a link-local multicast address'],
    ],
    ['have no unspecified address', { addresses: [{ ip: '0.0.0.0' }] }, ['subsets[0].addresses[0].ip is no address']],
    [
      'have ports in range',
      { addresses: address, ports: [{ port: 65536 }] },
      ['subsets[0].ports[0].port is out of range'],
    ],
    [
      'have protocols that there are',
      { addresses: address, ports: [{ port: 80, protocol: 'ICMP' }] },
      ['subsets[0].ports[0].protocol is not one of the values allowed'],
    ],
    [
      'have names of hosts that are labels',
      { addresses: [{ ip: '192.0.2.1', hostname: 'a.b' }] },
      ['subsets[0].addresses[0].hostname is not a DNS label'],
    ],
  ]
  for (const [what, subset, wanted] of cases) {
    it(what, () => {
      const found = endpoints([subset])
      assert.deepEqual(found, wanted)
    })
  }
})

describe('Services', () => {
  const right: [string, JsonObject][] = [
    ['plain', {}],
    ['headless without ports', { clusterIP: 'None', ports: [] }],
    ['an alias', { type: 'ExternalName', externalName: 'db.example.com', ports: [] }],
    [
      'one number for two protocols',
      {
        type: 'NodePort',
        ports: [
          { name: 'a', port: 53, nodePort: 30053 },
          { name: 'b', port: 53, protocol: 'UDP', nodePort: 30053 },
        ],
      },
    ],
    [
      'both families',
      {
        ipFamilyPolicy: 'RequireDualStack',
        ipFamilies: ['IPv6', 'IPv4'],
        clusterIP: 'fd00::1',
        clusterIPs: ['fd00::1', '10.96.0.7'],
      },
    ],
    ['affinity', { sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 86400 } } }],
    [
      'a load balancer',
      {
        type: 'LoadBalancer',
        externalTrafficPolicy: 'Local',
        healthCheckNodePort: 30111,
        loadBalancerSourceRanges: ['203.0.113.0/24', ' 2001:db8::/32'],
        loadBalancerClass: 'example.com/a',
        allocateLoadBalancerNodePorts: false,
        loadBalancerIP: '192.0.2.1',
      },
    ],
    ['addresses outside, that tell clients apart', { externalIPs: ['198.51.100.1'], externalTrafficPolicy: 'Local' }],
    ['what the port speaks', { ports: [{ port: 80, appProtocol: 'kubernetes.io/h2c', targetPort: 'http' }] }],
  ]
  for (const [what, spec] of right) it(`may be: ${what}`, () => assert.deepEqual(problems(spec), []))

  const wrong: [string, JsonObject, string][] = [
    ['no ports', { ports: [] }, 'spec.ports is required'],
    ['ports without names', { ports: [{ port: 80 }, { name: 'b', port: 81 }] }, 'spec.ports[0].name is required'],
    [
      'a name twice',
      {
        ports: [
          { name: 'a', port: 80 },
          { name: 'a', port: 81 },
        ],
      },
      'spec.ports[1].name is the name of another port, too',
    ],
    [
      'a port twice',
      {
        ports: [
          { name: 'a', port: 80 },
          { name: 'b', port: 80 },
        ],
      },
      'spec.ports[1] is the second item with port 80 and protocol "TCP"',
    ],
    [
      'a node port twice',
      {
        type: 'NodePort',
        ports: [
          { name: 'a', port: 80, nodePort: 30001 },
          { name: 'b', port: 81, nodePort: 30001 },
        ],
      },
      'spec.ports[1].nodePort is the TCP nodePort of another port, too',
    ],
    [
      'a node port inside',
      { ports: [{ port: 80, nodePort: 30001 }] },
      'spec.ports[0].nodePort is not allowed with type ClusterIP',
    ],
    ['a port beyond', { ports: [{ port: 65536 }] }, 'spec.ports[0].port is out of range'],
    [
      'a port name of pods',
      { ports: [{ port: 80, targetPort: 'Web_1' }] },
      'spec.ports[0].targetPort is not a port name',
    ],
    [
      'headless at nodes',
      { type: 'NodePort', clusterIP: 'None' },
      'spec.clusterIPs[0] is not allowed with type NodePort',
    ],
    ['no address', { clusterIP: '10.96.0' }, 'spec.clusterIPs[0] is not an IP address'],
    ['a loopback address', { clusterIP: '127.0.0.1' }, 'spec.clusterIPs[0] is a loopback address'],
    [
      'two lists that differ',
      { clusterIP: '10.96.0.7', clusterIPs: ['10.96.0.8'] },
      'spec.clusterIPs[0] differs from clusterIP',
    ],
    [
      'two addresses of a family',
      { ipFamilyPolicy: 'PreferDualStack', clusterIP: '10.96.0.7', clusterIPs: ['10.96.0.7', '10.96.0.8'] },
      'spec.clusterIPs[1] is the second IPv4 address',
    ],
    [
      'None beside an address',
      { ipFamilyPolicy: 'PreferDualStack', clusterIP: '10.96.0.7', clusterIPs: ['10.96.0.7', 'None'] },
      'spec.clusterIPs[1] stands beside addresses',
    ],
    [
      'families in another order',
      { ipFamilyPolicy: 'PreferDualStack', ipFamilies: ['IPv6', 'IPv4'], clusterIP: '10.96.0.7' },
      'spec.clusterIPs[0] is not of family IPv6, as ipFamilies says',
    ],
    [
      'two families without leave',
      { ipFamilies: ['IPv6', 'IPv4'] },
      'spec.ipFamilies are two, but the Service has one family',
    ],
    ['an alias without name', { type: 'ExternalName', ports: [] }, 'spec.externalName is required'],
    [
      'an alias with an address',
      { type: 'ExternalName', externalName: 'a.b', clusterIP: '10.96.0.7', ports: [] },
      'spec.clusterIP is not for type ExternalName, which has no address',
    ],
    ['a name without alias', { externalName: 'a.b' }, 'spec.externalName is for type ExternalName only'],
    [
      'affinity for too long',
      { sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 86401 } } },
      'spec.sessionAffinityConfig.clientIP.timeoutSeconds is out of range',
    ],
    [
      'affinity settings without',
      { sessionAffinityConfig: { clientIP: { timeoutSeconds: 1 } } },
      'spec.sessionAffinityConfig is for sessionAffinity ClientIP only',
    ],
    [
      'a policy for outside, inside',
      { externalTrafficPolicy: 'Local' },
      'spec.externalTrafficPolicy is not for type ClusterIP',
    ],
    [
      'a health port without need',
      { type: 'LoadBalancer', healthCheckNodePort: 30001 },
      'spec.healthCheckNodePort is for type LoadBalancer with externalTrafficPolicy Local only',
    ],
    [
      'ranges inside',
      { loadBalancerSourceRanges: ['10.0.0.0/8'] },
      'spec.loadBalancerSourceRanges is for type LoadBalancer only',
    ],
    [
      'no range',
      { type: 'LoadBalancer', loadBalancerSourceRanges: ['10.0.0.0/33'] },
      'spec.loadBalancerSourceRanges[0] is not a range of addresses',
    ],
    ['a class inside', { loadBalancerClass: 'a.b/c' }, 'spec.loadBalancerClass is for type LoadBalancer only'],
    ['a link-local address outside', { externalIPs: ['169.254.1.1'] }, 'spec.externalIPs[0] is a link-local address'],
  ]
  for (const [what, spec, problem] of wrong)
    it(`may not be: ${what}`, () => assert.ok(problems(spec).includes(problem), JSON.stringify(problems(spec))))

  it('have a name that begins with a letter', () => {
    assert.deepEqual([problems({}, 'web-1'), problems({}, '1web').length, problems({}, 'web.a').length], [[], 1, 1])
  })

  it('get the defaults of Kubernetes', () => {
    const { spec } = service({
      type: 'LoadBalancer',
      sessionAffinity: 'ClientIP',
      clusterIP: '10.96.0.7',
      ports: [{ port: 80 }],
    })
    assert.deepEqual(spec, {
      type: 'LoadBalancer',
      clusterIP: '10.96.0.7',
      clusterIPs: ['10.96.0.7'],
      ports: [{ port: 80, protocol: 'TCP', targetPort: 80 }],
      sessionAffinity: 'ClientIP',
      sessionAffinityConfig: { clientIP: { timeoutSeconds: 10_800 } },
      internalTrafficPolicy: 'Cluster',
      externalTrafficPolicy: 'Cluster',
      allocateLoadBalancerNodePorts: true,
    })
  })

  it('keep their addresses, and may give up the second', () => {
    const both: JsonObject = {
      ipFamilyPolicy: 'PreferDualStack',
      ipFamilies: ['IPv4', 'IPv6'],
      clusterIP: '10.96.0.7',
      clusterIPs: ['10.96.0.7', 'fd00::1'],
    }
    assert.deepEqual(updates(both, both), [])
    assert.deepEqual(updates({ ipFamilyPolicy: 'SingleStack', ipFamilies: ['IPv4'], clusterIP: '10.96.0.7' }, both), [])
    assert.deepEqual(updates({ ...both, clusterIP: '10.96.0.8', clusterIPs: ['10.96.0.8', 'fd00::1'] }, both), [
      'spec.clusterIP may not change once set',
    ])
    assert.deepEqual(updates({ ...both, clusterIPs: ['10.96.0.7', 'fd00::2'] }, both), [
      'spec.clusterIPs[1] may not change once set',
    ])
    assert.deepEqual(updates({ type: 'ExternalName', externalName: 'a.b', ports: [] }, both), [])
    assert.deepEqual(
      updates(
        { type: 'LoadBalancer', loadBalancerClass: 'a.b/d' },
        { type: 'LoadBalancer', loadBalancerClass: 'a.b/c' },
      ),
      ['spec.loadBalancerClass may not change once set'],
    )
  })
})

describe('EndpointSlices', () => {
  it('keep what says of an endpoint that it is not ready', () => {
    const [endpoint] =
      decodeJson('EndpointSlice', {
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: { name: 'a' },
        addressType: 'IPv4',
        endpoints: [{ addresses: ['192.0.2.1'], conditions: { ready: false } }],
      }).endpoints ?? []
    assert.deepEqual(endpoint!.conditions, { ready: false })
  })

  const one: JsonObject = { addresses: ['10.244.0.1'] }

  it('have reachable addresses of their type', () => {
    assert.deepEqual(slice({ endpoints: [one], ports: [{ port: 80 }] }), [])
    assert.deepEqual(
      slice({
        endpoints: [
          { addresses: ['127.0.0.1'] },
          { addresses: ['169.254.0.9'] },
          { addresses: ['fd00::1'] },
          { addresses: ['web'] },
          { addresses: [] },
        ],
      }),
      [
        'endpoints[0].addresses[0] is a loopback address',
        'endpoints[1].addresses[0] is a link-local address',
        'endpoints[2].addresses[0] is not an IPv4 address, which addressType says it is',
        'endpoints[3].addresses[0] is not an IP address',
        'endpoints[4].addresses is required',
      ],
    )
    assert.deepEqual(slice({ addressType: 'FQDN', endpoints: [{ addresses: ['db.example.com'] }] }), [])
    assert.deepEqual(slice({ addressType: 'IPv6', endpoints: [{ addresses: ['::1'] }] }), [
      'endpoints[0].addresses[0] is a loopback address',
    ])
  })

  it('have no more than is allowed', () => {
    assert.deepEqual(slice({ endpoints: Array.from({ length: 1001 }, () => one) }), [
      'endpoints are 1001, at most 1000 are allowed',
    ])
    assert.deepEqual(
      slice({ endpoints: [one], ports: Array.from({ length: 101 }, (_, index) => ({ name: `p${index}`, port: 80 })) }),
      ['ports are 101, at most 100 are allowed'],
    )
    assert.deepEqual(slice({ endpoints: [one], ports: [{ port: 80 }, { port: 81 }, { name: 'Bad_', port: 0 }] }), [
      'ports[1].name is the name of another port, too',
      'ports[2].name is not a DNS label',
      'ports[2].port is out of range',
    ])
  })
})
