import assert from 'node:assert/strict'
import { pino } from 'pino'
import type { CachedObject, Change, ExpectedWrite } from '../../../controller/informer/contract.ts'
import { FOLLOWER_LIMIT, WatchCache, HISTORY_BYTES, HISTORY_LENGTH } from '../../../controller/informer/watch-cache.ts'
import { StoreInformer } from '../../../controller/informer/informer.ts'
import type { Operation } from '../../../controller/store/contract.ts'
import { objectKey } from '../../../controller/store/keys.ts'
import { MemoryStore } from '../../../controller/store/memory.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { decodeResource, encodeResource } from '../../../proto/codec/wire.ts'
import { FakeClock } from '../../../proto/base/clock.ts'
import { silentLogger, type Logger } from '../../../proto/base/logger.ts'
import { seededRandom } from '../../../proto/base/random.ts'
import type { Kind, Pod } from '../../../proto/gen/types.ts'
import { committed, failsWith, put, remove } from '../../contract/store.ts'

interface PodOptions {
  node?: string
  owner?: string
  uid?: string
  namespace?: string
}

function podPut(name: string, { node, owner, uid = `uid-${name}`, namespace = 'default' }: PodOptions = {}): Operation {
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace,
      uid,
      resourceVersion: '',
      ...(owner === undefined
        ? {}
        : { ownerReferences: [{ apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'rs', uid: owner }] }),
    },
    spec: { containers: [], ...(node === undefined ? {} : { nodeName: node }) },
    status: {},
  } as unknown as Pod
  return { kind: 'put', key: objectKey('Pod', namespace, name), value: encodeResource(pod), expect: { is: 'any' } }
}

const podRemove = (name: string): Operation => remove(objectKey('Pod', 'default', name))
const told = (change: Change<Kind>): string => `${change.revision} ${change.type} ${change.cached.object.metadata.name}`

