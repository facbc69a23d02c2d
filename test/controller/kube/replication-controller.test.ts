import assert from 'node:assert/strict'
import { TestApiServer } from './test-api-server.ts'

const PATH = '/api/v1/namespaces/default/replicationcontrollers'
const MERGE = { 'content-type': 'application/merge-patch+json' }
const labels = { app: 'web', tier: 'front' }
const container = { name: 'web', image: 'nginx:1.27' }
/** As it was written in 2015: no selector, no labels of its own. */
const old = {
  apiVersion: 'v1',
  kind: 'ReplicationController',
  metadata: { name: 'web' },
  spec: { replicas: 2, template: { metadata: { labels }, spec: { containers: [container] } } },
}

describe('kube: ReplicationController and PodTemplate', () => {
  let server: TestApiServer
  before(async () => void (server = await TestApiServer.start()))
  after(() => server.stop())

  it('takes selector and labels from the template', async () => {
    const { status, json } = await server.send('POST', PATH, { body: old })
    assert.equal(status, 201)
    assert.deepEqual(
      [json.metadata.labels, json.spec.selector, json.spec.replicas, json.metadata.generation, json.status],
      [labels, labels, 2, 1, { replicas: 0 }],
    )
  })

  const refused: [string, object, string, string][] = [
    [
      'a selector that its own pods do not match',
      { selector: { app: 'db' } },
      'FieldValueInvalid',
      'spec.template.metadata.labels',
    ],
    [
      'neither selector nor labels of pods',
      { template: { spec: { containers: [container] } } },
      'FieldValueInvalid',
      'spec.selector',
    ],
    ['no template', { template: undefined, selector: labels }, 'FieldValueRequired', 'spec.template'],
    [
      'pods that are not begun anew',
      { template: { metadata: { labels }, spec: { containers: [container], restartPolicy: 'Never' } } },
      'FieldValueNotSupported',
      'spec.template.spec.restartPolicy',
    ],
  ]
  for (const [what, spec, reason, field] of refused) {
    it(`refuses ${what}`, async () => {
      const { status, json } = await server.send('POST', PATH, {
        body: { ...old, metadata: { name: 'bad' }, spec: { ...old.spec, ...spec } },
      })
      assert.equal(status, 422)
      assert.deepEqual(
        json.details.causes.map((cause: { reason: string; field: string }) => [cause.reason, cause.field]),
        [[reason, field]],
      )
    })
  }

  it('has a selector that one writer owns as a whole: an apply replaces it, a patch merges it', async () => {
    const apply = (manager: string, selector: object, query = ''): ReturnType<typeof server.send> =>
      server.send('PATCH', `${PATH}/whole?fieldManager=${manager}${query}`, {
        body: { ...old, metadata: { name: 'whole' }, spec: { ...old.spec, selector } },
        headers: { 'content-type': 'application/apply-patch+yaml' },
      })
    const first = await apply('one', { app: 'web' })
    assert.equal(first.status, 201)
    assert.deepEqual(first.json.metadata.managedFields[0].fieldsV1['f:spec']['f:selector'], {})
    const refused = await apply('two', { tier: 'front' })
    assert.deepEqual(
      [refused.status, refused.json.details.causes.map(({ field }: { field: string }) => field)],
      [409, ['.spec.selector']],
    )
    assert.deepEqual((await apply('two', { tier: 'front' }, '&force=true')).json.spec.selector, { tier: 'front' })
    const patched = await server.send('PATCH', `${PATH}/whole`, {
      body: { spec: { selector: { app: 'web' } } },
      headers: { 'content-type': 'application/strategic-merge-patch+json' },
    })
    assert.deepEqual(patched.json.spec.selector, labels)
    await server.send('DELETE', `${PATH}/whole?propagationPolicy=Background`)
  })

  const deletions: [string, object | undefined, string[] | undefined][] = [
    ['as its oldest clients count on, without a word on them', undefined, ['orphan']],
    ['with options that say nothing of them', { gracePeriodSeconds: 0 }, ['orphan']],
    ['not if they are to go', { propagationPolicy: 'Background' }, undefined],
    ['not if they are to go first', { propagationPolicy: 'Foreground' }, ['foregroundDeletion']],
    ['not if the old option says so', { orphanDependents: false }, undefined],
  ]
  for (const [what, body, finalizers] of deletions) {
    it(`leaves its pods behind when it is deleted, ${what}`, async () => {
      await server.send('POST', PATH, { body: { ...old, metadata: { name: 'left' } } })
      assert.equal((await server.send('DELETE', `${PATH}/left`, { body })).status < 300, true)
      const { status, json } = await server.get(`${PATH}/left`)
      assert.deepEqual(
        [status, json.metadata?.finalizers],
        finalizers === undefined ? [404, undefined] : [200, finalizers],
      )
      // A further request that says nothing changes nothing.
      await server.send('DELETE', `${PATH}/left`)
      if (finalizers === undefined) return
      assert.deepEqual((await server.get(`${PATH}/left`)).json.metadata.finalizers, finalizers)
      await server.send('PATCH', `${PATH}/left`, { body: { metadata: { finalizers: null } }, headers: MERGE })
    })
  }

  it('is left to its finalizers, if they say what becomes of its pods', async () => {
    const metadata = { name: 'left', finalizers: ['foregroundDeletion'] }
    await server.send('POST', PATH, { body: { ...old, metadata } })
    await server.send('DELETE', `${PATH}/left`)
    assert.deepEqual((await server.get(`${PATH}/left`)).json.metadata.finalizers, ['foregroundDeletion'])
    await server.send('PATCH', `${PATH}/left`, { body: { metadata: { finalizers: null } }, headers: MERGE })
  })

  it('is scaled by its subresource, whose selector is text', async () => {
    const scale = (await server.send('GET', `${PATH}/web/scale`)).json
    assert.deepEqual(
      [scale.kind, scale.spec, scale.status],
      ['Scale', { replicas: 2 }, { replicas: 0, selector: 'app=web,tier=front' }],
    )
    const { status } = await server.send('PUT', `${PATH}/web/scale`, { body: { ...scale, spec: { replicas: 5 } } })
    assert.equal(status, 200)
    const { json } = await server.send('GET', `${PATH}/web`)
    assert.deepEqual([json.spec.replicas, json.metadata.generation], [5, 2])
  })

  it('has the status that its controller writes', async () => {
    const { json } = await server.send('PATCH', `${PATH}/web/status`, {
      body: { status: { replicas: 5, readyReplicas: 4 } },
      headers: MERGE,
    })
    assert.deepEqual([json.status.readyReplicas, json.metadata.generation], [4, 2])
  })

  it('stands in a table as kubectl knows it', async () => {
    const headers = { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' }
    const { json } = await server.send('GET', PATH, { headers })
    const names = json.columnDefinitions.map(({ name }: { name: string }) => name)
    assert.deepEqual(names, ['Name', 'Desired', 'Current', 'Ready', 'Age', 'Containers', 'Images', 'Selector'])
    assert.deepEqual(json.rows[0].cells.toSpliced(4, 1), ['web', 5, 5, 4, 'web', 'nginx:1.27', 'app=web,tier=front'])
  })

  it('is found by discovery, among all, with its scale and its short name', async () => {
    const { json } = await server.send('GET', '/api/v1')
    const lines = json.resources.filter(
      ({ kind, name }: { kind: string; name: string }) => name.startsWith('repl') && kind,
    )
    assert.deepEqual(
      lines.map(({ name, kind, group = '' }: { name: string; kind: string; group?: string }) => [name, kind, group]),
      [
        ['replicationcontrollers', 'ReplicationController', ''],
        ['replicationcontrollers/scale', 'Scale', 'autoscaling'],
        ['replicationcontrollers/status', 'ReplicationController', ''],
      ],
    )
    assert.deepEqual([lines[0].shortNames, lines[0].categories], [['rc'], ['all']])
  })

  it('keeps a PodTemplate as it was written, and counts its changes', async () => {
    const path = '/api/v1/namespaces/default/podtemplates'
    const made = await server.send('POST', path, {
      body: {
        apiVersion: 'v1',
        kind: 'PodTemplate',
        metadata: { name: 'web' },
        template: { metadata: { labels }, spec: { containers: [container], restartPolicy: 'Never' } },
      },
    })
    assert.deepEqual([made.status, made.json.metadata.generation], [201, 1])
    const patched = await server.send('PATCH', `${path}/web`, {
      body: { template: { metadata: { labels: { app: 'db' } } } },
      headers: MERGE,
    })
    assert.deepEqual(
      [patched.json.metadata.generation, patched.json.template.metadata.labels.app, patched.json.status],
      [2, 'db', undefined],
    )
    const refusedOne = await server.send('POST', path, {
      body: {
        apiVersion: 'v1',
        kind: 'PodTemplate',
        metadata: { name: 'none' },
        template: { spec: { containers: [] } },
      },
    })
    assert.equal(refusedOne.status, 422)
  })
})
