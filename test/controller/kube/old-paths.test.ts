import assert from 'node:assert/strict'
import { TestApiServer } from './test-api-server.ts'

const BASE = '/api/v1/namespaces/default'

describe('Kubernetes face: paths as older clients write them', () => {
  let face: TestApiServer
  before(async () => {
    face = await TestApiServer.start({ admission: true })
    await face.send('POST', `${BASE}/serviceaccounts`, { body: { metadata: { name: 'anybody' } } })
    for (const name of ['a', 'b']) await face.send('POST', `${BASE}/configmaps`, { body: { metadata: { name } } })
    await face.send('POST', `/apis/apps/v1/namespaces/default/deployments`, {
      body: {
        metadata: { name: 'web' },
        spec: {
          selector: { matchLabels: { a: 'b' } },
          template: { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'main', image: 'busybox' }] } },
        },
      },
    })
  })
  after(() => face.stop())

  it('end in a slash where they like', async () => {
    const token = (await face.send('POST', `${BASE}/serviceaccounts/anybody/token`, { body: { spec: {} } })).json.status
      .token as string
    for (const path of [
      '/version',
      '/api',
      '/apis',
      '/api/v1',
      '/apis/apps',
      '/apis/apps/v1',
      '/healthz',
      '/livez',
      '/readyz',
      '/openapi/v2',
    ]) {
      const [plain, slashed] = [await face.get(path, { token }), await face.get(`${path}/`, { token })]
      assert.deepEqual([plain.status, slashed.status], [200, 200], path)
      if (!path.startsWith('/openapi')) assert.deepEqual(slashed.body, plain.body, path)
    }
    assert.equal((await face.get(`${BASE}/configmaps/`)).json.kind, 'ConfigMapList')
    assert.equal((await face.get(`${BASE}/configmaps/a/`)).json.metadata.name, 'a')
    assert.equal((await face.get('/api/v1/configmaps/')).json.kind, 'ConfigMapList', 'of all namespaces')
    assert.equal((await face.get('/apis/apps/v1/deployments/')).json.kind, 'DeploymentList')
    assert.equal((await face.get('/api/v1/configmaps//a')).status, 404)
    assert.equal((await face.get('/version//')).status, 404)
    assert.equal((await face.get('/metrics/', { token })).status, 403)
  })

  it('of watches name a collection, of one or all namespaces, or an object', async () => {
    for (const [path, expected] of [
      ['/api/v1/watch/configmaps', ['ADDED a', 'ADDED b']],
      ['/api/v1/watch/namespaces/default/configmaps', ['ADDED a', 'ADDED b']],
      ['/api/v1/watch/namespaces/default/configmaps/b', ['ADDED b']],
      ['/api/v1/watch/namespaces/default/configmaps/b?fieldSelector=metadata.namespace%3Ddefault', ['ADDED b']],
      ['/apis/apps/v1/watch/namespaces/default/deployments/web', ['ADDED web']],
      ['/apis/apps/v1/watch/deployments', ['ADDED web']],
      ['/api/v1/watch/configmaps/', ['ADDED a', 'ADDED b']],
      ['/api/v1/watch/namespaces/default', ['ADDED default']],
      ['/api/v1/watch/namespaces', ['ADDED default']],
    ] as const) {
      const frames = await face.watch(path)
      assert.deepEqual(await frames.take(expected.length), expected, path)
      frames.close()
    }
    for (const [method, path, code] of [
      ['POST', '/api/v1/watch/configmaps', 405],
      ['GET', '/api/v1/watch/nothing', 404],
      ['GET', '/api/v1/watch', 404],
      ['GET', '/api/v1/watch/namespaces/default/pods/a/log', 404],
    ] as const) {
      assert.equal((await face.send(method, path, { ...(method === 'POST' && { body: {} }) })).status, code, path)
    }
    assert.equal((await face.get('/api/v1/watch/secrets', { token: '' })).status, 401)
  })
})
