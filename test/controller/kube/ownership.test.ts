/**
 * Whose fields are, what a write of status does to metadata, and what counts in a generation: as clients of Kubernetes
 * see it.
 */
import assert from 'node:assert/strict'
import { TestApiServer, type Reply } from './test-api-server.ts'

const PODS = '/api/v1/namespaces/default/pods'
const DEPLOYMENTS = '/apis/apps/v1/namespaces/default/deployments'
const MERGE = 'application/merge-patch+json'
const APPLY = 'application/apply-patch+yaml'

const fieldsOf = ({ json }: Reply, manager: string): any =>
  json.metadata.managedFields?.find((entry: any) => entry.manager === manager)?.fieldsV1

const pod = (name: string, metadata: object = {}) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, ...metadata },
  spec: {
    containers: [
      { name: 'main', image: 'busybox', env: [{ name: 'A', value: '1' }], resources: { limits: { memory: '1Mi' } } },
    ],
  },
})

const deployment = (name: string) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name, labels: { app: name } },
  spec: {
    replicas: 1,
    selector: { matchLabels: { app: name } },
    template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'main', image: 'busybox' }] } },
  },
})

describe('Kubernetes face: owners', () => {
  let face: TestApiServer
  before(async () => {
    face = await TestApiServer.start({ admission: true })
    await face.send('POST', '/api/v1/namespaces/default/serviceaccounts', { body: { metadata: { name: 'default' } } })
  })
  after(() => face.stop())

  it('are those of what was sent, with defaults, and not of what admission adds', async () => {
    const made = await face.send('POST', `${PODS}?fieldManager=kubectl-client-side-apply`, {
      body: pod('owned', { labels: { a: '1' } }),
    })
    assert.equal(made.status, 201, made.body.toString())
    assert.equal(made.json.spec.serviceAccountName, 'default')
    const fields = fieldsOf(made, 'kubectl-client-side-apply')
    const container = 'k:{"name":"main"}'
    assert.deepEqual(
      Object.keys(fields['f:spec']).filter((name) => /serviceAccount|volumes/.test(name)),
      [],
    )
    assert.equal(fields['f:spec']['f:containers'][container]['f:volumeMounts'], undefined)
    assert.deepEqual(fields['f:spec']['f:dnsPolicy'], {}, "defaults are the writer's")
    const namespace = await face.send('POST', '/api/v1/namespaces?fieldManager=me', {
      body: { metadata: { name: 'owned' } },
    })
    assert.deepEqual(namespace.json.spec, { finalizers: ['kubernetes'] })
    assert.deepEqual(fieldsOf(namespace, 'me'), {
      'f:metadata': { 'f:labels': { '.': {}, 'f:kubernetes.io/metadata.name': {} } },
    })
  })

  it('let a pod be applied by the client and then by the server, and nothing is taken away', async () => {
    const first = await face.send('POST', `${PODS}?fieldManager=kubectl-client-side-apply`, { body: pod('moved') })
    // As kubectl does before its first server-side apply: what it updated becomes what it applied.
    const managedFields = first.json.metadata.managedFields.map((entry: object) => ({
      ...entry,
      manager: 'kubectl',
      operation: 'Apply',
    }))
    const body = [
      { op: 'replace', path: '/metadata/managedFields', value: managedFields },
      { op: 'replace', path: '/metadata/resourceVersion', value: first.json.metadata.resourceVersion },
    ]
    const migrated = await face.send('PATCH', `${PODS}/moved`, { type: 'application/json-patch+json', body })
    assert.equal(migrated.status, 200, migrated.body.toString())
    const applied = await face.send('PATCH', `${PODS}/moved?fieldManager=kubectl`, { type: APPLY, body: pod('moved') })
    assert.equal(applied.status, 200, applied.body.toString())
    assert.deepEqual(applied.json.spec, first.json.spec)
  })

  it('of a map, a list or an optional message are told of it, too, as "."', async () => {
    const made = await face.send('POST', `${PODS}?fieldManager=me`, {
      body: { ...pod('dotted', { labels: { a: '1' }, annotations: { b: '2' } }) },
    })
    const fields = fieldsOf(made, 'me')
    assert.deepEqual(fields['f:metadata'], {
      'f:annotations': { '.': {}, 'f:b': {} },
      'f:labels': { '.': {}, 'f:a': {} },
    })
    assert.deepEqual(
      Object.keys(fields['f:spec']['f:containers']),
      ['k:{"name":"main"}'],
      "a list that must be there is nobody's",
    )
    const container = fields['f:spec']['f:containers']['k:{"name":"main"}']
    assert.deepEqual(container['f:env'], { '.': {}, 'k:{"name":"A"}': { '.': {}, 'f:name': {}, 'f:value': {} } })
    assert.deepEqual(container['f:resources'], {
      '.': {},
      'f:limits': { '.': {}, 'f:memory': {} },
      'f:requests': { '.': {}, 'f:memory': {} },
    })
    const applied = await face.send('PATCH', `${PODS}/applied?fieldManager=me`, {
      type: APPLY,
      body: pod('applied', { labels: { a: '1' } }),
    })
    assert.deepEqual(
      fieldsOf(applied, 'me')['f:metadata'],
      { 'f:labels': { 'f:a': {} } },
      'an apply owns what it names',
    )
    const roll = await face.send('POST', `${DEPLOYMENTS}?fieldManager=me`, { body: deployment('dotted') })
    const { 'f:strategy': strategy, 'f:template': template } = fieldsOf(roll, 'me')['f:spec']
    assert.deepEqual(strategy, {
      'f:rollingUpdate': { '.': {}, 'f:maxSurge': {}, 'f:maxUnavailable': {} },
      'f:type': {},
    })
    assert.deepEqual(template['f:metadata'], { 'f:labels': { '.': {}, 'f:app': {} } })
  })

  it('takes version 0 as any version', async () => {
    const path = '/api/v1/namespaces/default/configmaps'
    assert.equal(
      (await face.send('POST', path, { body: { metadata: { name: 'any', resourceVersion: '0' }, data: { a: '1' } } }))
        .status,
      201,
    )
    const put = await face.send('PUT', `${path}/any`, {
      body: { metadata: { name: 'any', resourceVersion: '0' }, data: { a: '2' } },
    })
    assert.deepEqual([put.status, put.json.data], [200, { a: '2' }])
    const patched = await face.send('PATCH', `${path}/any`, {
      type: MERGE,
      body: { metadata: { resourceVersion: '0' }, data: { a: '3' } },
    })
    assert.deepEqual([patched.status, patched.json.data], [200, { a: '3' }])
    const applied = await face.send('PATCH', `${path}/any?fieldManager=me&force=true`, {
      type: APPLY,
      body: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'any', resourceVersion: '0' }, data: { a: '4' } },
    })
    assert.deepEqual([applied.status, applied.json.data], [200, { a: '4' }])
    assert.equal(
      (await face.send('PUT', `${path}/any`, { body: { metadata: { name: 'any', resourceVersion: '1' } } })).status,
      409,
    )
  })
})

