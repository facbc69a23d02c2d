import assert from 'node:assert/strict'
import { Registry } from 'prom-client'
import { CONTROLLERS, MASTERS, NODES } from '../../../controller/authorization/groups.ts'
import { AdmissionRefusal, type RefusalStatus } from '../../../controller/api/admission-refusal.ts'
import { ConsistentReads } from '../../../controller/api/consistent-reads.ts'
import type { AdmissionPlugin } from '../../../controller/api/contract.ts'
import { createParticipants } from '../../../controller/participants.ts'
import { ObjectRegistry } from '../../../controller/api/objects.ts'
import { ResourcesHandlers } from '../../../controller/grpc/resources.ts'
import { StoreInformer } from '../../../controller/informer/informer.ts'
import { GroupCommit } from '../../../controller/store/group-commit.ts'
import type { CallContext } from '../../../proto/rpc/rpc.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { decodeResource, encode, encodeResource } from '../../../proto/codec/wire.ts'
import { silentLogger } from '../../../proto/base/logger.ts'
import type { Kind, ListRequest, ObjectBytes, WatchEvent, WatchRequest } from '../../../proto/gen/types.ts'
import { ApiBench, configDraft, context, podDraft } from '../api/bench.ts'
import { testRequests } from '../requests/test-requests.ts'

const user = { name: 'anna', groups: [MASTERS] }

