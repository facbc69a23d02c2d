import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ChangePublisher, type ChangeNotice } from '../../controller/events/change-publisher.ts'
import { NatsClient } from '../../controller/events/nats-client.ts'
import { NatsNews } from '../../controller/events/nats-news.ts'
import { NamedEvents } from '../../controller/events/named-events.ts'
import { isDeletion } from '../../controller/events/contract.ts'
import { EventReader } from '../../controller/events/reader.ts'
import { EventRecorder } from '../../controller/events/recorder.ts'
import { StoreInformer } from '../../controller/informer/informer.ts'
import type { Precondition } from '../../controller/store/contract.ts'
import { objectKey } from '../../controller/store/keys.ts'
import { MemoryStore } from '../../controller/store/memory.ts'
import { EmbeddedNats } from '../../controller/supervise/nats.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { encodeResource } from '../../proto/codec/wire.ts'
import { systemClock, type Clock } from '../../proto/base/clock.ts'
import { silentLogger } from '../../proto/base/logger.ts'
import { systemRandom } from '../../proto/base/random.ts'
import { RunGroup } from '../../proto/base/run-group.ts'
import type { Event } from '../../proto/gen/types.ts'
import { freePort } from './free-port.ts'
import { newsSuite } from '../contract/news.ts'
import { until } from '../eventually.ts'

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

const parts = { clock: systemClock, random: systemRandom, logger: silentLogger }

