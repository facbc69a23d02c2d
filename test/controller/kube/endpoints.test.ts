/** Endpoints through the Kubernetes face, as clients that do not know EndpointSlices use them. */
import assert from 'node:assert/strict'
import { TestApiServer } from './test-api-server.ts'

const BASE = '/api/v1/namespaces/default'
const endpointsOf = (name: string, ip: string): object => ({
  apiVersion: 'v1',
  kind: 'Endpoints',
  metadata: { name },
  subsets: [{ addresses: [{ ip }], ports: [{ port: 5432 }] }],
})

describe('Kubernetes face: Endpoints', () => {
  let face: TestApiServer

  before(async () => {
    face = await TestApiServer.start()
  })

  after(() => face.stop())

  it('discovery names them as Kubernetes does', async () => {
    const { json } = await face.get('/api/v1')
    const found = (json.resources as { name: string }[]).find(({ name }) => name === 'endpoints') as unknown as {
      kind: string
      shortNames: string[]
      namespaced: boolean
      verbs: string[]
    }
    assert.deepEqual(
      [found.kind, found.shortNames, found.namespaced, found.verbs.length],
      ['Endpoints', ['ep'], true, 8],
    )
  })

  it('are written and read, with the protocol that is meant and without a generation', async () => {
    const made = await face.send('POST', `${BASE}/endpoints`, { body: endpointsOf('db', '192.0.2.51') })
    assert.equal(made.status, 201, JSON.stringify(made.json))
    const { json } = await face.get(`${BASE}/endpoints/db`)
    assert.deepEqual(json.subsets, [{ addresses: [{ ip: '192.0.2.51' }], ports: [{ port: 5432, protocol: 'TCP' }] }])
    assert.equal(json.metadata.generation, undefined)
    const patched = await face.send('PATCH', `${BASE}/endpoints/db`, {
      body: {
        subsets: [
          {
            notReadyAddresses: [{ ip: '192.0.2.52', nodeName: 'n1', targetRef: { kind: 'Pod', name: 'a' } }],
            ports: [{ name: 'sql', port: 5433, protocol: 'UDP', appProtocol: 'pg' }],
          },
        ],
      },
      type: 'application/strategic-merge-patch+json',
    })
    assert.deepEqual(patched.json.subsets, [
      {
        notReadyAddresses: [{ ip: '192.0.2.52', nodeName: 'n1', targetRef: { kind: 'Pod', name: 'a' } }],
        ports: [{ name: 'sql', port: 5433, protocol: 'UDP', appProtocol: 'pg' }],
      },
    ])
  })

  it('are shown in the columns of kubectl', async () => {
    const list = await face.send('POST', `${BASE}/endpoints`, { body: endpointsOf('shown', '2001:db8::1') })
    assert.equal(list.status, 201)
    await face.reads.current()
    const { json } = await face.get(`${BASE}/endpoints/shown`, {
      headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' },
    })
    assert.deepEqual(
      (json.columnDefinitions as { name: string }[]).map(({ name }) => name),
      ['Name', 'Endpoints', 'Age'],
    )
    assert.deepEqual((json.rows as { cells: string[] }[])[0]!.cells.slice(0, 2), ['shown', '[2001:db8::1]:5432'])
  })

  for (const [ip, reason] of [
    ['127.0.0.1', /is a loopback address/],
    ['169.254.169.254', /is a link-local address/],
    ['239.1.1.1', /is a multicast address/],
    ['0.0.0.0', /is no address/],
    ['web', /is not an IP address/],
  ] as const) {
    it(`refuse ${ip}, with the field`, async () => {
      const { status, json } = await face.send('POST', `${BASE}/endpoints`, { body: endpointsOf('bad', ip) })
      assert.equal(status, 422)
      assert.match(json.message as string, reason)
      assert.equal(json.details.causes[0].field, 'subsets[0].addresses[0].ip')
    })
  }

  it('are described in OpenAPI with the names of Kubernetes', async () => {
    const { json } = await face.get('/openapi/v3/api/v1')
    const { schemas } = json.components as { schemas: Record<string, { properties: Record<string, unknown> }> }
    assert.deepEqual(Object.keys(schemas['io.k8s.api.core.v1.EndpointPort']!.properties).sort(), [
      'appProtocol',
      'name',
      'port',
      'protocol',
    ])
    assert.ok(
      schemas['io.k8s.api.core.v1.Endpoints'] !== undefined &&
        schemas['io.k8s.api.core.v1.EndpointSubset'] !== undefined,
    )
  })

  it('name every port of an EndpointSlice, as kubectl describe service needs', async () => {
    const slices = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices'
    const made = await face.send('POST', slices, {
      body: {
        metadata: { name: 'unnamed' },
        addressType: 'IPv4',
        endpoints: [{ addresses: ['192.0.2.1'] }],
        ports: [{ port: 80 }],
      },
    })
    assert.deepEqual([made.status, made.json.ports], [201, [{ name: '', port: 80, protocol: 'TCP' }]])
    assert.deepEqual((await face.get(`${slices}/unnamed`)).json.ports, [{ name: '', port: 80, protocol: 'TCP' }])
  })
})
