import assert from 'node:assert/strict'
import { isDeletion, type EventQuery, type NamedEvent } from '../../../controller/events/contract.ts'
import { Channel } from '../../../proto/base/channel.ts'
import type { Event } from '../../../proto/gen/types.ts'
import { TestApiServer } from './test-api-server.ts'
import { Kubectl } from './kubectl.ts'

const CORE = '/api/v1/namespaces/default/events'
const OTHER = '/apis/events.k8s.io/v1/namespaces/default/events'

/** The stream of news in memory: what was published, and who follows. */
class News {
  readonly told: Event[] = []
  readonly #followers = new Set<Channel<Event>>()

  readonly publish = (event: Event): void => {
    this.told.push(event)
    for (const follower of this.#followers) follower.push(event)
  }

  /** In their latest state; the place is the number of events told. */
  list({ namespace, kind, name }: EventQuery): Promise<{ events: Event[]; after: number }> {
    const latest = new Map(
      this.told.map((event, index) => [
        event.metadata.name,
        { ...event, metadata: { ...event.metadata, resourceVersion: String(index + 1) } },
      ]),
    )
    const events = [...latest.values()]
      .filter((event) => !isDeletion(event))
      .filter(
        ({ metadata, involvedObject }) =>
          (namespace === undefined || metadata.namespace === namespace) &&
          (kind === undefined || involvedObject?.kind === kind) &&
          (name === undefined || involvedObject?.name === name),
      )
    return Promise.resolve({ events, after: this.told.length })
  }

  /** By name, the place where it was put last. */
  readonly #names = new Map<string, { event: Event; revision: number }>()
  available = true

  find(namespace: string, name: string): Promise<NamedEvent> {
    const { event, revision } = this.#names.get(`${namespace}/${name}`) ?? { event: undefined, revision: 0 }
    return Promise.resolve({ event: event === undefined || isDeletion(event) ? undefined : event, revision })
  }

  /** Puts another state before the one that is about to be put, once. */
  interpose: Event | undefined

  async put(event: Event, revision: number): Promise<number | undefined> {
    const { namespace, name } = event.metadata
    const other = this.interpose
    this.interpose = undefined
    if (other !== undefined) await this.put(other, (await this.find(namespace, name)).revision)
    if ((await this.find(namespace, name)).revision !== revision) return undefined
    this.publish(event)
    this.#names.set(`${namespace}/${name}`, {
      event: { ...event, metadata: { ...event.metadata, resourceVersion: '' } },
      revision: this.told.length,
    })
    return this.told.length
  }

  clear(): void {
    this.told.splice(0)
    this.#names.clear()
  }

  async *follow(_query: EventQuery, after: number, signal: AbortSignal): AsyncGenerator<Event, void, undefined> {
    const channel = new Channel<Event>()
    for (const event of this.told.slice(after)) channel.push(event)
    this.#followers.add(channel)
    const end = (): void => channel.close()
    signal.addEventListener('abort', end, { once: true })
    if (signal.aborted) end()
    try {
      yield* channel
    } finally {
      this.#followers.delete(channel)
    }
  }
}

