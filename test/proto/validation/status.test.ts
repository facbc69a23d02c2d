import assert from 'node:assert/strict'
import fc from 'fast-check'
import { decodeJson } from '../../../proto/codec/codec.ts'
import { formats } from '../../../proto/base/format.ts'
import { validateStatus } from '../../../proto/validation/validation.ts'
import type { JsonObject, Kind, Resources } from '../../../proto/gen/types.ts'

function object<K extends Kind>(kind: K, status: JsonObject): Resources[K] {
  return decodeJson(kind, { metadata: { name: 'x' }, spec: {}, status })
}

function flaws(kind: Kind, status: JsonObject, before?: JsonObject): string[] {
  return validateStatus(object(kind, status), before === undefined ? undefined : object(kind, before)).map(
    ({ field, message }) => `${field} ${message}`,
  )
}

const condition = (type: string): JsonObject => ({
  type,
  status: 'True',
  reason: 'R',
  lastTransitionTime: '2026-01-01T00:00:00Z',
})

describe('validateStatus', () => {
  it('refuses what would be more than an address, a range or a name, in each kind', () => {
    const cases: [Kind, JsonObject, RegExp][] = [
      [
        'Node',
        { addresses: [{ type: 'InternalIP', address: '10.9.9.9\nnetns add held' }] },
        /^status\.addresses\[0\]\.address /,
      ],
      ['Node', { addresses: [{ type: 'InternalIP', address: 'n1.example.com' }] }, /address is not an IP address/],
      ['Node', { addresses: [{ type: 'Hostname', address: 'a b' }] }, /address is neither/],
      ['Node', { nodeInfo: { osImage: 'Debian\u001b[2J' } }, /osImage has line breaks/],
      ['Node', { capacity: { 'a b': '1' } }, /capacity\[a b\] the key/],
      ['Node', { daemonEndpoints: { kubeletEndpoint: { Port: 70000 } } }, /Port is out of range/],
      ['Node', { images: [{ names: ['a;b'] }] }, /names\[0\] does not identify an image/],
      ['Pod', { podIP: '10.0.0.1 accept' }, /podIP is not an IP/],
      ['Pod', { podIPs: [{ ip: 'fe80::1%eth0; rm' }] }, /podIPs\[0\]\.ip is not an IP/],
      ['Pod', { hostIPs: [{ ip: '10.0.0.1' }, { ip: '10.0.0.2' }] }, /hostIPs have more than one address of IPv4/],
      [
        'Pod',
        { containerStatuses: [{ name: 'Up', ready: true, restartCount: 0, image: 'i', imageID: '' }] },
        /containerStatuses\[0\]\.name is not a DNS label/,
      ],
      [
        'Pod',
        {
          containerStatuses: [
            { name: 'a', ready: true, restartCount: -1, image: 'i', imageID: 'x y', containerID: 'abc' },
          ],
        },
        /restartCount is out of range/,
      ],
      [
        'Pod',
        { interfaces: [{ network: 'b', name: 'eth0; x', addresses: ['10.0.0.1/24'] }] },
        /name is not the name of a network interface/,
      ],
      ['Pod', { phase: 'Fine' }, /phase is not one of/],
      ['Pod', { conditions: [condition('a b')] }, /conditions\[0\]\.type/],
      ['Pod', { conditions: [condition('Ready'), condition('Ready')] }, /conditions\[1\]\.type is there twice/],
      ['Service', { loadBalancer: { ingress: [{ ip: 'localhost' }] } }, /ingress\[0\]\.ip is not an IP/],
      ['Service', { loadBalancer: { ingress: [{ hostname: '10.0.0.1' }] } }, /hostname is an address/],
      ['Ingress', { loadBalancer: { ingress: [{ hostname: 'a_b' }] } }, /hostname is not a DNS name/],
      [
        'Network',
        { cidrs: ['10.0.0.0/33'], vni: 0, blocks: [{ node: 'n 1', cidr: 'x' }] },
        /cidrs\[0\] is not a range/,
      ],
      ['Network', { vni: 2 ** 24 }, /vni is out of range/],
      ['Gateway', { addresses: [{ value: 'host' }] }, /value is not an IP/],
      [
        'HTTPRoute',
        { parents: [{ parentRef: { name: 'g', group: 'A B' }, controllerName: 'nobody' }] },
        /controllerName is not the name of a controller/,
      ],
      [
        'HTTPRoute',
        { parents: [{ parentRef: { name: 'g', group: 'A B' }, controllerName: 'a.b/c' }] },
        /parentRef\.group is not a DNS name/,
      ],
      ['Deployment', { replicas: -1 }, /replicas is out of range/],
      ['Namespace', { phase: 'Gone' }, /phase is not one of/],
      ['CustomResourceDefinition', { storedVersions: ['v 1'] }, /storedVersions\[0\] is not a DNS label/],
    ]
    for (const [kind, status, expected] of cases)
      assert.match(flaws(kind, status).join('\n'), expected, `${kind} ${JSON.stringify(status)}`)
  })

  it('bounds lists, maps and texts', () => {
    assert.match(
      flaws('Node', { conditions: Array.from({ length: 100_000 }, (_, index) => condition(`C${index}`)) }).join(),
      /conditions are 100000, at most 200/,
    )
    assert.match(
      flaws('Node', { volumesInUse: Array.from({ length: 10_001 }, () => 'v') }).join(),
      /volumesInUse are 10001/,
    )
    assert.match(flaws('Pod', { message: 'x'.repeat(200_000) }).join(), /message has 200000 bytes/)
    assert.match(
      flaws('Node', {
        capacity: Object.fromEntries(Array.from({ length: 10_001 }, (_, index) => [`a/r${index}`, '1'])),
      }).join(),
      /capacity has 10001 entries/,
    )
  })

  it('takes what Kubernetes and its clients write', () => {
    const accepted: [Kind, JsonObject][] = [
      [
        'Node',
        {
          addresses: [
            { type: 'InternalIP', address: '10.0.0.1' },
            { type: 'InternalIP', address: 'fd00::1' },
            { type: 'Hostname', address: 'N1.example.com' },
            { type: 'InternalDNS', address: 'ip-10-0-0-1.ec2.internal' },
          ],
          capacity: { cpu: '4', 'hugepages-2Mi': '0', 'attachable-volumes-aws-ebs': '25', 'example.com/gpu': '1' },
          conditions: [condition('KernelDeadlock')],
          daemonEndpoints: { kubeletEndpoint: { Port: 10250 } },
          images: [{ names: ['registry.k8s.io/pause@sha256:0a', 'registry.k8s.io/pause:3.10'], sizeBytes: 1 }],
          nodeInfo: {
            kernelVersion: '6.1.0',
            osImage: 'Debian GNU/Linux 13 (trixie)',
            kubeletVersion: 'v1.34.0+k3s1',
            kubeProxyVersion: '',
          },
        },
      ],
      [
        'Pod',
        {
          phase: 'Running',
          hostIP: '10.0.0.1',
          hostIPs: [{ ip: '10.0.0.1' }],
          podIP: '10.244.0.2',
          podIPs: [{ ip: '10.244.0.2' }, { ip: 'fd00::2' }],
          conditions: [condition('Ready'), condition('example.com/gate')],
          message: 'two\nlines',
          reason: '',
          containerStatuses: [
            {
              name: 'a',
              ready: true,
              restartCount: 2,
              image: 'docker.io/library/busybox:1',
              imageID: 'docker-pullable://busybox@sha256:0a',
              containerID: 'containerd://0a1b',
              state: {
                terminated: { exitCode: 1, message: 'a\n"b"', reason: 'OOMKilled', finishedAt: '2026-01-01T00:00:00Z' },
              },
              resources: { limits: { 'ephemeral-storage': '1Gi' } },
            },
          ],
        },
      ],
      [
        'Service',
        {
          loadBalancer: {
            ingress: [
              { ip: '203.0.113.9', ipMode: 'VIP', ports: [{ port: 80, protocol: 'TCP' }] },
              { hostname: 'lb.example.com' },
            ],
          },
          conditions: [condition('example.com/LoadBalancerReady')],
        },
      ],
      [
        'Gateway',
        {
          addresses: [
            { type: 'IPAddress', value: '203.0.113.9' },
            { type: 'Hostname', value: 'a.example.com' },
            { type: 'example.com/named', value: 'any thing' },
          ],
          listeners: [
            { name: 'l', attachedRoutes: 0, supportedKinds: [{ group: '', kind: 'Service' }], conditions: [] },
          ],
        },
      ],
      [
        'HTTPRoute',
        {
          parents: [
            {
              parentRef: { name: 'g' },
              controllerName: 'example.com/gateway-controller',
              conditions: [condition('Accepted')],
            },
          ],
        },
      ],
      ['Deployment', { replicas: 0, conditions: [{ ...condition('Progressing'), message: 'x' }], collisionCount: 1 }],
      ['Network', { cidrs: ['172.24.0.0/20'], vni: 100, blocks: [{ node: 'n1', cidr: '172.24.0.0/26' }] }],
    ]
    for (const [kind, status] of accepted) assert.deepEqual(flaws(kind, status), [], kind)
  })

  it('lets through what was wrong before, wherever it stands in its list, and refuses it anew', () => {
    const wrong = { type: 'InternalIP', address: '10.9.9.9\nnetns add held' }
    const right = { type: 'Hostname', address: 'n1' }
    assert.deepEqual(flaws('Node', { addresses: [right, wrong] }, { addresses: [wrong] }), [])
    assert.deepEqual(flaws('Node', { addresses: [right] }, { addresses: [wrong] }), [])
    assert.match(
      flaws('Node', { addresses: [{ ...wrong, address: '10.9.9.9\nnetns add other' }] }, { addresses: [wrong] }).join(),
      /address/,
    )
    assert.match(flaws('Node', { addresses: [wrong] }, { addresses: [right] }).join(), /address/)
  })
})

