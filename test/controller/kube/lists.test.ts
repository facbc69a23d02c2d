import assert from 'node:assert/strict'
import { TestApiServer } from './test-api-server.ts'

const CONFIGS = '/api/v1/namespaces/default/configmaps'

describe('Kubernetes face: lists and gets', () => {
  let face: TestApiServer
  before(async () => {
    face = await TestApiServer.start()
    for (const name of ['a', 'b', 'c', 'd', 'e']) await make(name)
    await face.send('POST', '/api/v1/namespaces', { body: { metadata: { name: 'team' } } })
    await face.send('POST', '/api/v1/namespaces/team/configmaps', { body: { metadata: { name: 'z' } } })
  })
  after(() => face.stop())

  const make = (name: string, data: object = {}) =>
    face.send('POST', CONFIGS, {
      body: { metadata: { name, labels: { odd: String(['a', 'c', 'e'].includes(name)) } }, data },
    })

  const names = (json: any): string[] => json.items.map((item: any) => item.metadata.name)

  it('shows an object, and says what there is not', async () => {
    const { status, json } = await face.get(`${CONFIGS}/a`)
    assert.equal(status, 200)
    assert.deepEqual([json.apiVersion, json.kind, json.metadata.name], ['v1', 'ConfigMap', 'a'])
    const missing = await face.get(`${CONFIGS}/x`)
    assert.deepEqual(
      [missing.status, missing.json.reason, missing.json.message],
      [404, 'NotFound', 'configmaps "x" not found'],
    )
    const head = await face.send('HEAD', `${CONFIGS}/a`)
    assert.deepEqual([head.status, head.body.length], [200, 0])
    assert.ok(Number(head.headers['content-length']) > 0)
  })

  it('selects by namespace, labels and fields', async () => {
    const cases: readonly (readonly [path: string, names: readonly string[]])[] = [
      ['/api/v1/configmaps', ['a', 'b', 'c', 'd', 'e', 'z']],
      [CONFIGS, ['a', 'b', 'c', 'd', 'e']],
      ['/api/v1/namespaces/nowhere/configmaps', []],
      [`${CONFIGS}?labelSelector=odd%3Dtrue`, ['a', 'c', 'e']],
      [`${CONFIGS}?labelSelector=odd%20in%20(true)&fieldSelector=metadata.name!%3Da`, ['c', 'e']],
      [`${CONFIGS}?fieldSelector=metadata.name%3Db`, ['b']],
      [`${CONFIGS}?fieldSelector=metadata.name%3Db&labelSelector=odd%3Dtrue`, []],
      ['/api/v1/configmaps?fieldSelector=metadata.name%3Dz', ['z']],
      ['/api/v1/configmaps?fieldSelector=metadata.namespace%3Dteam', ['z']],
    ]
    for (const [path, expected] of cases) {
      const { status, json } = await face.get(path)
      assert.deepEqual([status, json.kind, names(json)], [200, 'ConfigMapList', expected], path)
    }
  })

  it('finds the pods of a node by its index', async () => {
    for (const [name, nodeName] of [
      ['p1', 'n1'],
      ['p2', 'n2'],
      ['p3', undefined],
    ]) {
      await face.send('POST', '/api/v1/namespaces/default/pods', {
        body: { metadata: { name }, spec: { nodeName, containers: [{ name: 'main', image: 'busybox' }] } },
      })
    }
    assert.deepEqual(names((await face.get('/api/v1/pods?fieldSelector=spec.nodeName%3Dn1')).json), ['p1'])
    assert.deepEqual(names((await face.get('/api/v1/pods?fieldSelector=spec.nodeName%3D')).json), ['p3'])
    assert.deepEqual(names((await face.get('/api/v1/namespaces/team/pods?fieldSelector=spec.nodeName%3Dn1')).json), [])
    assert.deepEqual(names((await face.get('/api/v1/pods?fieldSelector=spec.nodeName!%3Dn1')).json), ['p2', 'p3'])
  })

  it('cuts pages out of one state, and says how many are left where it is known', async () => {
    const first = (await face.get(`${CONFIGS}?limit=2`)).json
    assert.equal(first.metadata.remainingItemCount, 3)
    await face.send('DELETE', `${CONFIGS}/c`)
    const second = (await face.get(`${CONFIGS}?limit=2&continue=${first.metadata.continue}`)).json
    const last = (await face.get(`${CONFIGS}?limit=2&continue=${second.metadata.continue}`)).json
    assert.deepEqual([first, second, last].flatMap(names), ['a', 'b', 'c', 'd', 'e'])
    assert.equal(new Set([first, second, last].map(({ metadata }) => metadata.resourceVersion)).size, 1)
    assert.deepEqual(Object.keys(last.metadata), ['resourceVersion'])
    await make('c')
    const selected = (await face.get(`${CONFIGS}?limit=1&labelSelector=odd%3Dtrue`)).json
    assert.ok(selected.metadata.continue)
    assert.equal(selected.metadata.remainingItemCount, undefined)
    const whole = (await face.get(`${CONFIGS}?limit=1000`)).json
    assert.equal(whole.metadata.continue, undefined)
  })

  it('lists everything where no limit is said', async () => {
    const many = await TestApiServer.start()
    try {
      await Promise.all(
        Array.from({ length: 600 }, (_, index) =>
          many.api.create<'ConfigMap'>(
            { kind: 'ConfigMap', metadata: { name: `c${index}`, namespace: 'default' } },
            { fieldManager: 'test' },
          ),
        ),
      )
      assert.equal((await many.get(CONFIGS)).json.items.length, 600)
      assert.equal((await many.get(`${CONFIGS}?limit=550`)).json.items.length, 550)
    } finally {
      await many.stop()
    }
  })

  it('shows the state that is asked for', async () => {
    const then = (await face.get(CONFIGS)).json.metadata.resourceVersion as string
    await face.send('DELETE', `${CONFIGS}/a`)
    await make('f', { v: '1' })
    await face.send('PATCH', `${CONFIGS}/b`, { type: 'application/merge-patch+json', body: { data: { v: '2' } } })
    const exact = (await face.get(`${CONFIGS}?resourceVersion=${then}&resourceVersionMatch=Exact`)).json
    assert.deepEqual(names(exact), ['a', 'b', 'c', 'd', 'e'])
    assert.equal(exact.metadata.resourceVersion, then)
    assert.equal(exact.items[1].data, undefined)
    assert.deepEqual(
      names((await face.get(`${CONFIGS}?resourceVersion=${then}&limit=3`)).json),
      ['a', 'b', 'c'],
      'with a limit it is exact, too',
    )
    const now = ['b', 'c', 'd', 'e', 'f']
    assert.deepEqual(names((await face.get(`${CONFIGS}?resourceVersion=${then}`)).json), now)
    assert.deepEqual(
      names((await face.get(`${CONFIGS}?resourceVersion=${then}&resourceVersionMatch=NotOlderThan`)).json),
      now,
    )
    assert.deepEqual(names((await face.get(`${CONFIGS}?resourceVersion=0`)).json), now)
    assert.equal((await face.get(`${CONFIGS}/b?resourceVersion=${then}`)).json.data.v, '2')
    await make('a')
  })

  it('shows a state and continues a list as long as the store keeps it, then says Expired, and where the rest is', async () => {
    const all = names((await face.get(CONFIGS)).json)
    const {
      metadata: { resourceVersion: version, continue: token },
    } = (await face.get(`${CONFIGS}?limit=2`)).json
    for (let index = 0; index < 2_100; index++) {
      // more than the cache remembers
      await face.api.mutate(
        'ConfigMap',
        'default',
        'b',
        '',
        (config) => {
          config.data = { v: String(index) }
        },
        { fieldManager: 'test' },
      )
    }
    await make('new')
    await face.clock.advance(301_000)
    const then = (await face.get(`${CONFIGS}?resourceVersion=${version}&resourceVersionMatch=Exact`)).json
    assert.deepEqual([names(then), then.metadata.resourceVersion], [all, version])
    const rest = (await face.get(`${CONFIGS}?continue=${token}`)).json
    assert.deepEqual([names(rest), rest.metadata.resourceVersion], [all.slice(2), version])

    await face.clock.advance(301_000)
    face.store.compact(await face.store.revision())
    const gone = await face.get(`${CONFIGS}?resourceVersion=${version}&resourceVersionMatch=Exact`)
    assert.deepEqual([gone.status, gone.json.reason, gone.json.metadata], [410, 'Expired', {}])
    const late = await face.get(`${CONFIGS}?limit=1&continue=${token}`)
    assert.deepEqual([late.status, late.json.reason], [410, 'Expired'])
    const now = (await face.get(`${CONFIGS}?limit=1&continue=${late.json.metadata.continue}`)).json
    const last = (await face.get(`${CONFIGS}?continue=${now.metadata.continue}`)).json
    assert.deepEqual([now, last].flatMap(names), [...all.slice(2), 'new'])
    assert.ok(Number(now.metadata.resourceVersion) > Number(version))
    assert.equal(last.metadata.resourceVersion, now.metadata.resourceVersion)
    await face.send('DELETE', `${CONFIGS}/new`)
  })

  it('waits for a state of the future, then says that it is too new', async () => {
    const {
      metadata: { resourceVersion },
    } = (await face.get(CONFIGS)).json
    const future = Number(resourceVersion) + 1
    const waiting = face.get(`${CONFIGS}?resourceVersion=${future}`)
    await make('g')
    assert.ok(names((await waiting).json).includes('g'))
    const { status, json, headers } = await face.passUntil(face.get(`${CONFIGS}/b?resourceVersion=${future + 1_000}`))
    assert.deepEqual(
      [status, json.reason, headers['retry-after'], json.details.causes[0].reason],
      [504, 'Timeout', '1', 'ResourceVersionTooLarge'],
    )
    assert.match(json.message as string, /^Too large resource version: \d+, current: \d+$/)
  })

  it('refuses what it cannot read or what contradicts itself', async () => {
    const cases: readonly (readonly [query: string, status: number, message: RegExp])[] = [
      ['limit=-1', 422, /limit: Invalid value: "-1"/],
      ['limit=x', 400, /limit is "x"/],
      ['labelSelector=a%20in%20(', 400, /label selector/],
      ['fieldSelector=spec.foo%3D1', 400, /ConfigMap has no field spec.foo/],
      ['continue=x', 400, /continue token is malformed/],
      ['continue=x&resourceVersion=5', 400, /not allowed when using continue/],
      ['continue=x&resourceVersionMatch=Exact', 422, /forbidden when continue is provided/],
      ['resourceVersionMatch=Exact', 422, /forbidden unless resourceVersion is provided/],
      ['resourceVersion=0&resourceVersionMatch=Exact', 422, /"exact" is forbidden for resourceVersion "0"/],
      ['resourceVersion=1&resourceVersionMatch=Newest', 422, /Unsupported value: "Newest"/],
      ['resourceVersion=x', 422, /resourceVersion: Invalid value: "x"/],
      ['sendInitialEvents=true', 422, /sendInitialEvents is forbidden for list/],
    ]
    for (const [query, code, message] of cases) {
      const { status, json } = await face.get(`${CONFIGS}?${query}`)
      assert.equal(status, code, query)
      assert.equal(json.code, code, query)
      assert.match(json.message as string, message, query)
    }
    const first = (await face.get(`${CONFIGS}?limit=1`)).json
    const other = await face.get(`/api/v1/configmaps?continue=${first.metadata.continue}`)
    assert.deepEqual([other.status, other.json.reason], [400, 'BadRequest'])
    const [revision, ...place] = Buffer.from(first.metadata.continue as string, 'base64url')
      .toString()
      .split(' ')
    const future = Buffer.from([Number(revision) + 1_000, ...place].join(' ')).toString('base64url')
    const early = await face.get(`${CONFIGS}?continue=${future}`)
    assert.deepEqual([early.status, early.json.reason], [410, 'Expired'], 'of a store that was put back')
  })
})