describe('Kubernetes face: events', () => {
  const news = new News()
  let face: TestApiServer
  before(async () => {
    face = await TestApiServer.start({ parts: { events: news, namedEvents: news, publish: news.publish } })
  })
  after(() => face.stop())
  beforeEach(() => news.clear())

  const event = (name: string, about: string, more: object = {}): object => ({
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name, namespace: 'default' },
    involvedObject: { kind: 'Pod', name: about, namespace: 'default', uid: `uid-${about}` },
    type: 'Normal',
    reason: 'Started',
    message: 'it began',
    source: { component: 'test' },
    firstTimestamp: '2026-01-01T00:00:00Z',
    lastTimestamp: '2026-01-01T00:00:00Z',
    count: 1,
    ...more,
  })
  const create = async (...args: Parameters<typeof event>): Promise<void> =>
    assert.equal((await face.send('POST', CORE, { body: event(...args) })).status, 201)
  const names = async (path: string): Promise<string[]> =>
    (await face.get(path)).json.items.map(({ metadata }: { metadata: { name: string } }) => metadata.name)

  it('are told in the words of either group', async () => {
    await create('a', 'web')
    const core = (await face.get(`${CORE}/a`)).json
    assert.deepEqual(
      [core.apiVersion, core.involvedObject.name, core.message, core.source.component],
      ['v1', 'web', 'it began', 'test'],
    )
    const other = (await face.get(`${OTHER}/a`)).json
    assert.deepEqual(
      [
        other.apiVersion,
        other.kind,
        other.regarding.name,
        other.note,
        other.deprecatedSource.component,
        other.deprecatedCount,
      ],
      ['events.k8s.io/v1', 'Event', 'web', 'it began', 'test', 1],
    )
    assert.equal(other.involvedObject, undefined)
    const recorded = await face.send('POST', OTHER, {
      body: {
        metadata: { generateName: 'web.' },
        regarding: { kind: 'Pod', name: 'web', namespace: 'default' },
        note: 'said',
        reason: 'Said',
        type: 'Normal',
        action: 'Saying',
        eventTime: '2026-01-01T00:00:00.000000Z',
        reportingController: 'me',
        reportingInstance: 'me-1',
      },
    })
    assert.equal(recorded.status, 201, recorded.body.toString())
    assert.match(recorded.json.metadata.name as string, /^web\./)
    assert.deepEqual([news.told.at(-1)!.message, news.told.at(-1)!.reportingComponent], ['said', 'me'])
  })

  it('are selected by what they are about', async () => {
    await create('a', 'web')
    await create('b', 'api', { type: 'Warning', reason: 'Failed' })
    const selected: [string, string, string[]][] = [
      [CORE, 'involvedObject.name=web,involvedObject.kind=Pod,involvedObject.uid=uid-web', ['a']],
      [CORE, 'type=Warning', ['b']],
      [CORE, 'reason!=Failed', ['a']],
      [CORE, 'source=test', ['a', 'b']],
      [OTHER, 'regarding.name=api', ['b']],
      ['/api/v1/events', '', ['a', 'b']],
      ['/api/v1/namespaces/other/events', '', []],
    ]
    for (const [path, selector, found] of selected)
      assert.deepEqual(await names(`${path}?fieldSelector=${encodeURIComponent(selector)}`), found, selector)
    assert.equal((await face.get(`${CORE}?fieldSelector=nonsense%3D1`)).status, 400)
  })

  it('are counted up by update and patch, and told anew to who watches', async () => {
    await create('a', 'web')
    const { json: list } = await face.get(CORE)
    const frames = await face.watch(`${CORE}?watch=1&resourceVersion=${list.metadata.resourceVersion}`)
    await create('b', 'web')
    const patched = await face.send('PATCH', `${CORE}/a`, {
      type: 'application/strategic-merge-patch+json',
      body: { count: 2, lastTimestamp: '2026-01-01T00:01:00Z' },
    })
    assert.deepEqual([patched.status, patched.json.count], [200, 2])
    const updated = await face.send('PUT', `${CORE}/b`, { body: event('b', 'web', { count: 3 }) })
    assert.deepEqual([updated.status, updated.json.count], [200, 3])
    assert.deepEqual(await frames.take(3), ['ADDED b', 'MODIFIED a', 'MODIFIED b'])
  })

  it('are made once under a name, until they are deleted', async () => {
    await create('a', 'web')
    const again = await face.send('POST', CORE, { body: event('a', 'web') })
    assert.deepEqual([again.status, again.json.reason], [409, 'AlreadyExists'])
    assert.equal(
      (
        await face.send('POST', `${OTHER}?dryRun=All`, {
          body: { metadata: { name: 'a' }, regarding: { kind: 'Pod', name: 'other', namespace: 'default' } },
        })
      ).status,
      409,
    )
    news.publish({ ...news.told[0]!, metadata: { ...news.told[0]!.metadata, name: 'recorded', uid: 'recorded' } })
    assert.equal(
      (await face.send('POST', CORE, { body: event('recorded', 'web') })).status,
      409,
      'one that a controller has recorded',
    )
    assert.equal(news.told.length, 2)
    assert.equal((await face.send('DELETE', `${CORE}/a`)).status, 200)
    await create('a', 'web')
    news.interpose = { ...news.told[0]!, metadata: { ...news.told[0]!.metadata, name: 'raced' } }
    assert.equal(
      (await face.send('POST', CORE, { body: event('raced', 'web') })).status,
      409,
      'of two at once the later is refused',
    )
  })

  it('are changed by both groups with every field kept, labels and annotations among them', async () => {
    const full = {
      metadata: { name: 'full', namespace: 'default', labels: { a: '1' } },
      regarding: { kind: 'Pod', name: 'web', namespace: 'default', uid: 'u', fieldPath: 'spec.containers{main}' },
      related: { kind: 'Node', name: 'n1' },
      action: 'Starting',
      reason: 'Started',
      note: 'it began',
      type: 'Normal',
      eventTime: '2026-01-01T00:00:00.123456Z',
      reportingController: 'example.com/me',
      reportingInstance: 'me-1',
      series: { count: 2, lastObservedTime: '2026-01-01T00:01:00.000000Z' },
      deprecatedCount: 1,
      deprecatedFirstTimestamp: '2026-01-01T00:00:00Z',
      deprecatedLastTimestamp: '2026-01-01T00:00:00Z',
      deprecatedSource: { component: 'me', host: 'n1' },
    }
    const made = await face.send('POST', OTHER, { body: full })
    assert.equal(made.status, 201, made.body.toString())
    const kept = (json: { metadata: { labels?: object; annotations?: object } }): object => {
      const {
        apiVersion: _apiVersion,
        kind: _kind,
        metadata: { labels, annotations },
        ...fields
      } = json as typeof json & { apiVersion: string; kind: string }
      return {
        ...fields,
        metadata: {
          name: 'full',
          namespace: 'default',
          ...(labels !== undefined && { labels }),
          ...(annotations !== undefined && { annotations }),
        },
      }
    }
    assert.deepEqual(kept(made.json), full)
    const series = { count: 3, lastObservedTime: '2026-01-01T00:02:00.000000Z' }
    const strategic = 'application/strategic-merge-patch+json'
    const patched = await face.send('PATCH', `${OTHER}/full`, {
      type: strategic,
      body: { series, metadata: { annotations: { b: '2' } } },
    })
    assert.deepEqual(
      [patched.status, kept(patched.json)],
      [200, { ...full, series, metadata: { ...full.metadata, annotations: { b: '2' } } }],
    )
    const core = await face.send('PATCH', `${CORE}/full`, {
      type: strategic,
      body: { count: 4, involvedObject: { resourceVersion: '7' } },
    })
    assert.deepEqual(
      [core.status, core.json.count, core.json.involvedObject],
      [200, 4, { ...full.regarding, resourceVersion: '7' }],
    )
    const put = await face.send('PUT', `${OTHER}/full`, { body: { ...full, series, note: 'changed' } })
    assert.deepEqual([put.status, kept(put.json)], [200, { ...full, series, note: 'changed' }])
    assert.equal((await face.get(`${CORE}/full`)).json.message, 'changed')
    news.interpose = { ...news.told.at(-1)!, action: 'Interposed' }
    const raced = await face.send('PATCH', `${CORE}/full`, { type: strategic, body: { count: 5 } })
    assert.deepEqual([raced.json.count, raced.json.action], [5, 'Interposed'], 'from the newest state')
    assert.equal((await face.send('PATCH', `${CORE}/none`, { type: strategic, body: { count: 5 } })).status, 404)
  })

  it('are listed in chunks, of the state that the first was taken from', async () => {
    const PLACE = '/api/v1/namespaces/chunks/events'
    const event = (name: string): object => ({
      metadata: { name, namespace: 'chunks' },
      involvedObject: { kind: 'Pod', name: 'p', namespace: 'chunks' },
      reason: 'R',
      message: 'm',
      type: 'Normal',
    })
    await face.send('POST', '/api/v1/namespaces', { body: { metadata: { name: 'chunks' } } })
    for (const name of ['a', 'b', 'c', 'd', 'e'])
      assert.equal((await face.send('POST', PLACE, { body: event(name) })).status, 201)
    const names = (json: { items: { metadata: { name: string } }[] }): string[] =>
      json.items.map(({ metadata }) => metadata.name)
    const { json: first } = await face.get(`${PLACE}?limit=2`)
    assert.deepEqual([names(first as never), first.metadata.remainingItemCount], [['a', 'b'], 3])
    assert.equal((await face.send('POST', PLACE, { body: event('f') })).status, 201)
    const { json: second } = await face.get(`${PLACE}?limit=2&continue=${first.metadata.continue}`)
    assert.deepEqual(
      [names(second as never), second.metadata.resourceVersion],
      [['c', 'd'], first.metadata.resourceVersion],
    )
    const { json: third } = await face.get(`${PLACE}?limit=2&continue=${second.metadata.continue}`)
    assert.deepEqual([names(third as never), third.metadata.continue], [['e'], undefined])
    assert.equal((await face.get(`${PLACE}?limit=2&continue=nonsense`)).status, 400)
    assert.deepEqual(names((await face.get(PLACE)).json as never), ['a', 'b', 'c', 'd', 'e', 'f'])
  })

  it('wait to be published while NATS is away', async () => {
    news.available = false
    try {
      await create('waits', 'web')
      assert.deepEqual(
        news.told.map(({ metadata }) => metadata.name),
        ['waits'],
      )
    } finally {
      news.available = true
    }
  })

  it('are deleted one by one or as a collection, and who watches is told', async () => {
    for (const name of ['a', 'b', 'c', 'd']) await create(name, name === 'd' ? 'api' : 'web')
    const { json: list } = await face.get(CORE)
    const frames = await face.watch(
      `${CORE}?watch=1&resourceVersion=${list.metadata.resourceVersion}&fieldSelector=involvedObject.name%3Dweb`,
    )
    const told = news.told.length
    assert.equal((await face.send('DELETE', `${CORE}/a?dryRun=All`)).status, 200)
    assert.equal((await face.send('DELETE', `${CORE}/a`, { body: { preconditions: { uid: 'another' } } })).status, 409)
    assert.equal(news.told.length, told)
    const { status, json } = await face.send('DELETE', `${CORE}/a`)
    assert.deepEqual([status, json.kind, json.details.name], [200, 'Status', 'a'])
    assert.equal((await face.get(`${CORE}/a`)).status, 404)
    assert.deepEqual(await names(CORE), ['b', 'c', 'd'])
    const selected = await face.send('DELETE', `${OTHER}?fieldSelector=regarding.name%3Dweb`)
    assert.deepEqual([selected.status, selected.json.kind, selected.json.items.length], [200, 'EventList', 2])
    assert.deepEqual(await names(CORE), ['d'])
    const frame = await frames.next()
    assert.deepEqual(
      [frame?.type, frame?.object.metadata.name, frame?.object.metadata.deletionTimestamp],
      ['DELETED', 'a', undefined],
    )
    assert.deepEqual(await frames.take(2), ['DELETED b', 'DELETED c'])
    await create('a', 'web')
    assert.deepEqual((await names(CORE)).sort(), ['a', 'd'], 'another one of its name')
    frames.close()
  })

  it('are deleted by kubectl, which waits until they are gone', async () => {
    const kubectl = await Kubectl.of(face)
    try {
      for (const name of ['a', 'b', 'c']) await create(name, 'web')
      const said = await kubectl.run(['delete', 'events', '--all'])
      assert.deepEqual(
        [said.code, said.stdout.trim().split('\n').sort()],
        [0, ['event "a" deleted', 'event "b" deleted', 'event "c" deleted']],
        said.stderr,
      )
      assert.match((await kubectl.run(['get', 'events'])).stderr, /^No resources found/)
    } finally {
      await kubectl.stop()
    }
  })

  it('begin a watch with what is there, which ends when it is to', async () => {
    await create('a', 'web')
    const frames = await face.watch(`${CORE}?watch=1&timeoutSeconds=5`)
    assert.deepEqual(await frames.take(1), ['ADDED a'])
    assert.equal(await face.passUntil(frames.next()), undefined)
  })

  it('are about what is in their own namespace, and have names', async () => {
    for (const [about, name, field] of [
      [{ kind: 'Pod', name: 'web', namespace: 'kube-system' }, 'a', 'involvedObject.namespace'],
      [{ kind: 'Node', name: 'n1', namespace: 'default' }, 'No Name', 'metadata.name'],
    ] as const) {
      const { status, json } = await face.send('POST', CORE, { body: event(name, 'web', { involvedObject: about }) })
      assert.deepEqual([status, json.details.causes[0].field], [422, field])
    }
    assert.equal(
      (await face.send('POST', CORE, { body: event('node', 'n1', { involvedObject: { kind: 'Node', name: 'n1' } }) }))
        .status,
      201,
    )
    await create('c', 'web')
    assert.equal(
      (
        await face.send('PUT', `${CORE}/c`, {
          body: event('c', 'web', { involvedObject: { kind: 'Pod', name: 'web', namespace: 'kube-system' } }),
        })
      ).status,
      422,
    )
    assert.deepEqual(
      news.told.map(({ metadata }) => metadata.name),
      ['node', 'c'],
    )
  })

  it('are refused as other objects are, and written by no dry run', async () => {
    assert.equal((await face.get(`${CORE}/none`)).status, 404)
    assert.equal((await face.send('POST', CORE, { body: { ...event('x', 'web'), metadata: {} } })).status, 422)
    assert.equal(
      (await face.send('POST', CORE, { body: { ...event('x', 'web'), metadata: { name: 'x', namespace: 'other' } } }))
        .status,
      400,
    )
    assert.equal((await face.send('DELETE', `${CORE}/none`)).status, 404)
    assert.equal((await face.send('DELETE', '/api/v1/events')).status, 405)
    assert.equal((await face.get(`${CORE}?watch=1&resourceVersion=now`)).status, 400)
    assert.equal((await face.send('POST', `${CORE}?dryRun=All`, { body: event('dry', 'web') })).status, 201)
    assert.deepEqual(news.told, [])
  })

  it('are small: one namespace does not push out what is told of all others, nor fill the memory of who reads', async () => {
    const large = { message: 'x'.repeat(17_000) }
    const refused = await face.send('POST', CORE, { body: event('large', 'web', large) })
    assert.equal(refused.status, 413)
    assert.match(refused.json.message as string, /Event default\/large takes 17\d\d\d bytes, the limit is 16384/)
    await create('a', 'web')
    assert.equal(
      (await face.send('PATCH', `${CORE}/a`, { body: large, type: 'application/merge-patch+json' })).status,
      413,
    )
    news.available = false
    try {
      assert.equal((await face.send('POST', CORE, { body: event('large', 'web', large) })).status, 413)
    } finally {
      news.available = true
    }
    assert.equal(news.told.length, 1)
  })
})
