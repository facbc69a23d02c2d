/** What the news must do as far as events go (controller/events/contract.ts); run for each implementation. */
import assert from 'node:assert/strict'
import { isDeletion, type News } from '../../controller/events/contract.ts'
import { GantryError } from '../../proto/base/errors.ts'
import type { Event } from '../../proto/gen/types.ts'

export interface NewsFixture {
  /** Two controllers' ways to the same log. */
  readonly one: News
  readonly other: News
  /** Resolves when all that was recorded is in the log. */
  published(): Promise<void>
}

const seen = (events: readonly Event[]): string[] =>
  events.map(({ involvedObject, reason, count }) => `${involvedObject?.name} ${reason} ${count}`)

export function newsSuite(make: () => NewsFixture | Promise<NewsFixture>): void {
  let fixture: NewsFixture
  let ending: AbortController

  const record = (news: News, name: string, reason: string, namespace = 'default'): void =>
    news.recorder.record({
      regarding: { kind: 'Pod', metadata: { name, namespace, uid: `uid-${name}` } },
      type: 'Normal',
      reason,
      message: reason,
      component: 'test',
    })

  const event = (name: string, more: Partial<Event> = {}): Event => ({
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name, namespace: 'default', uid: `uid-${name}`, resourceVersion: '' },
    involvedObject: { kind: 'Pod', name: 'web', namespace: 'default' },
    type: 'Normal',
    reason: 'Said',
    message: 'said',
    count: 1,
    ...more,
  })

  beforeEach(async () => {
    fixture = await make()
    ending = new AbortController()
  })

  afterEach(() => ending.abort())

  it('shows each event once, as it is now, wherever it was recorded', async () => {
    const { one, other, published } = fixture
    record(one, 'a', 'Pulled')
    await published()
    record(other, 'b', 'Started', 'team')
    await published()
    record(one, 'a', 'Pulled')
    await published()
    const { signal } = ending
    assert.deepEqual(seen((await other.events.list({}, signal)).events), ['b Started 1', 'a Pulled 2'])
    assert.deepEqual(seen((await other.events.list({ namespace: 'team' }, signal)).events), ['b Started 1'])
    assert.deepEqual(seen((await other.events.list({ kind: 'Pod', name: 'a' }, signal)).events), ['a Pulled 2'])
    assert.deepEqual(seen((await other.events.list({ kind: 'Node' }, signal)).events), [])
    assert.deepEqual(seen((await other.events.list({ type: 'Warning' }, signal)).events), [])
  })

  it('tells what comes behind a place, deletions among it', async () => {
    const { one, other, published } = fixture
    record(one, 'a', 'Pulled')
    await published()
    const { events, after } = await other.events.list({}, ending.signal)
    const following = other.events.follow({}, after, ending.signal)[Symbol.asyncIterator]()
    const next = following.next()
    record(one, 'a', 'Started')
    await published()
    const started = (await next).value as Event
    assert.equal(started.reason, 'Started')
    assert.ok(Number(started.metadata.resourceVersion) > after)
    one.recorder.publish({
      ...events[0]!,
      metadata: { ...events[0]!.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' },
    })
    await published()
    assert.equal(isDeletion((await following.next()).value as Event), true)
    assert.deepEqual(seen((await other.events.list({}, ending.signal)).events), ['a Started 1'])
    ending.abort()
    assert.equal((await following.next()).done, true)
  })

  it('reads what there is and then what comes', async () => {
    const { one, other, published } = fixture
    record(one, 'a', 'Pulled')
    await published()
    const reading = other.events.read({}, true, ending.signal)[Symbol.asyncIterator]()
    assert.deepEqual(seen([(await reading.next()).value as Event]), ['a Pulled 1'])
    const next = reading.next()
    record(one, 'a', 'Started')
    assert.deepEqual(seen([(await next).value as Event]), ['a Started 1'])
  })

  it('does not follow from a place that is not reached yet', async () => {
    await assert.rejects(
      fixture.one.events.follow({}, 1_000, ending.signal)[Symbol.asyncIterator]().next(),
      (thrown: unknown) => GantryError.is(thrown, 'Expired'),
    )
  })

  it('keeps an event under its name for all, and tells the second of two writers that it was late', async () => {
    const { one, other } = fixture
    const { signal } = ending
    assert.deepEqual(await one.named.find('default', 'x', signal), { event: undefined, revision: 0 })
    assert.notEqual(await one.named.put(event('x'), 0, signal), undefined)
    assert.equal(await other.named.put(event('x', { message: 'late' }), 0, signal), undefined)
    const found = await other.named.find('default', 'x', signal)
    assert.equal(found.event?.message, 'said')
    const place = await other.named.put(event('x', { message: 'again' }), found.revision, signal)
    const { events } = await one.events.list({}, signal)
    assert.deepEqual(
      events.map(({ message, metadata }) => [message, Number(metadata.resourceVersion)]),
      [['again', place]],
    )
  })

  it('ends the events of a namespace, and of no other', async () => {
    const { one, other, published } = fixture
    const { signal } = ending
    record(one, 'a', 'Pulled', 'team')
    record(one, 'b', 'Pulled')
    await published()
    await one.named.put(event('x', { metadata: { ...event('x').metadata, namespace: 'team' } }), 0, signal)
    await other.named.endNamespace('team', signal)
    assert.deepEqual(seen((await one.events.list({}, signal)).events), ['b Pulled 1'])
    assert.deepEqual(await one.named.find('team', 'x', signal), { event: undefined, revision: 0 })
  })
}