describe('formats', () => {
  /** What ends a word, a line or a statement for ip, nft, HAProxy, a resolver's file or a shell. */
  const special = fc.constantFrom(...'\0\t\n\v\f\r \u001b\u007f\u0085"\'`;{}#$()<>|&\\*?!\u00a0\u2028'.split(''))
  const piece = fc.oneof(
    fc.constantFrom(
      '10.0.0.1',
      'fd00::1',
      '10.0.0.0/8',
      'fd00::/64',
      'eth0',
      'n1.example.com',
      'crun://0a',
      'busybox@sha256:0a',
      'fe80::1%eth0',
      '',
    ),
    fc.string(),
  )
  const text = fc.tuple(piece, special, piece).map((parts) => parts.join(''))

  for (const name of [
    'ip',
    'cidr',
    'host',
    'interfaceName',
    'dnsLabel',
    'dnsSubdomain',
    'labelKey',
    'portName',
    'imageId',
    'containerId',
    'kindName',
    'signal',
  ] as const) {
    it(`${name} takes no text with a control character, space, quote or semicolon`, () => {
      fc.assert(
        fc.property(text, (value) => assert.notEqual(formats[name](value), undefined, JSON.stringify(value))),
        { numRuns: 500 },
      )
    })
  }

  it('line takes no control character', () => {
    const control = fc
      .integer({ min: 0, max: 0x9f })
      .filter((code) => code < 0x20 || code >= 0x7f)
      .map((code) => String.fromCharCode(code))
    fc.assert(
      fc.property(fc.string(), control, fc.string(), (before, character, after) =>
        assert.notEqual(formats.line(before + character + after), undefined),
      ),
    )
  })

  it('an address has no zone', () => {
    assert.notEqual(formats.ip('fe80::1%eth0\nnetns add held'), undefined)
    assert.notEqual(formats.ip('fe80::1%eth0'), undefined)
    assert.equal(formats.ip('::ffff:10.0.0.1'), undefined)
  })
})