describe('the service Resources', () => {
  let bench: ApiBench
  let over: AbortController
  let call: CallContext

  beforeEach(async () => {
    bench = await ApiBench.start()
    over = new AbortController()
    call = { signal: over.signal, user, peer: '' }
  })
  afterEach(async () => {
    over.abort(new GantryError('Cancelled', 'the test is over'))
    await bench.stop()
  })

  const ref = (kind: string, name: string, namespace = '') => ({
    apiVersion: kind === 'Deployment' ? 'apps/v1' : 'v1',
    kind,
    namespace,
    name,
  })
  const listing = (more: Partial<ListRequest> = {}): ListRequest => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    namespace: '',
    labelSelector: '',
    fieldSelector: '',
    limit: 0,
    continue: '',
    ...more,
  })
  const options = { dryRun: false, fieldManager: 'tester', force: false }
  const read = (bytes: unknown) => {
    const { kind, raw } = bytes as ObjectBytes
    return decodeResource(kind as Kind, raw)
  }
  const packed = (object: object & { kind: Kind }): ObjectBytes => ({
    apiVersion: 'v1',
    kind: object.kind,
    raw: encode(object.kind, object as never),
  })

  describe('objects', () => {
    it('creates in the default namespace, gets, updates and deletes', async () => {
      const made = read(
        (await bench.handlers.create({ object: packed(podDraft('web', {}, { namespace: '' })), options }, call)).object,
      )
      assert.equal(made.metadata.namespace, 'default')
      assert.deepEqual(read((await bench.handlers.get({ ref: ref('Pod', 'web') }, call)).object), made)
      const updated = read(
        (
          await bench.handlers.update(
            {
              object: packed({ ...made, metadata: { ...made.metadata, labels: { a: 'b' } } } as never),
              subresource: '',
              options,
            },
            call,
          )
        ).object,
      )
      assert.deepEqual(updated.metadata.labels, { a: 'b' })
      assert.ok(Number(updated.metadata.resourceVersion) > Number(made.metadata.resourceVersion))
      await bench.handlers.delete(
        { ref: ref('Pod', 'web'), propagation: 'BACKGROUND', uid: '', resourceVersion: '', eviction: false, options },
        call,
      )
      await assert.rejects(bench.handlers.get({ ref: ref('Pod', 'web') }, call), { code: 'NotFound' })
    })

    it("takes the caller's name for who owns the fields when he says none", async () => {
      const made = read(
        (
          await bench.handlers.create(
            { object: packed(configDraft('c', { a: '1' })), options: { ...options, fieldManager: '' } },
            call,
          )
        ).object,
      )
      assert.equal(made.metadata.managedFields?.[0]?.manager, 'anna')
    })

    it('refuses what is malformed, naming the field', async () => {
      const cases: [Promise<unknown>, string, string][] = [
        [bench.handlers.get({ ref: ref('Podd', 'web') }, call), 'InvalidArgument', 'kind'],
        [bench.handlers.get({ ref: ref('Pod', '') }, call), 'InvalidArgument', 'ref.name'],
        [bench.handlers.get({ ref: ref('Event', 'x') }, call), 'InvalidArgument', 'kind'],
        [bench.handlers.get({ ref: ref('Node', 'n1', 'default') }, call), 'InvalidArgument', 'metadata.namespace'],
        [
          bench.handlers.create(
            { object: { apiVersion: 'v1', kind: 'Pod', raw: Buffer.from([0xff, 0xff, 0xff]) }, options },
            call,
          ),
          'InvalidArgument',
          'object.raw',
        ],
        [
          bench.handlers.create(
            {
              object: packed(
                podDraft('web', {
                  containers: [
                    { name: 'main', image: 'busybox', volumeDevices: [{ name: 'v', devicePath: '/dev/v' }] },
                  ],
                }),
              ),
              options,
            },
            call,
          ),
          'Unsupported',
          'spec.containers[0].volumeDevices',
        ],
        [
          bench.handlers.create(
            { object: packed(configDraft('c', {})), options: { ...options, fieldManager: 'x'.repeat(129) } },
            call,
          ),
          'InvalidArgument',
          'options.fieldManager',
        ],
        [
          bench.handlers.update({ object: packed(configDraft('c', {})), subresource: 'scale', options }, call),
          'InvalidArgument',
          'subresource',
        ],
        [
          bench.handlers.patch(
            { ref: ref('ConfigMap', 'c'), type: 'MERGE', patch: '{', subresource: '', options },
            call,
          ),
          'InvalidArgument',
          'patch',
        ],
        [
          bench.handlers.apply(
            { ref: ref('ConfigMap', 'c'), configuration: '{"apiVersion":"v1","kind":"ConfigMap","dada":{}}', options },
            call,
          ),
          'InvalidArgument',
          'dada',
        ],
        [
          bench.handlers.apply(
            { ref: ref('ConfigMap', 'c'), configuration: '{}', options: { ...options, fieldManager: '' } },
            call,
          ),
          'InvalidArgument',
          'options.fieldManager',
        ],
        [
          bench.handlers.delete(
            {
              ref: ref('ConfigMap', 'c'),
              propagation: 'BACKGROUND',
              uid: '',
              resourceVersion: '',
              gracePeriodSeconds: -1,
              eviction: false,
              options,
            },
            call,
          ),
          'InvalidArgument',
          'gracePeriodSeconds',
        ],
        [
          bench.handlers.delete(
            {
              ref: ref('ConfigMap', 'c'),
              propagation: 'BACKGROUND',
              uid: '',
              resourceVersion: '',
              eviction: true,
              options,
            },
            call,
          ),
          'InvalidArgument',
          'eviction',
        ],
      ]
      for (const [work, code, field] of cases) {
        await assert.rejects(work, (error: GantryError) => {
          assert.equal(error.code, code, error.message)
          assert.equal(error.details[0]?.field, field, error.message)
          return true
        })
      }
      assert.equal(bench.writes.length, 0)
    })

    it('does not read an object that is too large to be one', async () => {
      const { raw } = packed(configDraft('c', {}))
      // Items of a list of which each takes two bytes, and much more in memory.
      const many = Buffer.concat([Buffer.from(raw), Buffer.alloc(4_000_000, Buffer.from([0x12, 0x00]))])
      const object = { apiVersion: 'v1', kind: 'ConfigMap', raw: many }
      const refusal = { code: 'ResourceExhausted', message: /takes 40\d{5} bytes, the limit is 3145728/ }
      await assert.rejects(bench.handlers.create({ object, options }, call), refusal)
      await assert.rejects(bench.handlers.update({ object, subresource: '', options }, call), refusal)
    })

    it('counts no subresource that a caller makes up', async () => {
      const registry = new Registry()
      const { api, informer, reads, clock } = bench
      const handlers = new ResourcesHandlers(testRequests({ api, informer, reads, clock, registry }))
      const node = { ...call, user: { name: 'n1', groups: [NODES] } }
      for (const subresource of ['made-up', 'scale']) {
        const object = packed(configDraft('c', {}))
        await assert.rejects(handlers.update({ object, subresource, options }, node), { code: 'InvalidArgument' })
        const changes = { type: 'MERGE' as const, patch: '{}', subresource, options }
        await assert.rejects(handlers.patch({ ref: ref('ConfigMap', 'c'), ...changes }, node), {
          code: 'InvalidArgument',
        })
      }
      assert.doesNotMatch(await registry.metrics(), /made-up|scale/)
    })

    it('refuses bytes with a field that the schema does not know', async () => {
      const raw = Buffer.concat([Buffer.from(packed(configDraft('c', {})).raw), Buffer.from([0xa0, 0x38, 1])])
      await assert.rejects(
        bench.handlers.create({ object: { apiVersion: 'v1', kind: 'ConfigMap', raw }, options }, call),
        { code: 'InvalidArgument', message: /ConfigMap has no field number 900/ },
      )
      assert.equal(bench.writes.length, 0)
    })

    it('serves secrets to masters only', async () => {
      const other = { ...call, user: { name: 'n1', groups: [NODES] } }
      await assert.rejects(bench.handlers.get({ ref: ref('Secret', 's') }, other), { code: 'Forbidden' })
      await assert.rejects(bench.handlers.list(listing({ kind: 'Secret' }), other), { code: 'Forbidden' })
      await assert.rejects(
        bench.handlers.watch({ ...listing({ kind: 'Secret' }), resourceVersion: '', bookmarks: false }, other).next(),
        { code: 'Forbidden' },
      )
      for (const stranger of [
        { name: '', groups: [] },
        { name: 'carl', groups: ['developers'] },
      ])
        await assert.rejects(bench.handlers.get({ ref: ref('Pod', 'p') }, { ...call, user: stranger }), {
          code: 'Forbidden',
        })
      const controller = { ...call, user: { name: 'system:controller:c2', groups: [CONTROLLERS] } }
      await assert.rejects(bench.handlers.get({ ref: ref('Pod', 'p') }, controller), { code: 'Forbidden' })
    })
  })

  it('evicts a pod as soon as whoever has a say in that lets it go', async () => {
    const asked: unknown[] = []
    let refusal: RefusalStatus | undefined = {
      code: 429,
      reason: 'TooManyRequests',
      message: 'not more than one at a time',
    }
    const budget: AdmissionPlugin = {
      name: 'budget',
      handles: ({ subresource }) => subresource === 'eviction',
      validate: ({ operation, name, message }) => {
        asked.push([operation, name, message?.kind])
        if (refusal !== undefined) throw new AdmissionRefusal(refusal)
      },
    }
    const { informer, reads, clock, random } = bench
    const api = new ObjectRegistry({
      informer,
      reads,
      clock,
      random,
      commits: new GroupCommit(bench.store),
      participants: createParticipants({ informer, reads, random, store: bench.store }),
      plugins: () => [budget],
    })
    const handlers = new ResourcesHandlers(testRequests({ api, informer, reads, clock }))
    const evict = (eviction = true) =>
      handlers.delete(
        { ref: ref('Pod', 'web'), propagation: 'BACKGROUND', uid: '', resourceVersion: '', eviction, options },
        call,
      )
    await bench.api.create<'Pod'>(podDraft('web'), context)
    await assert.rejects(evict(), { code: 'ResourceExhausted', message: 'not more than one at a time' })
    assert.equal((await bench.api.get('Pod', 'default', 'web')).metadata.deletionTimestamp, undefined)
    refusal = undefined
    await evict()
    await assert.rejects(bench.api.get('Pod', 'default', 'web'), { code: 'NotFound' })
    assert.deepEqual(
      new Set(asked.map((each) => JSON.stringify(each))),
      new Set([JSON.stringify(['CREATE', 'web', 'Eviction'])]),
    )
    refusal = { code: 429, reason: 'TooManyRequests', message: 'nobody asks' }
    await bench.api.create<'Pod'>(podDraft('web'), context)
    await evict(false)
  })

  describe('list', () => {
    beforeEach(async () => {
      await bench.api.create<'Namespace'>({ kind: 'Namespace', metadata: { name: 'team' } }, context)
      await bench.reads.current()
      for (const name of ['a', 'b', 'c', 'd', 'e'])
        await bench.api.create<'ConfigMap'>(
          configDraft(name, {}, { labels: { odd: String(['a', 'c', 'e'].includes(name)) } }),
          context,
        )
      await bench.api.create<'ConfigMap'>(configDraft('z', {}, { namespace: 'team' }), context)
    })

    const names = async (more: Partial<ListRequest>) =>
      (await bench.handlers.list(listing(more), call)).items!.map((item) => read(item).metadata.name)

    it('selects by namespace, labels and fields', async () => {
      assert.deepEqual(await names({}), ['a', 'b', 'c', 'd', 'e', 'z'])
      assert.deepEqual(await names({ namespace: 'team' }), ['z'])
      assert.deepEqual(await names({ labelSelector: 'odd=true' }), ['a', 'c', 'e'])
      assert.deepEqual(await names({ fieldSelector: 'metadata.name!=a', labelSelector: 'odd=true' }), ['c', 'e'])
      assert.deepEqual(await names({ namespace: 'nowhere' }), [])
      await assert.rejects(names({ labelSelector: 'a in (' }), { code: 'InvalidArgument' })
    })

    it('cuts pages out of one snapshot', async () => {
      const first = await bench.handlers.list(listing({ limit: 2 }), call)
      assert.equal(first.remainingItemCount, 4)
      await bench.api.delete('ConfigMap', 'default', 'c', {}, context)
      await bench.api.create<'ConfigMap'>(configDraft('cc', {}), context)
      const second = await bench.handlers.list(listing({ limit: 2, continue: first.continue! }), call)
      const third = await bench.handlers.list(listing({ limit: 2, continue: second.continue! }), call)
      const all = [first, second, third].flatMap(({ items }) => items!.map((item) => read(item).metadata.name))
      assert.deepEqual(all, ['a', 'b', 'c', 'd', 'e', 'z'])
      assert.equal(third.continue, '')
      assert.equal(new Set([first, second, third].map(({ resourceVersion }) => resourceVersion)).size, 1)
      assert.deepEqual(await names({ limit: 2, continue: second.continue! }), ['e', 'z'])
    })

    it('refuses a token that is malformed or of another list', async () => {
      const first = await bench.handlers.list(listing({ limit: 2 }), call)
      const next = first.continue!
      await assert.rejects(names({ continue: 'x' }), { code: 'InvalidArgument' })
      await assert.rejects(names({ continue: next, namespace: 'team' }), { code: 'InvalidArgument' })
      await assert.rejects(names({ limit: -1 }), { code: 'InvalidArgument' })
    })

    it('continues a list until the store has forgotten its revision, then inconsistently or not at all', async () => {
      const { continue: next = '', resourceVersion } = await bench.handlers.list(listing({ limit: 2 }), call)
      await bench.api.delete('ConfigMap', 'default', 'd', {}, context)
      await bench.api.create<'ConfigMap'>(configDraft('new', {}), context)
      const other = new StoreInformer({
        store: bench.store,
        clock: bench.clock,
        random: bench.random,
        logger: silentLogger,
      })
      const stop = new AbortController()
      const running = other.run(stop.signal)
      await other.synced()
      const elsewhere = new ResourcesHandlers(
        testRequests({
          api: bench.api,
          informer: other,
          reads: new ConsistentReads(bench.store, other),
          clock: bench.clock,
        }),
      )
      const page = await elsewhere.list(listing({ limit: 2, continue: next }), call)
      assert.deepEqual(
        [
          page.items!.map((item) => read(item as ObjectBytes).metadata.name),
          page.resourceVersion,
          page.remainingItemCount,
        ],
        [['c', 'd'], resourceVersion, 2],
      )

      bench.store.compact(await bench.store.revision())
      const kept = await elsewhere.list(listing({ limit: 2, continue: page.continue! }), call)
      assert.deepEqual(
        kept.items!.map((item) => read(item as ObjectBytes).metadata.name),
        ['e', 'z'],
        'what its pages are cut from is there',
      )
      await bench.clock.advance(301_000)
      const expired = await elsewhere.list(listing({ continue: next }), call).then(
        () => assert.fail('it is forgotten'),
        (thrown: unknown) => thrown as GantryError,
      )
      assert.equal(expired.code, 'Expired')
      const rest = await elsewhere.list(listing({ continue: expired.details[0]!.value }), call)
      assert.deepEqual(
        rest.items!.map((item) => read(item as ObjectBytes).metadata.name),
        ['c', 'e', 'new', 'z'],
      )
      stop.abort()
      await running
    })

    it('sends the stored bytes with their revision', async () => {
      const { items } = await bench.handlers.list(listing({ namespace: 'team' }), call)
      const stored = bench.informer.lister('ConfigMap').cached('team', 'z')!
      assert.deepEqual(
        Buffer.from((items![0] as ObjectBytes).raw).subarray(0, stored.bytes.length),
        Buffer.from(encodeResource(stored.object)),
      )
      assert.equal(read(items![0]).metadata.resourceVersion, String(stored.revision))
    })
  })

  describe('watch', () => {
    const watching = (more: Partial<WatchRequest> = {}) =>
      bench.handlers.watch(
        {
          apiVersion: 'v1',
          kind: 'ConfigMap',
          namespace: '',
          labelSelector: '',
          fieldSelector: '',
          resourceVersion: '',
          bookmarks: false,
          ...more,
        },
        call,
      )
    async function take(events: AsyncIterator<unknown>, count: number): Promise<string[]> {
      const told: string[] = []
      while (told.length < count) {
        const { value } = (await events.next()) as IteratorResult<WatchEvent>
        const object = read((value as WatchEvent).object)
        told.push(
          `${(value as WatchEvent).type} ${object.metadata.name} ${JSON.stringify((object as { data?: object }).data ?? {})}`,
        )
      }
      return told
    }
    const set = (name: string, value: string, labels?: Record<string, string>) =>
      bench.api.mutate(
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

    it('tells first what is there, then a bookmark, then every change', async () => {
      await bench.api.create<'ConfigMap'>(configDraft('a', { v: '1' }), context)
      const events = watching()
      assert.deepEqual(await take(events, 2), ['ADDED a {"v":"1"}', 'BOOKMARK  {}'])
      await set('a', '2')
      await bench.api.create<'ConfigMap'>(configDraft('b', {}), context)
      await bench.api.delete('ConfigMap', 'default', 'a', {}, context)
      assert.deepEqual(await take(events, 3), ['MODIFIED a {"v":"2"}', 'ADDED b {}', 'DELETED a {"v":"2"}'])
      await events.return()
    })

    it('begins after a revision and misses nothing', async () => {
      const {
        metadata: { resourceVersion },
      } = await bench.api.create<'ConfigMap'>(configDraft('a', { v: '1' }), context)
      await set('a', '2')
      const events = watching({ resourceVersion })
      assert.deepEqual(await take(events, 1), ['MODIFIED a {"v":"2"}'])
      await assert.rejects(watching({ resourceVersion: 'x' }).next(), { code: 'InvalidArgument' })
      const early = watching({ resourceVersion: '100000' }).next()
      early.catch(() => undefined)
      await bench.clock.advance(3_000)
      await assert.rejects(early, { code: 'DeadlineExceeded', message: /Too large resource version: 100000/ })
      for (let index = 0; index < 2_100; index++) await set('a', `n${index}`)
      await bench.reads.current()
      await assert.rejects(watching({ resourceVersion }).next(), { code: 'Expired' })
    })

    it('goes on in the middle of a commit and misses none of it, on this controller and on the next', async () => {
      const names = ['a', 'b', 'c', 'd', 'e']
      const begun = (await bench.handlers.list(listing(), call)).resourceVersion!
      const made = await Promise.all(names.map((name) => bench.api.create<'ConfigMap'>(configDraft(name, {}), context)))
      assert.equal(new Set(made.map(({ metadata }) => metadata.resourceVersion)).size, 1, 'one commit')
      const events = watching({ resourceVersion: begun })
      assert.deepEqual(await take(events, 1), ['ADDED a {}'])
      await events.return()

      const { resourceVersion } = made[0]!.metadata
      const told = names.map((name) => `ADDED ${name} {}`)
      assert.deepEqual(await take(watching({ resourceVersion }), 5), told)

      await Promise.all([bench.api.delete('ConfigMap', 'default', 'a', {}, context), set('b', '1'), set('c', '1')])
      const revision = String(await bench.store.revision())
      const next = new StoreInformer({
        store: bench.store,
        clock: bench.clock,
        random: bench.random,
        logger: silentLogger,
      })
      const running = next.run(over.signal)
      await next.synced()
      const reads = new ConsistentReads(bench.store, next)
      const { clock, api } = bench
      const elsewhere = new ResourcesHandlers(testRequests({ api, informer: next, reads, clock }))
      const again = elsewhere.watch(
        {
          apiVersion: 'v1',
          kind: 'ConfigMap',
          namespace: '',
          labelSelector: '',
          fieldSelector: '',
          resourceVersion: revision,
          bookmarks: false,
        },
        call,
      )
      assert.deepEqual((await take(again, 3)).sort(), ['DELETED a {}', 'MODIFIED b {"v":"1"}', 'MODIFIED c {"v":"1"}'])
      over.abort(new GantryError('Cancelled', 'the test is over'))
      await running
    })

    it('says ADDED when an object begins to match and DELETED when it no longer does', async () => {
      await bench.api.create<'ConfigMap'>(configDraft('a', { v: '1' }, { labels: { on: 'no' } }), context)
      const events = watching({ labelSelector: 'on=yes', namespace: 'default' })
      assert.deepEqual(await take(events, 1), ['BOOKMARK  {}'])
      await set('a', '2', { on: 'yes' })
      await set('a', '3')
      await set('a', '4', { on: 'no' })
      await set('a', '5')
      await set('a', '6', { on: 'yes' })
      await bench.api.delete('ConfigMap', 'default', 'a', {}, context)
      assert.deepEqual(await take(events, 5), [
        'ADDED a {"v":"2"}',
        'MODIFIED a {"v":"3"}',
        'DELETED a {"v":"3"}',
        'ADDED a {"v":"6"}',
        'DELETED a {"v":"6"}',
      ])
    })

    it('sends a bookmark each minute to those who asked', async () => {
      const events = watching({ bookmarks: true })
      await take(events, 1)
      const next = take(events, 1)
      await bench.clock.advance(60_000)
      assert.deepEqual(await next, ['BOOKMARK  {}'])
      await bench.api.create<'ConfigMap'>(configDraft('a', {}), context)
      assert.deepEqual(await take(events, 1), ['ADDED a {}'])
    })

    it('ends with its caller', async () => {
      const events = watching()
      await take(events, 1)
      const next = events.next()
      over.abort(new GantryError('Cancelled', 'gone'))
      assert.equal((await next).done, true)
    })
  })
})
