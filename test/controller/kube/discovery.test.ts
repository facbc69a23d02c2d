import assert from 'node:assert/strict'
import { Catalog } from '../../../controller/kube/catalog.ts'
import { wantedAggregation } from '../../../controller/kube/discovery/aggregated.ts'
import { groupsOf } from '../../../controller/kube/discovery/groups.ts'
import type { ServedResource } from '../../../controller/kube/contract.ts'
import { TestApiServer } from './test-api-server.ts'

const AGGREGATED = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList'
const AGGREGATED_BETA = 'application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList'

interface Line {
  name: string
  kind: string
  verbs: string[]
  namespaced: boolean
  singularName: string
  shortNames?: string[]
  categories?: string[]
  storageVersionHash?: string
  group?: string
  version?: string
}

describe('discovery', () => {
  let face: TestApiServer
  before(async () => void (face = await TestApiServer.start()))
  after(() => face.stop())

  const line = async (path: string, name: string): Promise<Line | undefined> =>
    ((await face.get(path)).json as { resources: Line[] }).resources.find((resource) => resource.name === name)

  it('lists versions, groups and one group', async () => {
    const core = (await face.get('/api')).json
    assert.deepEqual([core.kind, core.versions], ['APIVersions', ['v1']])
    const { kind, groups } = (await face.get('/apis')).json
    assert.equal(kind, 'APIGroupList')
    assert.deepEqual(
      groups.find(({ name }: { name: string }) => name === 'apps'),
      {
        name: 'apps',
        versions: [{ groupVersion: 'apps/v1', version: 'v1' }],
        preferredVersion: { groupVersion: 'apps/v1', version: 'v1' },
      },
    )
    assert(groups.every(({ name }: { name: string }) => name !== ''))
    const gateway = (await face.get('/apis/gateway.networking.k8s.io')).json
    assert.deepEqual(
      [
        gateway.kind,
        gateway.versions.map(({ version }: { version: string }) => version),
        gateway.preferredVersion.version,
      ],
      ['APIGroup', ['v1', 'v1beta1'], 'v1'],
    )
  })

  it('lists the resources of a group and version with what clients go by', async () => {
    const pods = await line('/api/v1', 'pods')
    assert.deepEqual(pods, {
      name: 'pods',
      singularName: 'pod',
      namespaced: true,
      kind: 'Pod',
      shortNames: ['po'],
      categories: ['all'],
      storageVersionHash: pods!.storageVersionHash,
      verbs: ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'],
    })
    // As Kubernetes' own servers have it for the same group, version and kind.
    assert.equal(pods.storageVersionHash, 'xPOwRZ+Yhw8=')
    assert.equal((await line('/api/v1', 'nodes'))!.namespaced, false)
    assert.deepEqual((await line('/apis/apps/v1', 'deployments'))!.shortNames, ['deploy'])
  })

  it('lists subresources behind their resource; what opens a connection is got or created', async () => {
    assert.deepEqual(await line('/api/v1', 'pods/exec'), {
      name: 'pods/exec',
      singularName: '',
      namespaced: true,
      kind: 'PodExecOptions',
      verbs: ['create', 'get'],
    })
    assert.deepEqual((await line('/api/v1', 'pods/log'))!.verbs, ['get'])
    const names = ((await face.get('/api/v1')).json as { resources: Line[] }).resources.map(({ name }) => name)
    assert.deepEqual(
      names,
      [...names].sort((a, b) =>
        a.split('/')[0]! < b.split('/')[0]! ? -1 : a.split('/')[0]! > b.split('/')[0]! ? 1 : a < b ? -1 : 1,
      ),
    )
  })

  for (const path of [
    '/apis/nobody.example.com',
    '/apis/nobody.example.com/v1',
    '/apis/apps/v7',
    '/api/v2',
    '/apis/apps/v1/nothing',
    '/apis//',
    '/nothing',
  ]) {
    it(`has nothing at ${path}`, async () => {
      const { status, json } = await face.get(path)
      assert.deepEqual([status, json.kind, json.reason, json.code], [404, 'Status', 'NotFound', 404])
    })
  }

  it('takes a slash at the end, and no method but GET and HEAD', async () => {
    assert.equal((await face.get('/apis/')).json.kind, 'APIGroupList')
    assert.equal((await face.get('/api/v1/')).json.kind, 'APIResourceList')
    assert.equal((await face.send('HEAD', '/apis')).status, 200)
    assert.equal((await face.send('POST', '/apis', { body: {} })).status, 405)
  })

  it('lists every path at the root', async () => {
    const { paths } = (await face.get('/')).json as { paths: string[] }
    for (const path of [
      '/api',
      '/api/v1',
      '/apis',
      '/apis/apps',
      '/apis/apps/v1',
      '/openapi/v2',
      '/openapi/v3',
      '/version',
    ])
      assert(paths.includes(path), path)
  })

  describe('aggregated', () => {
    for (const [accept, version] of [
      [AGGREGATED, 'v2'],
      [AGGREGATED_BETA, 'v2beta1'],
      [`${AGGREGATED},${AGGREGATED_BETA},application/json`, 'v2'],
    ] as const) {
      it(`answers ${accept}`, async () => {
        const { headers, json } = await face.get('/apis', { headers: { Accept: accept } })
        assert.equal(
          headers['content-type'],
          `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`,
        )
        assert.deepEqual([json.kind, json.apiVersion], ['APIGroupDiscoveryList', `apidiscovery.k8s.io/${version}`])
        const [{ freshness, resources }] = json.items.find(
          ({ metadata }: { metadata: { name: string } }) => metadata.name === 'apps',
        ).versions
        assert.equal(freshness, 'Current')
        const deployments = resources.find(({ resource }: { resource: string }) => resource === 'deployments')
        assert.deepEqual(
          [deployments.responseKind, deployments.scope, deployments.singularResource],
          [{ group: 'apps', version: 'v1', kind: 'Deployment' }, 'Namespaced', 'deployment'],
        )
      })
    }

    it('has the core group below /api alone, with subresources', async () => {
      const { json } = await face.get('/api', { headers: { Accept: AGGREGATED } })
      const [{ metadata, versions }, ...more] = json.items
      assert.deepEqual([metadata.name, more, versions[0].version], [undefined, [], 'v1'])
      const pods = versions[0].resources.find(({ resource }: { resource: string }) => resource === 'pods')
      assert.deepEqual(
        pods.subresources.find(({ subresource }: { subresource: string }) => subresource === 'exec'),
        {
          subresource: 'exec',
          responseKind: { group: '', version: 'v1', kind: 'PodExecOptions' },
          verbs: ['create', 'get'],
        },
      )
    })

    it('is not sent again to who has it', async () => {
      const { headers } = await face.get('/apis', { headers: { Accept: AGGREGATED } })
      assert.equal(headers.vary?.includes('Accept'), true)
      const again = await face.get('/apis', { headers: { Accept: AGGREGATED, 'If-None-Match': headers.etag! } })
      assert.deepEqual([again.status, again.body.length, again.headers.etag], [304, 0, headers.etag])
      assert.equal(
        (await face.get('/apis', { headers: { Accept: AGGREGATED, 'If-None-Match': '"other"' } })).status,
        200,
      )
    })

    it('is for those who ask for it before anything plainer', () => {
      assert.equal(wantedAggregation('application/json, */*'), undefined)
      assert.equal(wantedAggregation(`application/json,${AGGREGATED}`), undefined)
      assert.equal(
        wantedAggregation('application/json;g=apidiscovery.k8s.io;v=v9;as=APIGroupDiscoveryList,application/json'),
        undefined,
      )
      assert.equal(wantedAggregation(`application/json; as=APIGroupDiscoveryList; v=v2; g=apidiscovery.k8s.io`), 'v2')
      assert.equal(wantedAggregation(''), undefined)
    })
  })

  it('follows the catalog: versions in their order, groups of others by name', () => {
    const catalog = new Catalog([])
    const before = catalog.revision
    const custom = (group: string, version: string): ServedResource => ({
      group,
      version,
      plural: 'crons',
      singular: 'cron',
      kind: 'Cron',
      listKind: 'CronList',
      namespaced: true,
      shortNames: [],
      categories: ['all'],
      verbs: ['get'],
    })
    catalog.setCustom(
      [
        custom('z.example.com', 'v1beta1'),
        custom('z.example.com', 'v1'),
        custom('z.example.com', 'v2alpha1'),
        custom('a.example.com', 'v1'),
      ],
      [],
    )
    assert.notEqual(catalog.revision, before)
    const groups = groupsOf(catalog)
    assert.deepEqual(
      groups.at(-1)!.versions.map(({ groupVersion }) => groupVersion),
      ['z.example.com/v1', 'z.example.com/v1beta1', 'z.example.com/v2alpha1'],
    )
    assert.deepEqual(
      groups.slice(-2).map(({ name }) => name),
      ['a.example.com', 'z.example.com'],
    )
    assert.equal(groups[0]!.name, '')
    catalog.setCustom([], [])
    assert(groupsOf(catalog).every(({ name }) => !name.endsWith('example.com')))
  })
})
