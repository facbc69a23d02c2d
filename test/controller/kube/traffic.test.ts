import assert from 'node:assert/strict'
import { ServicesSource } from '../../../controller/dispatch/network/services-source.ts'
import { AddressPolicy } from '../../../controller/traffic/address-policy.ts'
import { ACCESS_ANNOTATION } from '../../../proto/objects/account-access.ts'
import { decodeResource } from '../../../proto/codec/wire.ts'
import type { Node, Service } from '../../../proto/gen/types.ts'
import { TestApiServer } from './test-api-server.ts'

const CONTEXT = { fieldManager: 'test' }
const BASE = '/api/v1/namespaces/default'
const MERGE = 'application/merge-patch+json'

const serviceOf = (name: string, spec: object = {}): object => ({
  metadata: { name },
  spec: { ports: [{ port: 80 }], ...spec },
})
const podOf = (name: string, ports: readonly object[], more: object = {}): object => ({
  metadata: { name },
  spec: { ...more, containers: [{ name: 'c', image: 'i', ports }] },
})

describe('Kubernetes face: addresses and ports that nobody may take', () => {
  let face: TestApiServer
  let traffic: AddressPolicy
  /** Of a tenant: an account with access edit. */
  let tenant: string

  before(async () => {
    face = await TestApiServer.start({
      plugins: (made) => {
        traffic = new AddressPolicy({
          informer: made.informer,
          allowed: ['203.0.113.0/24', '192.0.2.0/24', '2001:db8::/64'],
          cluster: ['10.244.0.0/16', '10.96.0.0/16'],
          controllers: ['203.0.113.5', '0.0.0.0'],
          reservedPorts: [{ protocol: 'TCP', port: 9443, owner: 'the controllers' }],
        })
        return traffic.plugins
      },
    })
    await face.api.create<'ServiceAccount'>(
      {
        kind: 'ServiceAccount',
        metadata: { name: 'tenant', namespace: 'default', annotations: { [ACCESS_ANNOTATION]: 'edit' } },
      },
      CONTEXT,
    )
    await addNode('n1', '192.0.2.11', '10.200.1.0/24')
    await face.api.create<'Service'>(
      {
        kind: 'Service',
        metadata: { name: 'kubernetes', namespace: 'default' },
        spec: { clusterIP: '10.96.0.1', ports: [{ port: 443 }] },
      } as never,
      CONTEXT,
    )
    await face.api.create<'EndpointSlice'>(
      {
        kind: 'EndpointSlice',
        metadata: { name: 'kubernetes', namespace: 'default', labels: { 'kubernetes.io/service-name': 'kubernetes' } },
        addressType: 'IPv4',
        ports: [{ port: 6443 }],
        endpoints: [{ addresses: ['203.0.113.6'] }],
      } as never,
      CONTEXT,
    )
    await face.reads.current()
    tenant = (await face.send('POST', `${BASE}/serviceaccounts/tenant/token`, { body: { spec: {} } })).json.status
      .token as string
  })

  after(() => face.stop())

  async function addNode(name: string, address: string, podCIDR: string): Promise<void> {
    const node = await face.api.create<'Node'>(
      { kind: 'Node', metadata: { name }, spec: { podCIDR, podCIDRs: [podCIDR] } },
      CONTEXT,
    )
    await face.api.updateStatus<'Node'>(
      { ...structuredClone(node), status: { addresses: [{ type: 'InternalIP', address }] } } as Node,
      CONTEXT,
    )
    await face.reads.current()
  }

  for (const [what, address, reason] of [
    ['a pod', '10.244.1.7', /is an address of pods or Services/],
    ['a Service', '10.96.0.1', /is an address of pods or Services/],
    ['a node', '192.0.2.11', /is the address of node n1/],
    ['the range of a node', '10.200.1.9', /is the address of node n1/],
    ['a controller', '203.0.113.5', /is the address of a controller/],
    ['a controller that serves the API', '203.0.113.6', /is the address of a controller/],
    [
      'nobody that is listed',
      '198.51.100.1',
      /is in no range of external addresses \(the controllers' setting externalCidrs lists 203\.0\.113\.0\/24, 192\.0\.2\.0\/24, 2001:db8::\/64\)/,
    ],
    ['the metadata of a cloud', '169.254.169.254', /is a link-local address/],
    ['itself', '127.0.0.1', /is a loopback address/],
    ['everybody', '255.255.255.255', /is the broadcast address/],
    ['a group', '239.1.1.1', /is a multicast address/],
    ['nobody', '0.0.0.0', /is no address/],
    ['an IPv4 address in disguise', '::ffff:10.96.0.1', /is an IPv4 address in IPv6/],
    ['a group of IPv6', 'ff0e::1', /is a multicast address/],
  ] as const) {
    it(`an external address is never that of ${what}, whoever asks`, async () => {
      for (const token of [tenant, undefined]) {
        const { status, json } = await face.send('POST', `${BASE}/services?dryRun=All`, {
          body: serviceOf('web', { externalIPs: [address] }),
          ...(token !== undefined && { token }),
        })
        assert.ok(status === 403 || status === 422, `${status} ${JSON.stringify(json)}`)
        assert.match(json.message as string, reason)
      }
    })
  }

  it('an external address is one of a range that is listed, and one Service has it with a port', async () => {
    const create = (name: string, spec: object) =>
      face.send('POST', `${BASE}/services`, { body: serviceOf(name, spec), token: tenant })
    assert.equal((await create('first', { externalIPs: ['203.0.113.80'] })).status, 201)
    await face.reads.current()
    const second = await create('second', { externalIPs: ['203.0.113.80'] })
    assert.equal(second.status, 403)
    assert.match(second.json.message as string, /203\.0\.113\.80 with port 80\/TCP is that of Service default\/first/)
    assert.equal((await create('other', { externalIPs: ['203.0.113.80'], ports: [{ port: 81 }] })).status, 201)
    assert.equal((await create('v6', { externalIPs: ['2001:db8::1'] })).status, 201)
    await face.reads.current()
    const moved = await face.send('PATCH', `${BASE}/services/other`, {
      body: { spec: { ports: [{ port: 80 }] } },
      type: MERGE,
      token: tenant,
    })
    assert.equal(moved.status, 403, JSON.stringify(moved.json))
    assert.equal(
      (
        await face.send('PATCH', `${BASE}/services/first`, {
          body: { metadata: { labels: { any: 'change' } } },
          type: MERGE,
          token: tenant,
        })
      ).status,
      200,
    )
  })

  it('an address of a load balancer is judged the same way, also in a status that an administrator writes', async () => {
    assert.equal(
      (
        await face.send('POST', `${BASE}/services`, {
          body: serviceOf('balanced', { type: 'LoadBalancer', loadBalancerClass: 'example.com/lb' }),
        })
      ).status,
      201,
    )
    const write = (ip: string) =>
      face.send('PATCH', `${BASE}/services/balanced/status`, {
        body: { status: { loadBalancer: { ingress: [{ ip }] } } },
        type: MERGE,
      })
    for (const ip of [
      '10.96.0.1',
      '10.244.0.9',
      '192.0.2.11',
      '203.0.113.5',
      '169.254.169.254',
      '198.51.100.9',
      '203.0.113.80',
    ]) {
      const { status, json } = await write(ip)
      assert.ok(status === 403 || status === 422, `${ip}: ${status} ${JSON.stringify(json)}`)
    }
    assert.equal((await write('203.0.113.90')).status, 200)
  })

  it('nodes are told of no address that would be refused now', async () => {
    const told = new Map<string, Service | undefined>()
    const sink = {
      node: () => undefined,
      all: (key: string, _version: string, content: (() => unknown) | undefined) =>
        void told.set(
          key,
          content === undefined
            ? undefined
            : decodeResource('Service', (content() as { value: { raw: Uint8Array } }).value.raw),
        ),
    }
    const stop = new ServicesSource(traffic.addresses).start(face.informer, sink as never)
    const service = (name: string): Service => told.get(`Service/default/${name}`)!
    // Written before the setting was changed, or by who could.
    const old = await face.api.create<'Service'>(
      {
        kind: 'Service',
        metadata: { name: 'old', namespace: 'default' },
        spec: { type: 'LoadBalancer', externalIPs: ['203.0.113.91', '192.0.2.40'], ports: [{ port: 80 }] },
      } as never,
      CONTEXT,
    )
    await face.api.updateStatus<'Service'>(
      {
        ...structuredClone(old),
        status: {
          loadBalancer: { ingress: ['192.0.2.11', '10.96.0.1', '203.0.113.5', '198.51.100.4'].map((ip) => ({ ip })) },
        },
      } as Service,
      CONTEXT,
    )
    await face.reads.current()
    assert.deepEqual(
      [service('old').spec.externalIPs, service('old').status.loadBalancer?.ingress],
      [['203.0.113.91', '192.0.2.40'], [{ ip: '192.0.2.11' }]],
    )
    // A node that comes takes its address from Services.
    await addNode('n2', '192.0.2.40', '10.200.2.0/24')
    assert.deepEqual(service('old').spec.externalIPs, ['203.0.113.91'])
    await face.api.delete('Service', 'default', 'old', {}, CONTEXT)
    await face.reads.current()
    assert.equal(told.get('Service/default/old'), undefined)
    stop()
  })

  const fieldOf = (json: unknown): string =>
    (json as { details: { causes: { field: string }[] } }).details.causes[0]!.field

  for (const [what, pod, message] of [
    ['SSH', podOf('p', [{ containerPort: 80, hostPort: 22 }]), /the port 22\/TCP of nodes is reserved for SSH/],
    [
      'the pod network',
      podOf('p', [{ containerPort: 80, hostPort: 8472, protocol: 'UDP' }]),
      /8472\/UDP of nodes is reserved for the pod network/,
    ],
    ['the Kubernetes API', podOf('p', [{ containerPort: 6443, hostPort: 6443 }]), /reserved for the Kubernetes API/],
    [
      'what the configuration says',
      podOf('p', [{ containerPort: 80, hostPort: 9443 }]),
      /reserved for the controllers/,
    ],
    [
      'the resolver',
      podOf('p', [{ containerPort: 53, hostPort: 53, protocol: 'UDP' }]),
      /reserved for the node's resolver/,
    ],
    [
      'the resolver, by its address',
      podOf('p', [{ containerPort: 53, hostPort: 53, hostIP: '169.254.20.10' }]),
      /reserved for the node's resolver/,
    ],
    ["SSH, in the node's network", podOf('p', [{ containerPort: 22 }], { hostNetwork: true }), /reserved for SSH/],
  ] as const) {
    it(`a pod does not take the port of ${what}`, async () => {
      const { status, json } = await face.send('POST', `${BASE}/pods`, { body: pod, token: tenant })
      assert.equal(status, 403, JSON.stringify(json))
      assert.match(json.message as string, message)
      const { spec } = pod as { spec: object }
      const template = { metadata: { labels: { a: 'b' } }, spec }
      const deployment = await face.send('POST', '/apis/apps/v1/namespaces/default/deployments', {
        body: { metadata: { name: 'd' }, spec: { selector: { matchLabels: { a: 'b' } }, template } },
        token: tenant,
      })
      assert.equal(deployment.status, 403, JSON.stringify(deployment.json))
      assert.match(fieldOf(json), /^spec\.containers\[0\]\.ports\[0\]\.(hostPort|containerPort)$/)
      assert.equal(fieldOf(deployment.json), `spec.template.${fieldOf(json)}`)
    })
  }

  it("a pod takes other ports, and the resolver's at an address of its node", async () => {
    for (const [name, ports] of [
      ['web', [{ containerPort: 80, hostPort: 8080 }]],
      ['dns', [{ containerPort: 53, hostPort: 53, hostIP: '192.0.2.11', protocol: 'UDP' }]],
      ['inside', [{ containerPort: 22 }]],
    ] as const) {
      const { status, json } = await face.send('POST', `${BASE}/pods`, { body: podOf(name, ports), token: tenant })
      assert.equal(status, 201, JSON.stringify(json))
    }
  })

  it('a node port is one of the range of node ports', async () => {
    for (const nodePort of [22, 7443, 8472, 29999, 32768]) {
      const { status, json } = await face.send('POST', `${BASE}/services`, {
        body: serviceOf('np', { type: 'NodePort', ports: [{ port: 80, nodePort }] }),
        token: tenant,
      })
      assert.equal(status, 422, JSON.stringify(json))
    }
  })
})
