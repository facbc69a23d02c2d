import assert from 'node:assert/strict'
import { TestApiServer, type Frame } from './test-api-server.ts'

const CONFIGS = '/api/v1/namespaces/default/configmaps'

describe('Kubernetes face: watches', () => {
  let face: TestApiServer
  beforeEach(async () => {
    face = await TestApiServer.start()
  })
  afterEach(() => face.stop())

  const context = { fieldManager: 'test' }
  const make = (name: string, labels?: Record<string, string>) =>
    face.api.create<'ConfigMap'>(
      { kind: 'ConfigMap', metadata: { name, namespace: 'default', ...(labels !== undefined && { labels }) } },
      context,
    )
  const set = (name: string, value: string, labels?: Record<string, string>) =>
    face.api.mutate(
      'ConfigMap',
      'default',
      name,
      '',
      (config) => {
        config.data = { v: value }
        if (labels !== undefined) config.metadata.labels = labels
      },
      context,
    )
  const remove = (name: string) => face.api.delete('ConfigMap', 'default', name, {}, context)
  const versionOf = async (): Promise<string> => (await face.get(CONFIGS)).json.metadata.resourceVersion as string

  it('tells changes after a revision, whole objects with their versions', async () => {
    await make('a')
    const from = await versionOf()
    await set('a', '1')
    const frames = await face.watch(`${CONFIGS}?watch=true&resourceVersion=${from}`)
    const { type, object } = (await frames.next())!
    assert.deepEqual([type, object.kind, object.apiVersion, object.data.v], ['MODIFIED', 'ConfigMap', 'v1', '1'])
    assert.ok(Number(object.metadata.resourceVersion) > Number(from))
    await make('b')
    await remove('a')
    assert.deepEqual(await frames.take(1), ['ADDED b'])
    const gone = (await frames.next())!
    assert.deepEqual([gone.type, gone.object.data.v], ['DELETED', '1'])
    assert.ok(Number(gone.object.metadata.resourceVersion) > Number(object.metadata.resourceVersion))
    frames.close()
  })

  it('begins with what is there, where no revision is said or 0', async () => {
    await make('a')
    await make('b')
    for (const version of ['', '&resourceVersion=0']) {
      const frames = await face.watch(`${CONFIGS}?watch=1${version}`)
      assert.deepEqual(await frames.take(2), ['ADDED a', 'ADDED b'])
      await set('a', `of ${version}`)
      assert.deepEqual(await frames.take(1), ['MODIFIED a'])
      frames.close()
    }
  })

  it('streams a list and says where it ends', async () => {
    await make('a')
    await make('b')
    const path = `${CONFIGS}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true`
    const frames = await face.watch(path)
    assert.deepEqual(await frames.take(2), ['ADDED a', 'ADDED b'])
    const { type, object } = (await frames.next())!
    assert.deepEqual(
      [type, object.kind, object.metadata],
      [
        'BOOKMARK',
        'ConfigMap',
        { resourceVersion: await versionOf(), annotations: { 'k8s.io/initial-events-end': 'true' } },
      ],
    )
    await set('a', '1')
    assert.deepEqual(await frames.take(1), ['MODIFIED a'])
    frames.close()
    const without = await face.watch(`${CONFIGS}?watch=1&sendInitialEvents=false&resourceVersionMatch=NotOlderThan`)
    await make('c')
    assert.deepEqual(await without.take(1), ['ADDED c'])
    without.close()
  })

  it('says ADDED when an object begins to match and DELETED when it no longer does', async () => {
    await make('a', { on: 'no' })
    const frames = await face.watch(`${CONFIGS}?watch=1&labelSelector=on%3Dyes`)
    await set('a', '2', { on: 'yes' })
    await set('a', '3')
    await set('a', '4', { on: 'no' })
    await set('a', '5')
    await set('a', '6', { on: 'yes' })
    await remove('a')
    const told: Frame[] = []
    for (let count = 0; count < 5; count++) told.push((await frames.next())!)
    assert.deepEqual(
      told.map(({ type, object }) => `${type} ${object.data.v}`),
      ['ADDED 2', 'MODIFIED 3', 'DELETED 3', 'ADDED 6', 'DELETED 6'],
    )
    const versions = told.map(({ object }) => Number(object.metadata.resourceVersion))
    assert.deepEqual(
      versions,
      [...new Set(versions)].sort((one, other) => one - other),
      'each at the revision of its change',
    )
    frames.close()
  })

  it('follows one object by its name', async () => {
    await make('a')
    const frames = await face.watch(`${CONFIGS}?watch=1&fieldSelector=metadata.name%3Da`)
    await make('b')
    await set('a', '1')
    assert.deepEqual(await frames.take(2), ['ADDED a', 'MODIFIED a'])
    frames.close()
  })

  it('tells all of a commit again to who may know a part of it, and nothing twice to who knows it all', async () => {
    const from = await versionOf()
    const [
      {
        metadata: { resourceVersion: commit },
      },
    ] = await Promise.all([make('a'), make('b'), make('c')])
    const again = await face.watch(`${CONFIGS}?watch=1&resourceVersion=${commit}`)
    assert.deepEqual((await again.take(3)).sort(), ['ADDED a', 'ADDED b', 'ADDED c'])
    again.close()
    const {
      metadata: { resourceVersion: single },
    } = await make('d')
    const frames = await face.watch(`${CONFIGS}?watch=1&resourceVersion=${single}`)
    await make('e')
    assert.deepEqual(await frames.take(1), ['ADDED e'])
    frames.close()
    const all = await face.watch(`${CONFIGS}?watch=1&resourceVersion=${from}`)
    assert.deepEqual((await all.take(5)).sort(), ['ADDED a', 'ADDED b', 'ADDED c', 'ADDED d', 'ADDED e'])
    all.close()
  })

  it('sends bookmarks each minute to those who asked, and one at the end of the time', async () => {
    const [asked, other] = [
      await face.watch(`${CONFIGS}?watch=1&allowWatchBookmarks=true&timeoutSeconds=90`),
      await face.watch(`${CONFIGS}?watch=1&timeoutSeconds=90`),
    ]
    await face.api.create<'Secret'>({ kind: 'Secret', metadata: { name: 's', namespace: 'default' } }, context)
    await face.reads.current()
    await face.clock.advance(60_000)
    const { type, object } = (await asked.next())!
    assert.deepEqual(
      [type, object.kind, object.metadata],
      ['BOOKMARK', 'ConfigMap', { resourceVersion: await versionOf() }],
    )
    await face.clock.advance(30_000)
    assert.deepEqual(await asked.take(2), ['BOOKMARK'])
    assert.equal(await other.next(), undefined)
  })

  it('ends by itself after some time, if none is said', async () => {
    const frames = await face.watch(`${CONFIGS}?watch=1`)
    let over = false
    const end = frames.next().then((frame) => {
      over = true
      return frame
    })
    await face.clock.advance(1_799_000)
    assert.equal(over, false)
    await face.clock.advance(1_801_000)
    assert.equal(await end, undefined)
  })

  it('says Expired for a revision that is no longer kept, and waits for one to come', async () => {
    const {
      metadata: { resourceVersion },
    } = await make('a')
    for (let index = 0; index < 2_100; index++) await set('a', String(index))
    const { status, json } = await face.get(`${CONFIGS}?watch=1&resourceVersion=${resourceVersion}`)
    assert.deepEqual([status, json.reason, json.code], [410, 'Expired', 410])
    const future = Number(await versionOf()) + 1
    const waiting = face.watch(`${CONFIGS}?watch=1&resourceVersion=${future}`)
    await make('b')
    await make('c')
    const frames = await waiting
    assert.deepEqual(await frames.take(1), ['ADDED c'])
    frames.close()
    const never = await face.passUntil(face.get(`${CONFIGS}?watch=1&resourceVersion=${future + 1_000}`))
    assert.deepEqual([never.status, never.json.details.causes[0].reason], [504, 'ResourceVersionTooLarge'])
  })

  it('tells who does not read that it is too late, and forgets who goes away', async () => {
    const followers = new Set<unknown>()
    const { informer } = face
    const follow = informer.follow.bind(informer)
    informer.follow = (kind, after, follower) => {
      const end = follow(kind, after, follower)
      followers.add(follower)
      return () => {
        followers.delete(follower)
        end()
      }
    }
    const frames = await face.watch(`${CONFIGS}?watch=1`)
    assert.equal(followers.size, 1)
    frames.close()
    for (let index = 0; followers.size > 0; index++) await make(`c${index}`)

    const slow = await face.open('GET', `${CONFIGS}?watch=1&resourceVersion=0`)
    const [follower] = followers as Set<{ change(change: object): void }>
    const { metadata } = await make('big')
    await face.reads.current()
    const cached = informer.lister('ConfigMap').cached('default', 'big')!
    const large = { ...cached, object: { ...cached.object, data: { v: 'x'.repeat(100_000) } } }
    for (let index = 0; index < 11_000; index++)
      follower!.change({
        type: 'modified',
        cached: large,
        previous: cached,
        revision: Number(metadata.resourceVersion) + index,
      })
    assert.equal(followers.size, 0, 'it is no longer followed')
    let last = ''
    for await (const chunk of slow) last = (last + (chunk as Buffer).toString()).slice(-1_000)
    const error = JSON.parse(last.trimEnd().split('\n').at(-1)!) as Frame
    assert.deepEqual(
      [error.type, error.object.kind, error.object.code, error.object.reason],
      ['ERROR', 'Status', 410, 'Expired'],
    )
  })

  it('ends when the server stops', async () => {
    const frames = await face.watch(`${CONFIGS}?watch=1`)
    const end = frames.next()
    const stopping = face.stop()
    assert.equal(await end.catch(() => undefined), undefined)
    await stopping
    face = await TestApiServer.start()
  })

  it('refuses what contradicts itself', async () => {
    const cases: readonly (readonly [query: string, status: number, message: RegExp])[] = [
      ['resourceVersionMatch=NotOlderThan', 422, /forbidden for watch unless sendInitialEvents is provided/],
      ['sendInitialEvents=true', 422, /requires setting resourceVersionMatch to NotOlderThan/],
      [
        'sendInitialEvents=true&resourceVersionMatch=Exact&resourceVersion=1',
        422,
        /requires setting resourceVersionMatch/,
      ],
      ['resourceVersion=x', 422, /Invalid value: "x"/],
      ['timeoutSeconds=x', 400, /timeoutSeconds/],
      ['labelSelector=%3D', 400, /label selector/],
      ['continue=x', 422, /continue is forbidden for watch/],
    ]
    for (const [query, code, message] of cases) {
      const { status, json } = await face.get(`${CONFIGS}?watch=1&${query}`)
      assert.equal(status, code, query)
      assert.match(json.message as string, message, query)
    }
  })

  it('tells many watchers of one change', async () => {
    await make('a')
    const watchers = await Promise.all(
      Array.from({ length: 50 }, () => face.watch(`${CONFIGS}?watch=1&resourceVersion=0`)),
    )
    const told = watchers.map((frames) => frames.take(2))
    await set('a', '1')
    for (const frames of await Promise.all(told)) assert.deepEqual(frames, ['ADDED a', 'MODIFIED a'])
    for (const frames of watchers) frames.close()
  })
})