describe('events on NATS', function () {
  this.timeout(60_000)
  let dir: string
  let server: RunGroup
  let group: RunGroup
  let nats: EmbeddedNats
  let connection: NatsClient
  /** How much faster the time passes that the connection waits for. */
  let haste: number
  let recorder: EventRecorder
  let reader: EventReader

  async function startServer(port: number): Promise<void> {
    server = new RunGroup()
    nats = await EmbeddedNats.prepare({ ...parts, dataDir: dir, port })
    server.add((signal) => nats.run(signal))
  }

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'gantry-events-'))
    const port = await freePort()
    await startServer(port)
    await nats.ready()
    haste = 1
    const clock: Clock = { ...systemClock, after: (millis, call) => systemClock.after(millis / haste, call) }
    connection = new NatsClient({ ...parts, clock, servers: [nats.address], token: nats.token, name: 'test' })
    recorder = new EventRecorder({ ...parts, connection })
    reader = new EventReader({ ...parts, connection })
    group = new RunGroup()
    group.add((signal) => connection.run(signal))
    group.add((signal) => recorder.run(signal))
  })

  afterEach(async () => {
    group.stop()
    await group.wait()
    server.stop()
    await server.wait()
    await rm(dir, { recursive: true, force: true })
  })

  function record(
    name: string,
    reason: string,
    message = reason,
    type: 'Normal' | 'Warning' = 'Normal',
    namespace = 'default',
  ): void {
    recorder.record({
      regarding: { kind: 'Pod', metadata: { name, namespace, uid: `uid-${name}` } },
      type,
      reason,
      message,
      component: 'test',
    })
  }

  const seen = (events: Event[]): string[] =>
    events.map(({ involvedObject, reason, count }) => `${involvedObject?.name} ${reason} ${count}`)
  const signal = (): AbortSignal => group.signal

  describe('as any news', () => {
    newsSuite(() => {
      const [one, other] = [1, 2].map((number) => {
        const options = { ...parts, servers: [nats.address], token: nats.token, name: `c${number}`, copies: 1 }
        const news = new NatsNews(options)
        group.add((signal) => news.during(() => aborted(signal)))
        return news
      }) as [NatsNews, NatsNews]
      return {
        one,
        other,
        async published() {
          for (const news of [one, other]) assert.equal(await news.recorder.flush(10_000), true)
        },
      }
    })
  })

  it('publishes the others though one is too large for NATS', async () => {
    record('web', 'Large', 'x'.repeat(2 << 20))
    record('web', 'Pulled')
    assert.equal(await recorder.flush(10_000), true)
    assert.deepEqual(seen(await reader.find({}, signal())), ['web Pulled 1'])
    assert.equal(recorder.dropped, 1)
  })

  it('publishes one about an object of a very long name, and the others after it', async () => {
    const long = 'x'.repeat(100_000)
    record(long, 'Strange')
    record('web', 'Started')
    assert.equal(await recorder.flush(10_000), true)
    const { events } = await reader.list({ name: long }, signal())
    assert.deepEqual(seen(events), [`${long} Strange 1`])
    assert.deepEqual(seen((await reader.list({ name: 'web' }, signal())).events), ['web Started 1'])
  })

  it('finds what was recorded, oldest first, each event once with its count', async () => {
    record('a.b', 'Pulled')
    record('web', 'Scheduled')
    record('a.b', 'BackOff', 'again', 'Warning')
    record('a.b', 'Pulled')
    assert.equal(await recorder.flush(10_000), true)
    record('a.b', 'BackOff', 'again', 'Warning')
    record('other', 'Pulled', 'x', 'Normal', 'team')
    assert.equal(await recorder.flush(10_000), true)

    assert.deepEqual(seen(await reader.find({}, signal())), [
      'a.b Pulled 2',
      'web Scheduled 1',
      'a.b BackOff 2',
      'other Pulled 1',
    ])
    assert.deepEqual(seen(await reader.find({ name: 'a.b', kind: 'Pod', namespace: 'default' }, signal())), [
      'a.b Pulled 2',
      'a.b BackOff 2',
    ])
    assert.deepEqual(seen(await reader.find({ namespace: 'team' }, signal())), ['other Pulled 1'])
    assert.deepEqual(seen(await reader.find({ type: 'Warning' }, signal())), ['a.b BackOff 2'])
    assert.deepEqual(seen(await reader.find({ since: systemClock.now() + 5_000 }, signal())), [])
    assert.deepEqual(seen(await reader.find({ kind: 'Node' }, signal())), [])
  })

  it('shows an event as it was changed last, within one count too, and no more once it is deleted', async () => {
    record('web', 'Pulled')
    record('web', 'Started')
    assert.equal(await recorder.flush(10_000), true)
    const {
      events: [pulled, started],
      after,
    } = await reader.list({}, signal())
    const following = reader.follow({}, after, signal())
    recorder.publish({ ...pulled!, message: 'changed' })
    assert.equal(await recorder.flush(10_000), true)
    assert.deepEqual(
      (await reader.find({}, signal())).map(({ message }) => message),
      ['Started', 'changed'],
    )
    recorder.publish({ ...started!, metadata: { ...started!.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } })
    assert.equal(await recorder.flush(10_000), true)
    assert.deepEqual(
      (await reader.find({}, signal())).map(({ message }) => message),
      ['changed'],
    )
    const told: string[] = []
    for await (const event of following) if (told.push(`${event.reason} ${isDeletion(event)}`) === 2) break
    assert.deepEqual(told, ['Pulled false', 'Started true'])
  })

  describe('by name, at three controllers', () => {
    const named: NamedEvents[] = []
    beforeEach(() => {
      named.splice(0)
      for (const name of ['one', 'two', 'three']) {
        const own = new NatsClient({ ...parts, servers: [nats.address], token: nats.token, name })
        group.add((stop) => own.run(stop))
        named.push(
          new NamedEvents({
            connection: own,
            reader: new EventReader({ ...parts, connection: own }),
            clock: systemClock,
          }),
        )
      }
    })

    const event = (name: string, namespace = 'default', more: Partial<Event> = {}): Event =>
      ({
        apiVersion: 'v1',
        kind: 'Event',
        metadata: { name, namespace, uid: `uid-${name}`, resourceVersion: '' },
        involvedObject: { kind: 'Pod', name: 'web', namespace },
        reason: 'Said',
        count: 1,
        ...more,
      }) as unknown as Event

    it('is found by each as soon as one has written it, and counted up by another', async () => {
      const [one, two, three] = named as [NamedEvents, NamedEvents, NamedEvents]
      for (let index = 0; index < 20; index++) {
        const name = `e${index}`
        assert.ok(await one.put(event(name), 0, signal()))
        const { event: found, revision } = await two.find('default', name, signal())
        assert.equal(found?.count, 1)
        const place = await two.put({ ...found, count: 2 }, revision, signal())
        assert.equal((await three.find('default', name, signal())).event?.count, 2)
        const listed = (await reader.find({ name: 'web' }, signal())).filter(({ metadata }) => metadata.name === name)
        assert.deepEqual(
          listed.map(({ count, metadata }) => [count, metadata.resourceVersion]),
          [[2, String(place)]],
        )
      }
      assert.deepEqual(await three.find('default', 'none', signal()), { event: undefined, revision: 0 })
    })

    it('is made by one of those who make it at once', async () => {
      const places = await Promise.all(
        named.map((one, index) => one.put(event('same', 'default', { message: `by ${index}` }), 0, signal())),
      )
      assert.equal(places.filter((place) => place !== undefined).length, 1)
      const winner = places.findIndex((place) => place !== undefined)
      for (const one of named)
        assert.equal((await one.find('default', 'same', signal())).event?.message, `by ${winner}`)
      assert.equal((await reader.find({}, signal())).length, 1)
      const { event: made, revision } = await named[0]!.find('default', 'same', signal())
      await named[1]!.put(
        { ...made!, metadata: { ...made!.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } },
        revision,
        signal(),
      )
      const ended = await named[2]!.find('default', 'same', signal())
      assert.equal(ended.event, undefined)
      assert.ok(await named[2]!.put(event('same'), ended.revision, signal()), 'another of its name')
    })

    it('is one of the newest that a look back has room for, whoever fills the stream', async () => {
      for (let index = 0; index < 20; index++)
        assert.ok(await named[0]!.put(event(`e${index}`, 'default', { message: 'x'.repeat(1_000_000) }), 0, signal()))
      const { events, after } = await reader.list({}, signal())
      assert.deepEqual([events.length, events.at(-1)?.metadata.name, after], [16, 'e19', 20])
    })

    it('goes with its namespace, as what controllers recorded there, and who follows is told', async () => {
      const [one, two] = named as [NamedEvents, NamedEvents]
      await one.put(event('kept'), 0, signal())
      await one.put(event('gone', 'team'), 0, signal())
      record('web', 'Pulled', 'x', 'Normal', 'team')
      assert.equal(await recorder.flush(10_000), true)
      const { after } = await reader.list({}, signal())
      await two.endNamespace('team', signal())
      assert.deepEqual(
        (await reader.find({}, signal())).map(({ metadata }) => metadata.name),
        ['kept'],
      )
      assert.deepEqual(await one.find('team', 'gone', signal()), { event: undefined, revision: 0 })
      assert.equal((await one.find('default', 'kept', signal())).event?.metadata.name, 'kept')
      const ends: string[] = []
      for await (const ended of reader.follow({ namespace: 'team' }, after, signal()))
        if (ends.push(`${ended.reason} ${isDeletion(ended)}`) === 2) break
      assert.deepEqual(ends.sort(), ['Pulled true', 'Said true'])
      await one.put(event('gone', 'team', { reason: 'Again' }), 0, signal())
      assert.deepEqual(
        (await reader.find({ namespace: 'team' }, signal())).map(({ reason }) => reason),
        ['Again'],
      )
    })
  })

  it('goes on after NATS was killed: what was recorded meanwhile arrives, a follower sees all of it once', async () => {
    record('before', 'Started')
    assert.equal(await recorder.flush(10_000), true)
    const followed: string[] = []
    const following = new AbortController()
    const done = (async () => {
      for await (const event of reader.read({}, true, following.signal))
        followed.push(`${event.involvedObject?.name} ${event.count}`)
    })()
    await until('the past is told', () => followed.length === 1)
    record('while-following', 'Started')
    await until('the present is told', () => followed.length === 2)

    process.kill((nats.state as { pid: number }).pid, 'SIGKILL')
    await until('the loss is noticed', () => connection.current === undefined)
    for (let index = 0; index < 300; index++) record(`meanwhile-${index}`, 'Started')
    record('meanwhile-0', 'Started')
    assert.equal(recorder.waiting, 300)
    await until('all have arrived', () => followed.length === 302, 40_000)
    assert.equal(recorder.waiting, 0)
    assert.equal(recorder.dropped, 0)
    assert.equal(new Set(followed).size, 302)
    assert.ok(followed.includes('meanwhile-0 2'))
    assert.equal((await reader.find({}, signal())).length, 302)
    following.abort()
    await done
  })

  it('tells changes of objects, but not what was there before', async () => {
    const store = new MemoryStore(systemClock)
    const informer = new StoreInformer({ ...parts, store })
    const put = (name: string, key: string, expect: Precondition) =>
      store.commit([
        {
          kind: 'put',
          key: objectKey('ConfigMap', 'default', key),
          value: encodeResource({
            apiVersion: 'v1',
            kind: 'ConfigMap',
            metadata: { name, namespace: 'default', uid: `uid-${name}`, resourceVersion: '' },
          }),
          expect,
        },
      ])
    await put('old', 'old', { is: 'absent' })
    const notices = new ChangePublisher(informer, connection, systemClock)
    const { nats: client } = await connection.session(signal())
    const subscription = client.subscribe('gantry.changes.>')
    const told: string[] = []
    const reading = (async () => {
      for await (const message of subscription) {
        const notice = message.json<ChangeNotice>()
        told.push(`${message.subject} ${notice.type} ${notice.uid} ${notice.revision}`)
      }
    })()
    await client.flush()
    group.add((stop) => informer.run(stop))
    group.add((stop) => notices.run(stop))
    await informer.synced()
    const begun = informer.revision
    await put('a.b', 'a.b', { is: 'absent' })
    await put('old', 'old', { is: 'any' })
    await store.commit([{ kind: 'delete', key: objectKey('ConfigMap', 'default', 'a.b'), expect: { is: 'any' } }])
    await until('three changes are told', () => told.length === 3)
    assert.deepEqual(told, [
      `gantry.changes.configmaps.default.a%2Eb added uid-a.b ${begun + 1}`,
      `gantry.changes.configmaps.default.old modified uid-old ${begun + 2}`,
      `gantry.changes.configmaps.default.a%2Eb deleted uid-a.b ${begun + 3}`,
    ])
    assert.equal(notices.droppedCount, 0)
    subscription.unsubscribe()
    await reading
    // Closed by the client itself: until that is noticed, telling fails.
    await client.close()
    const { current } = connection
    Object.defineProperty(connection, 'current', { get: () => current ?? { nats: client, lost: signal() } })
    await put('late', 'late', { is: 'absent' })
    await until('it is counted', () => notices.droppedCount === 1)
  })

  it('keeps the newest when too many wait, counts the others, and never makes a reader wait for ever', async () => {
    server.stop()
    await server.wait()
    await until('the loss is noticed', () => connection.current === undefined)
    const small = new EventRecorder({ ...parts, connection, buffer: 3 })
    group.add((stop) => small.run(stop))
    for (let index = 0; index < 5; index++)
      small.record({
        regarding: { kind: 'Node', metadata: { name: `n${index}`, namespace: '', uid: `u${index}` } },
        type: 'Normal',
        reason: 'Ready',
        message: 'ready',
        component: 'test',
      })
    assert.deepEqual([small.waiting, small.dropped], [3, 2])
    assert.equal(await small.flush(50), false)
    haste = 20
    await assert.rejects(reader.find({}, signal()), (error: GantryError) => error.code === 'Unavailable')

    await startServer(Number(nats.address.split(':')[1]))
    await nats.ready()
    await until('the rest has arrived', () => small.waiting === 0)
    assert.deepEqual(seen(await reader.find({ namespace: 'default', kind: 'Node' }, signal())), [
      'n2 Ready 1',
      'n3 Ready 1',
      'n4 Ready 1',
    ])
  })
})
