import assert from 'node:assert/strict'
import { TestApiServer, type Reply } from './test-api-server.ts'

const CONFIGS = '/api/v1/namespaces/default/configmaps'
const DEPLOYMENTS = '/apis/apps/v1/namespaces/default/deployments'

const JSON_PATCH = 'application/json-patch+json'
const MERGE = 'application/merge-patch+json'
const STRATEGIC = 'application/strategic-merge-patch+json'
const APPLY = 'application/apply-patch+yaml'

describe('Kubernetes face: patches', () => {
  let face: TestApiServer
  before(async () => {
    face = await TestApiServer.start()
  })
  after(() => face.stop())

  const patch = (path: string, type: string, body: unknown): Promise<Reply> => face.send('PATCH', path, { type, body })
  const ownersOf = ({ json }: Reply): string[] =>
    json.metadata.managedFields.map(({ manager, operation, subresource }: any) =>
      [manager, operation, subresource].filter(Boolean).join(' '),
    )
  const deployment = (name: string, more: object = {}) => ({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name },
    spec: {
      selector: { matchLabels: { app: name } },
      template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'main', image: 'busybox' }] } },
      ...more,
    },
  })

  it('takes the four kinds of patch', async () => {
    const path = `${DEPLOYMENTS}/patched`
    await face.send('POST', DEPLOYMENTS, { body: deployment('patched', { replicas: 1 }) })
    const merged = await patch(path, MERGE, { spec: { replicas: 2 } })
    assert.deepEqual([merged.status, merged.json.spec.replicas], [200, 2])
    const operations = await patch(path, JSON_PATCH, [
      { op: 'test', path: '/spec/replicas', value: 2 },
      { op: 'replace', path: '/spec/replicas', value: 3 },
    ])
    assert.deepEqual([operations.status, operations.json.spec.replicas], [200, 3])
    const strategic = await patch(path, STRATEGIC, {
      spec: {
        template: {
          spec: {
            '$setElementOrder/containers': [{ name: 'side' }, { name: 'main' }],
            containers: [{ name: 'side', image: 'busybox:1' }],
          },
        },
      },
    })
    assert.deepEqual(
      strategic.json.spec.template.spec.containers.map((container: { name: string }) => container.name),
      ['side', 'main'],
    )
    const replaced = await patch(path, STRATEGIC, { spec: { strategy: { $retainKeys: ['type'], type: 'Recreate' } } })
    assert.deepEqual([replaced.status, replaced.json.spec.strategy], [200, { type: 'Recreate' }])
    const dry = await patch(`${path}?dryRun=All`, MERGE, { spec: { replicas: 9 } })
    assert.deepEqual([dry.json.spec.replicas, (await face.get(path)).json.spec.replicas], [9, 3])
    const nothing = await patch(path, MERGE, {})
    assert.equal(
      nothing.json.metadata.resourceVersion,
      replaced.json.metadata.resourceVersion,
      'nothing changes, nothing is written',
    )
  })

  it('refuses what does not fit', async () => {
    const path = `${CONFIGS}/refused`
    await face.send('POST', CONFIGS, { body: { metadata: { name: 'refused' }, data: { a: '1' } } })
    const cases: readonly (readonly [
      what: string,
      path: string,
      type: string,
      body: unknown,
      status: number,
      reason: string,
    ])[] = [
      ['what is not there', `${CONFIGS}/nothing`, MERGE, {}, 404, 'NotFound'],
      ['another type', path, 'application/json', {}, 415, 'UnsupportedMediaType'],
      ['a failed test', path, JSON_PATCH, [{ op: 'test', path: '/data/a', value: '2' }], 422, 'Invalid'],
      ['a path that is not there', path, JSON_PATCH, [{ op: 'remove', path: '/data/b' }], 422, 'Invalid'],
      ['an operation that is none', path, JSON_PATCH, [{ op: 'grow', path: '/data/a' }], 422, 'Invalid'],
      ['no list of operations', path, JSON_PATCH, {}, 422, 'Invalid'],
      [
        'too many operations',
        path,
        JSON_PATCH,
        Array.from({ length: 10_001 }, () => ({ op: 'test', path: '/data/a', value: '1' })),
        413,
        'RequestEntityTooLarge',
      ],
      ['a directive that is none', path, STRATEGIC, { data: { $patch: 'erase' } }, 422, 'Invalid'],
      ['no JSON', path, MERGE, '{', 400, 'BadRequest'],
      ['another name', path, MERGE, { metadata: { name: 'other' } }, 422, 'Invalid'],
      ['another kind', path, MERGE, { kind: 'Secret' }, 422, 'Invalid'],
      ['a stale version', path, MERGE, { metadata: { resourceVersion: '1' }, data: { a: '2' } }, 409, 'Conflict'],
      ['another uid', path, MERGE, { metadata: { uid: 'x' }, data: { a: '2' } }, 409, 'Conflict'],
      ['force without apply', `${path}?force=true`, MERGE, {}, 422, 'Invalid'],
      ['a value that is wrong', path, MERGE, { data: { a: 1 } }, 400, 'BadRequest'],
      ['apply without manager', path, APPLY, { apiVersion: 'v1', kind: 'ConfigMap' }, 422, 'Invalid'],
      ['apply without kind', `${path}?fieldManager=m`, APPLY, { apiVersion: 'v1' }, 400, 'BadRequest'],
      [
        'apply of another kind',
        `${path}?fieldManager=m`,
        APPLY,
        { apiVersion: 'v1', kind: 'Secret' },
        400,
        'BadRequest',
      ],
      [
        'apply of another name',
        `${path}?fieldManager=m`,
        APPLY,
        { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'x' } },
        400,
        'BadRequest',
      ],
      [
        'apply with owners',
        `${path}?fieldManager=m`,
        APPLY,
        { apiVersion: 'v1', kind: 'ConfigMap', metadata: { managedFields: [{ manager: 'm', operation: 'Apply' }] } },
        400,
        'BadRequest',
      ],
      [
        'apply to a stale version',
        `${path}?fieldManager=m`,
        APPLY,
        { apiVersion: 'v1', kind: 'ConfigMap', metadata: { resourceVersion: '1' } },
        409,
        'Conflict',
      ],
      [
        'apply of what is gone',
        `${CONFIGS}/gone?fieldManager=m`,
        APPLY,
        { apiVersion: 'v1', kind: 'ConfigMap', metadata: { resourceVersion: '1' } },
        409,
        'Conflict',
      ],
    ]
    for (const [what, at, type, body, status, reason] of cases) {
      const reply = await patch(at, type, body)
      assert.deepEqual([reply.status, reply.json.reason], [status, reason], `${what}: ${reply.body.toString()}`)
    }
    assert.deepEqual((await face.get(path)).json.data, { a: '1' })
    assert.equal((await face.get(`${CONFIGS}/gone`)).status, 404)
  })

  describe('apply', () => {
    const path = `${CONFIGS}/applied`
    const configuration = (data: object) => ({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'applied' },
      data,
    })

    it('creates, changes what it names, and takes away what it names no more', async () => {
      const made = await patch(
        `${path}?fieldManager=one`,
        APPLY,
        'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: applied\ndata:\n  a: "1"\n  b: "1"\n',
      )
      assert.deepEqual([made.status, made.json.data], [201, { a: '1', b: '1' }])
      assert.deepEqual(ownersOf(made), ['one Apply'])
      const again = await patch(`${path}?fieldManager=one`, APPLY, configuration({ a: '1', b: '1' }))
      assert.deepEqual([again.status, again.json.metadata.resourceVersion], [200, made.json.metadata.resourceVersion])
      const less = await patch(`${path}?fieldManager=one`, APPLY, configuration({ a: '2' }))
      assert.deepEqual(less.json.data, { a: '2' })
    })

    it('names whose a field is, and takes it by force', async () => {
      const refused = await patch(`${path}?fieldManager=two`, APPLY, configuration({ a: '3' }))
      assert.deepEqual(
        [refused.status, refused.json.reason, refused.json.details.causes[0].field],
        [409, 'Conflict', '.data.a'],
      )
      assert.match(
        refused.json.message as string,
        /^Apply failed with 1 conflict: \.data\.a is owned by "one"|^Apply failed with 1 conflict/,
      )
      const forced = await patch(`${path}?fieldManager=two&force=true`, APPLY, configuration({ a: '3' }))
      assert.deepEqual([forced.json.data, ownersOf(forced)], [{ a: '3' }, ['two Apply']])
    })

    it('shares a status between those who write it', async () => {
      const at = `${DEPLOYMENTS}/statused`
      await face.send('POST', DEPLOYMENTS, { body: deployment('statused') })
      const missing = await patch(`${DEPLOYMENTS}/nothing/status?fieldManager=m`, APPLY, {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        status: { replicas: 1 },
      })
      assert.equal(missing.status, 404)
      const applied = await patch(`${at}/status?fieldManager=m`, APPLY, {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        spec: { replicas: 7 },
        status: { conditions: [{ type: 'Mine', status: 'True' }] },
      })
      assert.deepEqual(
        [applied.status, applied.json.status.conditions[0].type, applied.json.spec.replicas],
        [200, 'Mine', 1],
      )
      assert.ok(ownersOf(applied).includes('m Apply status'))
      const conflict = await patch(`${at}/status?fieldManager=n`, APPLY, {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        status: { conditions: [{ type: 'Mine', status: 'False' }] },
      })
      assert.equal(conflict.status, 409)
      // A part of the control plane takes it over.
      await face.api.mutate(
        'Deployment',
        'default',
        'statused',
        'status',
        (object) => {
          object.status.conditions![0]!.status = 'False'
        },
        { fieldManager: 'deployment-controller' },
      )
      const after = await face.get(at)
      assert.ok(ownersOf(after).includes('deployment-controller Update status'))
    })
  })

  it('of status writes status alone, and says whose it is', async () => {
    const at = `${DEPLOYMENTS}/halves`
    await face.send('POST', DEPLOYMENTS, { body: deployment('halves', { replicas: 1 }) })
    const { json: before } = await face.get(`${at}/status`)
    assert.equal(before.spec.replicas, 1)
    const put = await face.send('PUT', `${at}/status`, {
      body: { ...before, spec: { ...before.spec, replicas: 9 }, status: { observedGeneration: 1 } },
    })
    assert.deepEqual([put.status, put.json.spec.replicas, put.json.status.observedGeneration], [200, 1, 1])
    assert.ok(ownersOf(put).includes('test Update status'))
    const stale = await face.send('PUT', `${at}/status`, { body: before })
    assert.equal(stale.status, 409)
    const patched = await patch(`${at}/status`, STRATEGIC, { spec: { replicas: 9 }, status: { replicas: 4 } })
    assert.deepEqual([patched.json.spec.replicas, patched.json.status.replicas], [1, 4])
    const main = await patch(at, MERGE, { spec: { replicas: 2 }, status: { replicas: 8 } })
    assert.deepEqual([main.json.spec.replicas, main.json.status.replicas], [2, 4])
    assert.equal(
      (await face.get(`${CONFIGS}/applied/status`)).status,
      404,
      'what has no status has no such subresource',
    )
  })

  describe('scale', () => {
    const at = `${DEPLOYMENTS}/scaled/scale`
    before(() => face.send('POST', DEPLOYMENTS, { body: deployment('scaled', { replicas: 1 }) }))

    it('shows and sets how many there are', async () => {
      await face.api.mutate(
        'Deployment',
        'default',
        'scaled',
        'status',
        (object) => {
          object.status.replicas = 1
        },
        { fieldManager: 'test' },
      )
      const { json } = await face.get(at)
      assert.deepEqual(
        [json.apiVersion, json.kind, json.metadata.name, json.spec, json.status],
        ['autoscaling/v1', 'Scale', 'scaled', { replicas: 1 }, { replicas: 1, selector: 'app=scaled' }],
      )
      const put = await face.send('PUT', at, { body: { ...json, spec: { replicas: 3 } } })
      assert.deepEqual([put.status, put.json.spec.replicas], [200, 3])
      const stale = await face.send('PUT', at, { body: { ...json, spec: { replicas: 4 } } })
      assert.deepEqual([stale.status, stale.json.reason], [409, 'Conflict'])
      for (const [type, body] of [
        [MERGE, { spec: { replicas: 4 } }],
        [STRATEGIC, { spec: { replicas: 5 } }],
        [
          JSON_PATCH,
          [
            { op: 'test', path: '/spec/replicas', value: 5 },
            { op: 'replace', path: '/spec/replicas', value: 6 },
          ],
        ],
      ] as const) {
        const reply = await patch(at, type, body)
        assert.deepEqual([reply.status, reply.json.kind], [200, 'Scale'], reply.body.toString())
      }
      assert.equal((await face.get(`${DEPLOYMENTS}/scaled`)).json.spec.replicas, 6)
      const dry = await patch(`${at}?dryRun=All`, MERGE, { spec: { replicas: 0 } })
      assert.deepEqual([dry.json.spec.replicas, (await face.get(at)).json.spec.replicas], [0, 6])
    })

    it('says who scaled, towards who applies', async () => {
      const scaled = await face.get(`${DEPLOYMENTS}/scaled`)
      assert.ok(ownersOf(scaled).includes('test Update scale'))
      const applied = await patch(`${at}?fieldManager=scaler&force=true`, APPLY, {
        apiVersion: 'autoscaling/v1',
        kind: 'Scale',
        spec: { replicas: 2 },
      })
      assert.deepEqual([applied.status, applied.json.spec.replicas], [200, 2])
      const conflict = await patch(
        `${DEPLOYMENTS}/scaled?fieldManager=other`,
        APPLY,
        deployment('scaled', { replicas: 5 }),
      )
      assert.deepEqual([conflict.status, conflict.json.details.causes[0].field], [409, '.spec.replicas'])
    })

    it('refuses what is no scale', async () => {
      const cases: readonly (readonly [reply: Promise<Reply>, status: number])[] = [
        [face.send('PUT', at, { body: { spec: { replicas: -1 } } }), 422],
        [face.send('PUT', at, { body: { spec: { replicas: 'x' } } }), 400],
        [face.send('PUT', at, { body: deployment('scaled') }), 400],
        [face.send('PUT', at, { body: { metadata: { name: 'other' }, spec: { replicas: 1 } } }), 400],
        [face.send('PUT', `${DEPLOYMENTS}/nothing/scale`, { body: { spec: { replicas: 1 } } }), 404],
        [patch(`${DEPLOYMENTS}/nothing/scale`, MERGE, { spec: { replicas: 1 } }), 404],
        [patch(at, JSON_PATCH, [{ op: 'test', path: '/spec/replicas', value: 99 }]), 422],
        [face.get(`${CONFIGS}/applied/scale`), 404],
        [face.send('DELETE', at), 405],
      ]
      for (const [reply, status] of cases) assert.equal((await reply).status, status, (await reply).body.toString())
    })
  })
})
