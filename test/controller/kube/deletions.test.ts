import assert from 'node:assert/strict'
import { encode } from '../../../proto/codec/wire.ts'
import { envelopeHead } from '../../../controller/kube/envelope.ts'
import { TestApiServer, type Reply, type Sent } from './test-api-server.ts'

const CONFIGS = '/api/v1/namespaces/default/configmaps'
const PODS = '/api/v1/namespaces/default/pods'

describe('Kubernetes face: deletions and placement', () => {
  let face: TestApiServer
  before(async () => {
    face = await TestApiServer.start()
  })
  after(() => face.stop())

  const make = (name: string, metadata: object = {}) =>
    face.send('POST', CONFIGS, { body: { metadata: { name, ...metadata } } })
  const makePod = async (name: string, node?: string): Promise<Reply> => {
    const made = await face.send('POST', PODS, {
      body: { metadata: { name }, spec: { containers: [{ name: 'main', image: 'busybox' }] } },
    })
    if (node !== undefined)
      await face.send('POST', `${PODS}/${name}/binding`, {
        body: { metadata: { name }, target: { kind: 'Node', name: node } },
      })
    return made
  }
  const remove = (path: string, sent?: Sent) => face.send('DELETE', path, sent)

  const names = ({ json }: Reply): string[] => json.items.map((item: any) => item.metadata.name)

  it('says Success of what is gone, and shows what is still there', async () => {
    const { json: made } = await make('plain')
    const { status, json } = await remove(`${CONFIGS}/plain`)
    assert.deepEqual(
      [status, json],
      [
        200,
        {
          kind: 'Status',
          apiVersion: 'v1',
          metadata: {},
          status: 'Success',
          details: { name: 'plain', kind: 'configmaps', uid: made.metadata.uid },
        },
      ],
    )
    assert.deepEqual([(await remove(`${CONFIGS}/plain`)).status], [404])

    await make('held', { finalizers: ['example.com/hold'] })
    const held = await remove(`${CONFIGS}/held`)
    assert.deepEqual([held.status, held.json.kind, held.json.metadata.name], [200, 'ConfigMap', 'held'])
    assert.ok(held.json.metadata.deletionTimestamp)
    await face.send('PATCH', `${CONFIGS}/held`, {
      type: 'application/merge-patch+json',
      body: { metadata: { finalizers: null } },
    })
    assert.equal((await face.get(`${CONFIGS}/held`)).status, 404)
  })

  it('deletes namespaces by name only, never all of them at once', async () => {
    await face.send('POST', '/api/v1/namespaces', { body: { metadata: { name: 'stays' } } })
    const { status, json } = await remove('/api/v1/namespaces')
    assert.deepEqual([status, json.reason], [405, 'MethodNotAllowed'])
    assert.equal((await face.get('/api/v1/namespaces/stays')).json.status.phase, 'Active')
    const { json: discovered } = await face.get('/api/v1')

    const { verbs } = discovered.resources.find(({ name }: any) => name === 'namespaces')
    assert.deepEqual(verbs, ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch'])
  })

  it('takes options from the body, as JSON or protobuf, or from the query', async () => {
    const packed = encode('DeleteOptions', { gracePeriodSeconds: 7 })
    const cases: readonly (readonly [what: string, query: string, sent: Sent | undefined])[] = [
      ['JSON', '', { body: { kind: 'DeleteOptions', apiVersion: 'v1', gracePeriodSeconds: 7 } }],
      [
        'of the group of the kind',
        '',
        { body: { kind: 'DeleteOptions', apiVersion: 'apps/v1', gracePeriodSeconds: 7 } },
      ],
      [
        'protobuf',
        '',
        {
          body: Buffer.concat([envelopeHead('v1', 'DeleteOptions', packed.length), packed]),
          type: 'application/vnd.kubernetes.protobuf',
        },
      ],
      ['query', '?gracePeriodSeconds=7', undefined],
    ]
    for (const [index, [what, query, sent]] of cases.entries()) {
      await makePod(`grace${index}`, 'n1')
      const { status, json } = await remove(`${PODS}/grace${index}${query}`, sent)
      assert.deepEqual(
        [status, json.kind, json.metadata?.deletionGracePeriodSeconds],
        [200, 'Pod', 7],
        `${what}: ${JSON.stringify(json)}`,
      )
      const now = await remove(`${PODS}/grace${index}?gracePeriodSeconds=0`)
      assert.deepEqual([now.status, now.json.status], [200, 'Success'])
    }
  })

  it('does with dependents what it is told', async () => {
    const cases: readonly (readonly [query: string, status: number, finalizers: readonly string[] | undefined])[] = [
      ['propagationPolicy=Foreground', 202, ['foregroundDeletion']],
      ['propagationPolicy=Orphan', 200, ['orphan']],
      ['orphanDependents=true', 200, ['orphan']],
      ['propagationPolicy=Background', 200, undefined],
      ['orphanDependents=false', 200, undefined],
    ]
    for (const [index, [query, status, finalizers]] of cases.entries()) {
      await make(`owner${index}`)
      const reply = await remove(`${CONFIGS}/owner${index}?${query}`)
      assert.deepEqual([reply.status, reply.json.metadata.finalizers], [status, finalizers], query)
    }
  })

  it('honours preconditions, and deletes nothing on a dry run', async () => {
    const { json: made } = await make('guarded')
    const path = `${CONFIGS}/guarded`
    const cases: readonly (readonly [
      what: string,
      query: string,
      body: object | undefined,
      status: number,
      reason: string | undefined,
    ])[] = [
      ['another uid', '', { preconditions: { uid: 'x' } }, 409, 'Conflict'],
      ['a stale version', '', { preconditions: { resourceVersion: '1' } }, 409, 'Conflict'],
      ['a dry run in the body', '', { dryRun: ['All'] }, 200, undefined],
      ['a dry run in the query', '?dryRun=All', undefined, 200, undefined],
      ['another dry run', '?dryRun=Some', undefined, 422, 'Invalid'],
      ['two words on dependents', '', { orphanDependents: true, propagationPolicy: 'Orphan' }, 422, 'Invalid'],
      ['a policy that there is not', '?propagationPolicy=Sometimes', undefined, 422, 'Invalid'],
      ['a negative grace', '?gracePeriodSeconds=-5', undefined, 422, 'Invalid'],
      ['a grace that is no number', '?gracePeriodSeconds=x', undefined, 400, 'BadRequest'],
    ]
    for (const [what, query, body, status, reason] of cases) {
      const reply = await remove(`${path}${query}`, body === undefined ? undefined : { body })
      assert.deepEqual([reply.status, reply.json.reason], [status, reason], `${what}: ${reply.body.toString()}`)
      assert.equal((await face.get(path)).status, 200, what)
    }
    const { uid, resourceVersion } = made.metadata
    assert.equal((await remove(path, { body: { preconditions: { uid, resourceVersion } } })).status, 200)
    assert.equal((await face.get(path)).status, 404)
  })

  it('deletes what a collection selects', async () => {
    await face.send('POST', '/api/v1/namespaces', { body: { metadata: { name: 'crowd' } } })
    const crowd = '/api/v1/namespaces/crowd/configmaps'
    for (const name of ['a', 'b', 'c', 'd'])
      await face.send('POST', crowd, {
        body: { metadata: { name, labels: { odd: String(name === 'a' || name === 'c') } } },
      })
    const dry = await remove(`${crowd}?dryRun=All`)
    assert.deepEqual(
      [dry.status, names(dry), names(await face.get(crowd))],
      [200, ['a', 'b', 'c', 'd'], ['a', 'b', 'c', 'd']],
    )
    const some = await remove(`${crowd}?labelSelector=odd%3Dtrue`)
    assert.deepEqual(
      [some.json.kind, names(some), names(await face.get(crowd))],
      ['ConfigMapList', ['a', 'c'], ['b', 'd']],
    )
    assert.deepEqual(names(await remove(`${crowd}?limit=1`)), ['b'])
    assert.deepEqual(names(await remove(`${crowd}?fieldSelector=metadata.name%3Dd`)), ['d'])
    assert.deepEqual(names(await face.get(crowd)), [])
    assert.equal((await remove('/api/v1/configmaps')).status, 405)
  })

  it('binds a pod to a node, once', async () => {
    const { json: made } = await makePod('bound')
    const bind = (name: string, node: string | undefined, metadata: object = {}, path = `${PODS}/${name}/binding`) =>
      face.send('POST', path, {
        body: {
          apiVersion: 'v1',
          kind: 'Binding',
          metadata: { name, ...metadata },
          target: { apiVersion: 'v1', kind: 'Node', name: node },
        },
      })
    assert.equal((await bind('bound', 'n1', { uid: 'other' })).status, 409)
    assert.equal((await bind('bound', undefined)).status, 422)
    assert.equal((await bind('nothing', 'n1')).status, 404)
    const done = await bind('bound', 'n1', { uid: made.metadata.uid })
    assert.deepEqual([done.status, done.json.kind, done.json.status, done.json.code], [201, 'Status', 'Success', 201])
    assert.equal((await face.get(`${PODS}/bound`)).json.spec.nodeName, 'n1')
    assert.equal((await bind('bound', 'n2')).status, 409)
    await makePod('bound2')
    assert.equal((await bind('bound2', 'n1', {}, '/api/v1/namespaces/default/bindings')).status, 201)
    assert.equal((await face.get(`${PODS}/bound2`)).json.spec.nodeName, 'n1')
  })

  it('evicts a pod', async () => {
    await makePod('evicted', 'n1')
    const evict = (name: string, more: object = {}) =>
      face.send('POST', `${PODS}/${name}/eviction`, {
        body: { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name, namespace: 'default' }, ...more },
      })
    const dry = await evict('evicted', { deleteOptions: { dryRun: ['All'] } })
    assert.deepEqual(
      [dry.status, (await face.get(`${PODS}/evicted`)).json.metadata.deletionTimestamp],
      [201, undefined],
    )
    const done = await evict('evicted', { deleteOptions: { gracePeriodSeconds: 3 } })
    assert.deepEqual([done.status, done.json.kind, done.json.status], [201, 'Status', 'Success'])
    assert.equal((await face.get(`${PODS}/evicted`)).json.metadata.deletionGracePeriodSeconds, 3)
    assert.equal((await evict('nothing')).status, 404)
    assert.equal(
      (
        await face.send('POST', `${PODS}/evicted/eviction`, {
          body: { apiVersion: 'policy/v1beta1', kind: 'Eviction' },
        })
      ).status,
      400,
    )
  })
})