describe('informer', () => {
  let clock: FakeClock
  let store: MemoryStore
  let informer: StoreInformer
  let stop: AbortController
  let running: Promise<void> | undefined

  function make(logger: Logger = silentLogger): StoreInformer {
    return new StoreInformer({ store, clock, random: seededRandom(1), logger })
  }

  async function start(): Promise<void> {
    running = informer.run(stop.signal)
    await informer.synced()
  }

  /** Commits, and waits until the informer has it. */
  async function write(...operations: Operation[]): Promise<number> {
    const revision = await committed(store, ...operations)
    await informer.waitForRevision(revision)
    return revision
  }

  beforeEach(() => {
    clock = new FakeClock()
    store = new MemoryStore(clock)
    informer = make()
    stop = new AbortController()
    running = undefined
  })
  afterEach(async () => {
    stop.abort()
    await running
  })

  it('lists page by page what is there, then follows', async () => {
    for (let page = 0; page < 6; page++)
      await committed(
        store,
        ...Array.from({ length: 100 }, (_, index) => podPut(`p${String(page * 100 + index).padStart(3, '0')}`)),
      )
    await start()
    const pods = informer.lister('Pod')
    assert.equal(pods.list().length, 600)
    assert.equal(informer.revision, await store.revision())
    const revision = await write(podPut('a'), podRemove('p000'))
    assert.deepEqual(
      pods
        .list()
        .slice(0, 2)
        .map(({ metadata }) => metadata.name),
      ['a', 'p001'],
    )
    assert.equal(pods.get('default', 'a')?.metadata.resourceVersion, String(revision))
    assert.equal(pods.cached('default', 'a')?.revision, revision)
    assert.equal(pods.get('default', 'p000'), undefined)
    assert.equal(informer.byUid('uid-a')?.metadata.name, 'a')
    assert.equal(informer.byUid('uid-p000'), undefined)
  })

  it('keeps namespaces apart and in order', async () => {
    await start()
    await write(
      podPut('b', { namespace: 'two' }),
      podPut('a', { namespace: 'two', uid: 'x' }),
      podPut('c', { namespace: 'one' }),
    )
    const pods = informer.lister('Pod')
    assert.deepEqual(
      pods.list().map(({ metadata }) => `${metadata.namespace}/${metadata.name}`),
      ['one/c', 'two/a', 'two/b'],
    )
    assert.deepEqual(
      pods.cachedList('two').map(({ object }) => object.metadata.name),
      ['a', 'b'],
    )
    assert.deepEqual(pods.list('three'), [])
    assert.deepEqual(informer.lister('Node').list(), [])
  })

  it('indexes by owner and by node, as they change', async () => {
    await start()
    const pods = informer.lister('Pod')
    const names = (index: 'owner' | 'node', key: string): string[] =>
      pods.byIndex(index, key).map(({ metadata }) => metadata.name)
    await write(podPut('b', { owner: 'o1' }), podPut('a', { owner: 'o1' }), podPut('c'))
    assert.deepEqual(names('owner', 'o1'), ['a', 'b'])
    assert.deepEqual(names('node', ''), ['a', 'b', 'c'])
    await write(podPut('a', { owner: 'o1', node: 'n1' }))
    assert.deepEqual([names('node', ''), names('node', 'n1')], [['b', 'c'], ['a']])
    await write(podRemove('a'), podPut('b', { owner: 'o2' }))
    assert.deepEqual([names('node', 'n1'), names('owner', 'o1'), names('owner', 'o2')], [[], [], ['b']])
  })

  it('tells handlers what is there and what comes, after the cache shows it', async () => {
    const first = await committed(store, podPut('a'))
    const seen: string[] = []
    const batches: number[] = []
    informer.onBatch((revision) => void batches.push(revision))
    informer.on('Pod', (change) => {
      assert.equal(
        informer.lister('Pod').get('default', change.cached.object.metadata.name)?.metadata.resourceVersion,
        change.type === 'deleted' ? undefined : String(change.revision),
      )
      seen.push(told(change))
    })
    await start()
    const second = await write(podPut('a'), podPut('b'))
    const third = await write(podRemove('a'))
    assert.deepEqual(seen, [`${first} added a`, `${second} modified a`, `${second} added b`, `${third} deleted a`])
    assert.deepEqual(batches, [first, second, third])
    const late: string[] = []
    const end = informer.on('Pod', (change) => void late.push(told(change)))
    assert.deepEqual(late, [`${second} added b`])
    end()
    await write(podPut('b'))
    assert.equal(late.length, 1)
  })

  it('gives the last state with a deletion', async () => {
    await start()
    await write(podPut('a', { node: 'n1' }))
    let deleted: Change<'Pod'> | undefined
    informer.on('Pod', (change) => void (deleted = change))
    const revision = await write(podRemove('a'))
    assert.equal(deleted?.cached.object.spec.nodeName, 'n1')
    assert.equal(deleted.cached.object.metadata.resourceVersion, String(revision))
  })

  it('goes on although a handler throws', async () => {
    const lines: string[] = []
    informer = make(pino({ level: 'error' }, { write: (line: string) => void lines.push(line) }))
    const seen: string[] = []
    informer.on('Pod', () => {
      throw new TypeError('a defect')
    })
    informer.on('Pod', (change) => void seen.push(told(change)))
    await start()
    informer.onBatch(() => {
      throw new TypeError('another defect')
    })
    informer.onBatch((reached) => void seen.push(`batch ${reached}`))
    const revision = await write(podPut('a'))
    assert.deepEqual(seen, [`${revision} added a`, `batch ${revision}`])
    assert.match(lines.join(), /a defect.*"name":"a".*another defect/s)
  })

  it('reports what cannot be decoded and keeps what it knew', async () => {
    const lines: string[] = []
    informer = make(pino({ level: 'error' }, { write: (line: string) => void lines.push(line) }))
    await committed(store, put(objectKey('Pod', 'default', 'bad'), '\xff\xff\xff'), put('/gantry/future/things', 'x'))
    await start()
    const known = await write(podPut('a'))
    await write(put(objectKey('Pod', 'default', 'a'), '\xff\xff\xff'), {
      ...podPut('b'),
      key: objectKey('Pod', 'default', 'c'),
    } as Operation)
    assert.deepEqual(
      informer
        .lister('Pod')
        .list()
        .map(({ metadata }) => `${metadata.name} ${metadata.resourceVersion}`),
      [`a ${known}`],
    )
    for (const key of [
      '/gantry/core/pods/default/bad',
      '/gantry/future/things',
      '/gantry/core/pods/default/a',
      '/gantry/core/pods/default/c',
    ])
      assert.ok(
        lines.some((line) => line.includes(`"key":"${key}"`)),
        key,
      )
  })

  it('resolves reached when the cache is there, and gives up in time', async () => {
    await start()
    await informer.waitForRevision(informer.revision)
    const later = informer.waitForRevision(informer.revision + 1)
    await committed(store, put('/gantry-election/leader', 'elsewhere'))
    await later
    const never = assert.rejects(informer.waitForRevision(informer.revision + 1, 100), failsWith('Unavailable'))
    await clock.advance(100)
    await never
    assert.equal(clock.pending, 0)
  })

  describe('watch', () => {
    /** Reads until a revision is reached. */
    async function read(after: number, until: number): Promise<string[]> {
      const seen: string[] = []
      for await (const { revision, change } of informer.watch('Pod', after, stop.signal)) {
        if (change !== undefined) seen.push(told(change))
        if (revision >= until && change === undefined) break
        if (change !== undefined && change.revision === until && change.cached.object.metadata.name === 'last') break
      }
      return seen
    }

    it('gives the changes after a revision, then those that come', async () => {
      await start()
      const one = await write(podPut('a'))
      const two = await write(podPut('b'))
      const reading = read(one, two + 2)
      const three = await write(podRemove('a'))
      const four = await write(podPut('last'))
      assert.deepEqual(await reading, [`${two} added b`, `${three} deleted a`, `${four} added last`])
      assert.deepEqual(await read(four, four), [])
    })

    it('is refused beyond the history, and before the list', async () => {
      const first = informer.watch('Pod', 0, stop.signal)[Symbol.asyncIterator]()
      await assert.rejects(first.next(), failsWith('Unavailable'))
      await committed(store, podPut('a'))
      await start()
      const begin = informer.revision
      await assert.rejects(read(begin - 2, begin), failsWith('Expired'))
      for (let index = 0; index <= 2 * HISTORY_LENGTH; index++) await committed(store, podPut('a'))
      await informer.waitForRevision(await store.revision())
      await assert.rejects(read(begin, begin), failsWith('Expired'))
      const end = informer.revision
      assert.equal((await read(end - HISTORY_LENGTH, end)).length, HISTORY_LENGTH)
    })

    it('knows all of the commit that its first list found last: made, changed and deleted', async () => {
      await committed(store, podPut('changed', { node: 'n1' }), podPut('removed'), podPut('same'))
      const revision = await committed(store, podPut('changed', { node: 'n2' }), podPut('made'), podRemove('removed'))
      await start()
      const seen: string[] = []
      for await (const { change } of informer.watch('Pod', revision - 1, stop.signal)) {
        if (change === undefined) break
        seen.push(`${told(change)} ${change.previous?.object.spec.nodeName ?? '-'}`)
      }
      assert.deepEqual(seen, [
        `${revision} modified changed n1`,
        `${revision} added made -`,
        `${revision} deleted removed -`,
      ])
    })

    it('begins on a store that has just been compacted, and on an empty one', async () => {
      await start()
      assert.deepEqual(await read(informer.revision - 1, informer.revision), [])
      const revision = await write(podPut('a'))
      store.compact(revision)
      const later = make()
      const running = later.run(stop.signal)
      await later.synced()
      const { value } = await later
        .watch('Pod', revision - 1, stop.signal)
        [Symbol.asyncIterator]()
        .next()
      assert.deepEqual(value, { revision })
      stop.abort()
      await running
    })

    it('keeps no more of large objects than memory is to be used for', () => {
      const history = new WatchCache<'Pod'>(() => assert.fail('nobody follows'))
      const size = HISTORY_BYTES / 16
      history.begin(1, [])
      for (let revision = 2; revision <= 102; revision++)
        history.add(
          {
            type: 'modified',
            revision,
            previous: undefined,
            cached: { object: {}, bytes: { length: size }, revision } as never,
          },
          0,
        )
      const first = Array.from({ length: 102 }, (_, revision) => revision).find((revision) => {
        try {
          return history.since(revision).length > 0
        } catch (thrown) {
          return !failsWith('Expired')(thrown as GantryError)
        }
      })!
      assert.ok(
        (102 - first) * size <= HISTORY_BYTES + size && (102 - first) * size >= HISTORY_BYTES / 2,
        String(first),
      )
      assert.deepEqual(
        history.since(first).map(({ revision }) => revision),
        Array.from({ length: 102 - first }, (_, index) => first + 1 + index),
      )
    })

    it('keeps the newest commit whole, however large', async () => {
      await start()
      const changes = (revision: number, count: number): Change<'Pod'>[] =>
        Array.from({ length: count }, () => ({
          type: 'deleted',
          revision,
          previous: undefined,
          cached: { object: {}, bytes: new Uint8Array(), revision } as never,
        }))
      const history = new WatchCache<'Pod'>(() => assert.fail('nobody follows'))
      history.begin(1, [])
      for (const change of [...changes(2, 10), ...changes(3, 3 * HISTORY_LENGTH)]) history.add(change, 0)
      const items = history.iterate(2, 3, 0, stop.signal)
      for (let index = 0; index < 3 * HISTORY_LENGTH; index++)
        assert.equal((await items.next()).value?.change?.revision, 3)
      assert.deepEqual((await items.next()).value, { revision: 3 })
      history.add(changes(4, 1)[0]!, 0)
      await assert.rejects(history.iterate(2, 4, 0, stop.signal).next(), failsWith('Expired'))
    })

    it('shows what there was at each revision, and calls who follows with each change from there', async () => {
      await start()
      const random = seededRandom(7)
      const show = (items: readonly CachedObject[]): string[] =>
        items.map(({ object, revision }) => `${object.metadata.namespace}/${object.metadata.name}@${revision}`)
      const states = new Map<number, string[]>()
      const told = new Map<number, string[]>()
      const ends: (() => void)[] = []
      for (let step = 0; step < 60; step++) {
        const chosen = [
          ...new Set(
            Array.from({ length: 1 + Math.floor(random.next() * 3) }, () => `p${Math.floor(random.next() * 6)}`),
          ),
        ]
        const operations = chosen.map((name) =>
          informer.lister('Pod').get('default', name) !== undefined && random.next() < 0.4
            ? podRemove(name)
            : podPut(name, { node: String(step) }),
        )
        const revision = await write(...operations)
        states.set(revision, show(informer.lister('Pod').cachedList()))
        const changes: string[] = []
        told.set(revision, changes)
        ends.push(
          informer.follow('Pod', revision, {
            change: (change) =>
              void changes.push(`${change.revision} ${change.type} ${change.cached.object.metadata.name}`),
            end: () => undefined,
          }),
        )
      }
      for (const [revision, state] of states) assert.deepEqual(show(await informer.listAt('Pod', revision)), state)
      const [first] = told.values()
      for (const [revision, changes] of told) {
        assert.deepEqual(
          changes,
          first!.filter((change) => Number(change.split(' ', 1)[0]) > revision),
        )
        const again: string[] = []
        informer.follow('Pod', revision, {
          change: (change) =>
            void again.push(`${change.revision} ${change.type} ${change.cached.object.metadata.name}`),
          end: () => undefined,
        })()
        assert.deepEqual(again, changes)
      }
      for (const end of ends) end()
      const before = first!.length
      await write(podPut('last'))
      assert.equal(first!.length, before, 'nobody follows any more')

      const later = make() // which has none of it in its history
      const following = later.run(stop.signal)
      await later.synced()
      for (const [revision, state] of states) assert.deepEqual(show(await later.listAt('Pod', revision)), state)
      const [tenth, middle] = [[...states.keys()][10]!, [...states.keys()][30]!]
      store.compact(middle)
      assert.deepEqual(show(await later.listAt('Pod', middle)), states.get(middle))
      await assert.rejects(later.listAt('Pod', tenth), failsWith('Expired'))
      assert.deepEqual(show(await informer.listAt('Pod', tenth)), states.get(tenth))
      stop.abort()
      await following
    })

    it('tells who follows when the cache ends', async () => {
      await start()
      const ended: (GantryError | undefined)[] = []
      informer.follow('Pod', informer.revision, { change: () => undefined, end: (error) => void ended.push(error) })
      stop.abort()
      await running
      assert.deepEqual(ended, [undefined])
      assert.throws(
        () => informer.follow('Pod', informer.revision, { change: () => undefined, end: () => undefined }),
        failsWith('Unavailable'),
      )
    })

    it('ends a follower that does not read, and says so', async () => {
      const lines: { msg?: string; kind?: string; slowSinceStart?: number }[] = []
      informer = make(pino({ level: 'warn' }, { write: (line: string) => void lines.push(JSON.parse(line)) }))
      await start()
      const items = informer.watch('Pod', informer.revision, stop.signal)[Symbol.asyncIterator]()
      await items.next()
      const own = informer.watch('Pod', informer.revision, stop.signal)[Symbol.asyncIterator]()
      await own.next()
      const wanted = FOLLOWER_LIMIT + 1
      for (let written = 0; written < wanted; written += 50) {
        await write(...Array.from({ length: 50 }, (_, index) => podPut(`p${index}`)))
        for (let index = 0; index < 50; index++) assert.ok((await own.next()).value?.change)
      }
      await assert.rejects(items.next(), failsWith('Expired'))
      assert.deepEqual(
        lines.map(({ msg, kind, slowSinceStart }) => ({ msg, kind, slowSinceStart })),
        [{ msg: 'a watcher reads too slowly and has to list again', kind: 'Pod', slowSinceStart: 1 }],
      )
    })

    it('rejects who waits for a revision when it ends', async () => {
      await start()
      const never = assert.rejects(informer.waitForRevision(informer.revision + 1), failsWith('Unavailable'))
      stop.abort()
      await never
      await assert.rejects(informer.waitForRevision(informer.revision + 1), failsWith('Unavailable'))
      assert.equal(clock.pending, 0)
    })

    it('tells progress to a quiet follower', async () => {
      await start()
      const items = informer.watch('Pod', informer.revision, stop.signal)[Symbol.asyncIterator]()
      assert.deepEqual((await items.next()).value, { revision: informer.revision })
      const next = items.next()
      await write(put('/elsewhere', '1'))
      await clock.advance(1000)
      const revision = await write(put('/elsewhere', '2'))
      assert.deepEqual((await next).value, { revision })
    })

    it('ends with the signal, and with the informer', async () => {
      await start()
      const own = new AbortController()
      const items = informer.watch('Pod', informer.revision, own.signal)[Symbol.asyncIterator]()
      await items.next()
      const next = items.next()
      own.abort()
      assert.equal((await next).done, true)
      const other = informer.watch('Pod', informer.revision, new AbortController().signal)[Symbol.asyncIterator]()
      await other.next()
      const last = other.next()
      stop.abort()
      assert.equal((await last).done, true)
    })
  })

  it('lists again when its place is compacted, and tells only the differences', async () => {
    // A connection that is lost, and comes back after compaction.
    const watch = store.watch.bind(store)
    const lost = new AbortController()
    let back: () => void = () => undefined
    const returns = new Promise<void>((resolve) => (back = resolve))
    let watches = 0
    store.watch = async function* (prefix, after, signal) {
      if (++watches === 1) return yield* watch(prefix, after, AbortSignal.any([signal, lost.signal]))
      await returns
      yield* watch(prefix, after, signal)
    }
    await start()
    await write(podPut('same'), podPut('changed'), podPut('removed'), podPut('recreated', { uid: 'first' }))
    const seen: string[] = []
    informer.on(
      'Pod',
      (change) =>
        void seen.push(`${change.type} ${change.cached.object.metadata.name} ${change.cached.object.metadata.uid}`),
    )
    seen.length = 0
    lost.abort()
    // Its key comes last in the list, and its revision does not.
    await committed(store, podPut('changed'), podPut('young'), podRemove('removed'), podRemove('recreated'))
    await committed(store, podPut('recreated', { uid: 'second' }), podPut('new'))
    const revision = await store.revision()
    store.compact(revision)
    back()
    await informer.waitForRevision(revision)
    assert.deepEqual(seen, [
      'modified changed uid-changed',
      'added young uid-young',
      'added new uid-new',
      'deleted recreated first',
      'added recreated second',
      'deleted removed uid-removed',
    ])
    assert.equal(informer.byUid('first'), undefined)
    assert.equal(informer.byUid('second')?.metadata.name, 'recreated')
  })

  it('knows that it has not seen every state, where it had to list again', async () => {
    const watch = store.watch.bind(store)
    const lost = new AbortController()
    let back: () => void = () => undefined
    const returns = new Promise<void>((resolve) => (back = resolve))
    let watches = 0
    store.watch = async function* (prefix, after, signal) {
      if (++watches === 1) return yield* watch(prefix, after, AbortSignal.any([signal, lost.signal]))
      if (watches === 2) {
        await returns
        throw new GantryError('Expired', 'as far as this member knows')
      }
      yield* watch(prefix, after, signal)
    }
    await start()
    await write(podPut('twice', { node: 'n1' }))
    lost.abort()
    const between = await committed(store, podPut('twice', { node: 'n2' }))
    await committed(store, podPut('twice', { node: 'n3' }))
    back()
    await informer.waitForRevision(await store.revision())
    const nodes = async (revision: number): Promise<unknown[]> =>
      (await informer.listAt('Pod', revision)).map(({ object }) => object.spec.nodeName)
    assert.deepEqual(
      [await nodes(between - 1), await nodes(between), await nodes(between + 1)],
      [['n1'], ['n2'], ['n3']],
    )
    const next = await write(podPut('twice', { node: 'n4' }))
    assert.deepEqual([await nodes(between), await nodes(next - 1), await nodes(next)], [['n2'], ['n3'], ['n4']])
  })

  describe('what this controller writes itself', () => {
    const key = objectKey('Pod', 'default', 'web')
    const bytes = (node: string): Uint8Array => (podPut('web', { node }) as { value: Uint8Array }).value
    const expect = (node: string): ExpectedWrite<'Pod'> =>
      informer.expectWrite(key, bytes(node), decodeResource('Pod', bytes(node)))
    const shown = (): CachedObject | undefined => informer.lister('Pod').cached('default', 'web')

    it('is one object of each revision with the writer, whoever of them hears of it first', async () => {
      await start()
      const early = expect('n1').committed((await store.revision()) + 1)
      const first = await write(podPut('web', { node: 'n1' }))
      assert.equal(shown(), early)
      assert.deepEqual(early, {
        object: decodeResource('Pod', bytes('n1'), String(first)),
        bytes: bytes('n1'),
        revision: first,
      })
      const late = expect('n2')
      const second = await write(podPut('web', { node: 'n2' }))
      assert.equal(late.committed(second), shown())
      assert.equal(shown()!.object.metadata.resourceVersion, String(second))
    })

    it('is read as what others write where it is not what the watch tells', async () => {
      await start()
      const abandoned = expect('n1')
      abandoned.abandoned()
      await write(podPut('web', { node: 'n1' }))
      assert.equal((shown()!.object as Pod).spec.nodeName, 'n1')
      // Another was faster, and nobody has told the writer yet.
      const slow = expect('n2')
      await write(podPut('web', { node: 'n3' }))
      assert.equal((shown()!.object as Pod).spec.nodeName, 'n3')
      // It was written after all, and its answer was lost.
      const last = await write(podPut('web', { node: 'n2' }))
      assert.deepEqual(shown(), {
        object: decodeResource('Pod', bytes('n2'), String(last)),
        bytes: bytes('n2'),
        revision: last,
      })
      assert.equal(slow.committed(last), shown())
    })

    it('does not take the place of what came after it', async () => {
      await start()
      const [one, other] = [expect('n1'), expect('n2')]
      const first = await write(podPut('web', { node: 'n1' }))
      const last = await write(podPut('web', { node: 'n2' }))
      assert.equal(one.committed(first).object.spec.nodeName, 'n1')
      assert.equal(other.committed(last), shown())
    })
  })

  it('waits for a store that is away at the start, and fails with one that cannot be followed', async () => {
    const list = store.list.bind(store)
    let tries = 0
    store.list = async (prefix, options) => {
      if (++tries === 1) throw new GantryError('Unavailable', 'away')
      return list(prefix, options)
    }
    running = informer.run(stop.signal)
    await clock.advance(200)
    await informer.synced()
    assert.equal(tries, 2)
    await store.close()
    await assert.rejects(running, failsWith('Unavailable'))
    running = undefined
  })
})