describe('Kubernetes face: metadata with a status', () => {
  let face: TestApiServer
  before(async () => {
    face = await TestApiServer.start()
  })
  after(() => face.stop())

  const metadata = {
    labels: { l: 'new' },
    annotations: { a: 'new' },
    finalizers: ['example.com/f'],
    ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'o', uid: 'u' }],
  }
  const written = ({
    json: {
      metadata: { labels, annotations, finalizers, ownerReferences },
    },
  }: Reply): string =>
    [
      labels?.l === 'new' && 'labels',
      annotations?.a === 'new' && 'annotations',
      finalizers !== undefined && 'finalizers',
      ownerReferences !== undefined && 'ownerReferences',
    ]
      .filter(Boolean)
      .join(' ')
  const ALL = 'labels annotations finalizers ownerReferences'
  /** What the strategy of each kind's status lets through in Kubernetes. */
  const kinds: readonly (readonly [path: string, body: object, writes: string])[] = [
    [PODS, pod('s'), 'labels annotations finalizers'],
    [DEPLOYMENTS, deployment('s'), 'annotations finalizers ownerReferences'],
    ['/apis/apps/v1/namespaces/default/replicasets', { ...deployment('s'), kind: 'ReplicaSet' }, ALL],
    ['/api/v1/namespaces/default/services', { metadata: { name: 's' }, spec: { ports: [{ port: 80 }] } }, ALL],
    ['/api/v1/nodes', { metadata: { name: 's' } }, ALL],
    ['/api/v1/namespaces', { metadata: { name: 's' } }, ALL],
    [
      '/apis/networking.k8s.io/v1/namespaces/default/ingresses',
      { metadata: { name: 's' }, spec: { defaultBackend: { service: { name: 'x', port: { number: 80 } } } } },
      ALL,
    ],
    [
      '/apis/gateway.networking.k8s.io/v1/namespaces/default/gateways',
      {
        metadata: { name: 's' },
        spec: { gatewayClassName: 'x', listeners: [{ name: 'l', port: 80, protocol: 'HTTP' }] },
      },
      '',
    ],
  ]
  for (const [path, body, writes] of kinds) {
    it(`${path.split('/').at(-1)}: ${writes === '' ? 'nothing' : writes}, by PATCH and PUT`, async () => {
      const { kind: _kind, ...spec } = body as { kind?: string; spec?: { strategy?: unknown } }
      const made = await face.send('POST', path, { body: spec })
      assert.equal(made.status, 201, made.body.toString())
      const patched = await face.send('PATCH', `${path}/s/status`, { type: MERGE, body: { metadata } })
      assert.equal(patched.status, 200, patched.body.toString())
      assert.equal(written(patched), writes)
      assert.equal(patched.json.metadata.generation, made.json.metadata.generation, 'the spec is as it was')
      const put = await face.send('PUT', `${path}/s/status`, {
        body: {
          ...patched.json,
          metadata: { ...patched.json.metadata, labels: { l: 'put' }, annotations: { a: 'put' } },
        },
      })
      assert.equal(put.status, 200, put.body.toString())
      assert.deepEqual(
        [put.json.metadata.labels?.l === 'put', put.json.metadata.annotations?.a === 'put'],
        [writes.includes('labels'), writes.includes('annotations')],
      )
    })
  }

  it('belongs to the writer of the status, is validated, and lets what is being deleted go', async () => {
    await face.send('POST', PODS, { body: pod('going', { finalizers: ['example.com/hold'] }) })
    const labelled = await face.send('PATCH', `${PODS}/going/status?fieldManager=me`, {
      type: MERGE,
      body: { metadata: { labels: { x: '1' } } },
    })
    assert.deepEqual(fieldsOf(labelled, 'me'), { 'f:metadata': { 'f:labels': { '.': {}, 'f:x': {} } } })
    const wrong = await face.send('PATCH', `${PODS}/going/status`, {
      type: MERGE,
      body: { metadata: { labels: { x: 'not a label' } } },
    })
    assert.equal(wrong.status, 422)
    await face.send('DELETE', `${PODS}/going`)
    const added = await face.send('PATCH', `${PODS}/going/status`, {
      type: MERGE,
      body: { metadata: { finalizers: ['example.com/hold', 'example.com/more'] } },
    })
    assert.equal(added.status, 403)
    const released = await face.send('PATCH', `${PODS}/going/status`, {
      type: MERGE,
      body: { metadata: { finalizers: null } },
    })
    assert.equal(released.status, 200)
    assert.equal((await face.send('GET', `${PODS}/going`)).status, 404)
  })
})

