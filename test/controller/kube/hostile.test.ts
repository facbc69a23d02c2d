import assert from 'node:assert/strict'
import { connect } from 'node:tls'
import type { PodStreams } from '../../../controller/dispatch/pod-streams.ts'
import { ACCESS_ANNOTATION } from '../../../proto/objects/account-access.ts'
import { readYaml } from '../../../proto/codec/yaml.ts'
import { eventually } from '../../eventually.ts'
import { TestApiServer } from './test-api-server.ts'
import { FakePodStreams } from './streams/fixture.ts'

const CONTEXT = { fieldManager: 'test' }
const BASE = '/api/v1/namespaces/default'

describe('Kubernetes face: who means harm', () => {
  let face: TestApiServer
  let pods: FakePodStreams
  let token: string

  before(async () => {
    pods = new FakePodStreams()
    face = await TestApiServer.start({ admission: true, parts: { pods: pods as unknown as PodStreams } })
    for (const access of ['admin', 'edit']) {
      await face.api.create<'ServiceAccount'>(
        {
          kind: 'ServiceAccount',
          metadata: { name: access, namespace: 'default', annotations: { [ACCESS_ANNOTATION]: access } },
        },
        CONTEXT,
      )
      await face.reads.current()
      const pod = await face.api.create<'Pod'>(
        {
          kind: 'Pod',
          metadata: { name: access, namespace: 'default' },
          spec: { nodeName: 'n1', serviceAccountName: access, containers: [{ name: 'main', image: 'busybox' }] },
        } as never,
        CONTEXT,
      )
      await face.api.updateStatus<'Pod'>(
        { ...structuredClone(pod), status: { ...pod.status, phase: 'Running' } } as never,
        CONTEXT,
      )
      await face.api.create<'Service'>(
        {
          kind: 'Service',
          metadata: { name: access, namespace: 'default' },
          spec: { clusterIP: 'None', ports: [{ port: 80 }] },
        } as never,
        CONTEXT,
      )
      await face.api.create<'EndpointSlice'>(
        {
          kind: 'EndpointSlice',
          metadata: { name: access, namespace: 'default', labels: { 'kubernetes.io/service-name': access } },
          addressType: 'IPv4',
          ports: [{ port: 1 }],
          endpoints: [
            {
              addresses: ['10.0.0.1'],
              conditions: { ready: true },
              targetRef: { kind: 'Pod', name: access, namespace: 'default' },
            },
          ],
        } as never,
        CONTEXT,
      )
    }
    await face.reads.current()
    token = (await face.send('POST', `${BASE}/serviceaccounts/edit/token`, { body: { spec: {} } })).json.status
      .token as string
  })

  after(() => face.stop())

  it('reaches no pod by way of a Service that may not be reached itself', async () => {
    for (const path of [
      'pods/admin/proxy/',
      'pods/http:admin:8080/proxy/',
      'services/admin/proxy/',
      'services/admin:80/proxy/x',
    ]) {
      const { status, json } = await face.get(`${BASE}/${path}`, { token })
      assert.equal(status, 403, path)
      assert.match(json.message as string, /the pod runs as one with access "admin"/, path)
    }
    assert.deepEqual(pods.forwarded, [])
    // Nothing listens there: it got that far.
    for (const path of ['pods/edit:1/proxy/', 'pods/http:edit:1/proxy/', 'services/edit/proxy/'])
      assert.equal((await face.get(`${BASE}/${path}`, { token })).status, 503, path)
    assert.deepEqual(
      pods.forwarded.map(({ pod }) => pod),
      ['edit', 'edit', 'edit'],
    )
  })

  it('writes nothing that only the cluster writes: status, endpoints, places of pods', async () => {
    const merge = 'application/merge-patch+json'
    const slice = { metadata: { generateName: 'x-' }, addressType: 'IPv4', endpoints: [{ addresses: ['10.0.0.1'] }] }
    for (const [method, path, body, type] of [
      ['PATCH', `${BASE}/pods/edit/status`, { status: { podIPs: [{ ip: '10.9.9.9' }] } }, merge],
      ['PUT', `${BASE}/pods/edit/status`, { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'edit' } }, undefined],
      [
        'PATCH',
        `${BASE}/pods/edit/status?fieldManager=x`,
        { apiVersion: 'v1', kind: 'Pod', status: {} },
        'application/apply-patch+yaml',
      ],
      [
        'PATCH',
        `${BASE}/services/edit/status`,
        { status: { loadBalancer: { ingress: [{ ip: '10.96.0.1' }] } } },
        merge,
      ],
      ['POST', '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices', slice, undefined],
      [
        'PATCH',
        '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/edit',
        { endpoints: [{ addresses: ['10.0.0.9'] }] },
        merge,
      ],
      ['DELETE', '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/edit', undefined, undefined],
      [
        'POST',
        `${BASE}/endpoints`,
        { metadata: { name: 'edit' }, subsets: [{ addresses: [{ ip: '10.0.0.1' }] }] },
        undefined,
      ],
      ['PATCH', `${BASE}/endpoints/edit`, { subsets: [] }, merge],
      ['DELETE', `${BASE}/endpoints/edit`, undefined, undefined],
      ['PATCH', '/apis/gantry.dev/v1/namespaces/default/networks/n/status', { status: { id: 1 } }, merge],
      ['POST', `${BASE}/pods/edit/binding`, { target: { kind: 'Node', name: 'n2' } }, undefined],
    ] as const) {
      const { status, json } = await face.send(method, path, {
        body: body === undefined ? undefined : type?.includes('yaml') === true ? JSON.stringify(body) : body,
        ...(type !== undefined && { type }),
        token,
      })
      assert.equal(status, 403, `${method} ${path}: ${JSON.stringify(json)}`)
      assert.match(json.message as string, /has access "edit", and this needs "admin"/)
    }
    assert.equal((await face.get(`${BASE}/pods/edit/status`, { token })).status, 200)
  })

  it('takes the name of what is written from the path alone', async () => {
    const body = { metadata: { name: 'admin' }, spec: {} }
    for (const [method, path, wanted] of [
      ['PUT', 'pods//ephemeralcontainers', 404],
      ['POST', 'pods//exec?command=x', 404],
      ['POST', 'pods//binding', 404],
      ['POST', 'serviceaccounts//token', 404],
      ['PUT', 'pods', 405],
      ['PATCH', 'pods', 405],
      ['PUT', 'pods/', 405],
      ['POST', 'configmaps/x', 405],
    ] as const) {
      assert.equal(
        (
          await face.send(method, `${BASE}/${path}`, {
            body,
            ...(method === 'PATCH' && { type: 'application/merge-patch+json' }),
          })
        ).status,
        wanted,
        `${method} ${path}`,
      )
    }
  })

  it("keeps no figures of paths that are nobody's", async () => {
    for (let at = 0; at < 20; at++) assert.equal((await face.get(`${BASE}/pods/web/nothing-${at}`)).status, 404)
    const { body } = await face.get('/metrics')
    assert.doesNotMatch(body.toString(), /nothing-/)
  })

  it('tells a stranger nothing of which paths there are', async () => {
    for (const path of ['/apis/example.com/v1/x', `${BASE}/pods/web/nothing`, '/nowhere', `${BASE}/pods`])
      assert.equal((await face.get(path, { token: '' })).status, 401, path)
  })

  it('tells a bounded number of what is wrong with YAML', () => {
    const [document] = readYaml('&a '.repeat(3_000))
    assert.deepEqual([document!.faults.length, document!.faults[0]!.position], [1_000, { line: 1, column: 4 }])
  })

  it('stops though somebody is about to change the protocol and what is asked does not answer', async () => {
    let asked = false
    const other = await TestApiServer.start({
      parts: {
        reads: {
          get: () => {
            asked = true
            return new Promise(() => undefined)
          },
        } as never,
      },
    })
    const [host, port] = other.address.split(':')
    const socket = connect({ host, port: Number(port), ...(await other.client('anna', ['system:masters'])) })
    socket.on('error', () => socket.destroy())
    socket.write(
      `POST ${BASE}/pods/web/exec?command=x&stdout=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n`,
    )
    await eventually(() => asked)
    await other.stop()
    socket.destroy()
  })
})