describe('Kubernetes face: generation', () => {
  let face: TestApiServer
  before(async () => {
    face = await TestApiServer.start()
  })
  after(() => face.stop())

  const slice = { metadata: { name: 'g' }, addressType: 'IPv4', endpoints: [] as object[], ports: [] }
  const hook = (name: string) => ({
    name,
    clientConfig: { url: 'https://127.0.0.1:1/' },
    sideEffects: 'None',
    admissionReviewVersions: ['v1'],
  })
  const cases: readonly (readonly [
    path: string,
    body: object,
    change: object,
    before: number | undefined,
    after: number | undefined,
  ])[] = [
    ['/api/v1/namespaces', { metadata: { name: 'g' } }, { metadata: { labels: { a: 'b' } } }, undefined, undefined],
    ['/api/v1/nodes', { metadata: { name: 'g' } }, { spec: { unschedulable: true } }, undefined, undefined],
    [
      '/api/v1/namespaces/default/services',
      { metadata: { name: 'g' }, spec: { ports: [{ port: 80 }] } },
      { spec: { sessionAffinity: 'ClientIP' } },
      undefined,
      undefined,
    ],
    [
      '/apis/coordination.k8s.io/v1/namespaces/default/leases',
      { metadata: { name: 'g' }, spec: {} },
      { spec: { holderIdentity: 'a' } },
      undefined,
      undefined,
    ],
    ['/api/v1/namespaces/default/configmaps', { metadata: { name: 'g' } }, { data: { a: 'b' } }, undefined, undefined],
    [DEPLOYMENTS, deployment('g'), { spec: { replicas: 2 } }, 1, 2],
    [
      '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices',
      slice,
      { endpoints: [{ addresses: ['10.0.0.9'] }] },
      1,
      2,
    ],
    [
      '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations',
      { metadata: { name: 'g' }, webhooks: [] },
      { webhooks: [hook('a.example.com')] },
      1,
      2,
    ],
  ]
  for (const [path, body, change, before, after] of cases) {
    it(`of ${path.split('/').at(-1)}: ${before === undefined ? 'none' : 'counts changes of the content'}`, async () => {
      const made = await face.send('POST', path, { body })
      assert.equal(made.status, 201, made.body.toString())
      const labelled = await face.send('PATCH', `${path}/g`, {
        type: MERGE,
        body: { metadata: { labels: { label: 'x' } } },
      })
      const changed = await face.send('PATCH', `${path}/g`, { type: MERGE, body: change })
      assert.equal(changed.status, 200, changed.body.toString())
      assert.deepEqual(
        [made, labelled, changed].map(({ json }) => json.metadata.generation),
        [before, before, after],
      )
    })
  }
})
