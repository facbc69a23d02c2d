import assert from 'node:assert/strict'
import fc from 'fast-check'
import { requestedAmounts } from '../../../controller/scheduler/pod-requests.ts'
import type { ReservePlugin } from '../../../controller/scheduler/framework.ts'
import { allPlugins } from '../../../controller/scheduler/plugins/all.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { FakeClock } from '../../../proto/base/clock.ts'
import { quantityMillis } from '../../../proto/base/quantity.ts'
import { failsWith } from '../../contract/store.ts'
import { node, pod, TestCluster } from './cluster.ts'

describe('scheduler', () => {
  let clock: FakeClock
  let cluster: TestCluster

  beforeEach(() => {
    clock = new FakeClock()
    cluster = new TestCluster(clock)
  })
  afterEach(async () => {
    await cluster.stop()
    assert.equal(clock.pending, 0, 'no timer is left')
  })

  it('binds what is there and what comes, without time passing', async () => {
    await cluster.put(node('n1'), pod('early'))
    await cluster.start()
    await cluster.settle()
    assert.equal(cluster.placeOf('early'), 'n1')
    await cluster.put(pod('late'))
    assert.equal(cluster.placeOf('late'), 'n1')
    assert.equal(clock.monotonic(), 0)
    assert.deepEqual(
      cluster.events.map(({ pod: name, reason }) => `${name} ${reason}`),
      ['early Scheduled', 'late Scheduled'],
    )
  })

  it('leaves alone what has a node, ends or has ended', async () => {
    await cluster.start()
    await cluster.put(
      node('n1'),
      pod('placed', { spec: { nodeName: 'elsewhere' } }),
      pod('ended', { status: { phase: 'Succeeded' } }),
    )
    const going = pod('going')
    going.metadata.deletionTimestamp = '2026-01-01T00:00:00Z'
    await cluster.put(going)
    assert.deepEqual(cluster.binds, [])
  })

  it('joins the binds of a burst into few commits', async () => {
    await cluster.start()
    await cluster.put(...Array.from({ length: 10 }, (_, index) => node(`n${index}`)))
    const before = await cluster.store.revision()
    await cluster.put(...Array.from({ length: 100 }, (_, index) => pod(`p${index}`, { cpu: '100m', owner: 'rs' })))
    assert.equal(cluster.binds.length, 100)
    assert.equal((await cluster.store.revision()) - before, 2, 'one commit for the pods, one for their binds')
    const perNode = new Map<string, number>()
    for (const { spec } of cluster.informer.lister('Pod').list())
      perNode.set(spec.nodeName!, (perNode.get(spec.nodeName!) ?? 0) + 1)
    assert.deepEqual([...perNode.values()], Array(10).fill(10), 'spread evenly')
  })

  it('says why a pod waits: in its status, by one event, per node', async () => {
    await cluster.start()
    await cluster.put(pod('big', { cpu: '2' }))
    assert.equal(cluster.reason('big'), 'there is no node yet')
    await cluster.put(node('n1', { cpu: '1' }), node('n2', { cpu: '1600m' }), node('n3', { unschedulable: true }))
    await clock.advance(100)
    await cluster.settle()
    assert.equal(cluster.reason('big'), '0/3 nodes fit: 2 cpu short (at best by 400m, on n2), 1 cordoned')
    const condition = cluster.pod('big').status.conditions![0]!
    assert.deepEqual([condition.status, condition.reason], ['False', 'Unschedulable'])
    assert.deepEqual(cluster.events.at(-1), {
      pod: 'big',
      type: 'Warning',
      reason: 'FailedScheduling',
      message: cluster.reason('big'),
    })
    assert.deepEqual(cluster.scheduler.why('default', 'big'), {
      node: '',
      summary: cluster.reason('big'),
      time: '2026-01-01T00:00:00Z',
      verdicts: [
        { node: 'n1', fits: false, plugin: 'Resources', reason: 'cpu 1 short (requested 2, free 1)', score: 0 },
        { node: 'n2', fits: false, plugin: 'Resources', reason: 'cpu 400m short (requested 2, free 1600m)', score: 0 },
        { node: 'n3', fits: false, plugin: 'Unschedulable', reason: 'is cordoned', score: 0 },
      ],
    })
    const writes = cluster.statusWrites
    const events = cluster.events.length
    await clock.advance(20_000)
    await cluster.put(node('n1', { cpu: '1', labels: { changed: 'yes' } }))
    assert.deepEqual([cluster.statusWrites, cluster.events.length], [writes, events], 'the same is not said twice')
  })

  it('tells where a pod went and what else fitted', async () => {
    await cluster.start()
    await cluster.put(node('n1'), node('n2', { ready: 'Unknown' }), pod('web'))
    const why = cluster.scheduler.why('default', 'web')
    assert.equal(why.node, 'n1')
    assert.deepEqual(
      why.verdicts.map(({ node: name, fits, plugin }) => [name, fits, plugin]),
      [
        ['n1', true, ''],
        ['n2', false, 'NodeReady'],
      ],
    )
    assert.match(why.summary, /^n1 is the best of 1 that fit \(score \d+; 2 nodes looked at\)$/)
    assert.throws(() => cluster.scheduler.why('default', 'none'), failsWith('NotFound'))
  })

  it('tells later what was found, as it was then', async () => {
    await cluster.start()
    await cluster.put(node('n1', { cpu: '2' }), node('n2', { cpu: '1' }), pod('web', { cpu: '500m' }))
    const found = cluster.scheduler.why('default', 'web')
    assert.equal(found.node, 'n1')
    await cluster.put(pod('other', { cpu: '1' }), node('n2', { unschedulable: true }), node('n3'))
    await cluster.remove('Node', 'n1')
    assert.deepEqual(cluster.scheduler.why('default', 'web'), found)
  })

  describe('tries again', () => {
    const helps: { what: string; help: () => Promise<void> }[] = [
      { what: 'when a node comes', help: () => cluster.put(node('n2')) },
      { what: 'when a node becomes larger', help: () => cluster.put(node('n1', { cpu: '8' })) },
      { what: 'when a pod goes', help: () => cluster.remove('Pod', 'first') },
      {
        what: 'when a pod ends',
        help: () => cluster.put(pod('first', { cpu: '3', spec: { nodeName: 'n1' }, status: { phase: 'Succeeded' } })),
      },
    ]
    for (const { what, help } of helps) {
      it(what, async () => {
        await cluster.start()
        await cluster.put(node('n1', { cpu: '4' }), pod('first', { cpu: '3' }))
        await cluster.put(pod('second', { cpu: '3' }))
        assert.equal(cluster.placeOf('second'), '')
        await clock.advance(1000)
        const before = clock.monotonic()
        await help()
        assert.notEqual(cluster.placeOf('second'), '')
        assert.equal(clock.monotonic(), before, 'at once')
      })
    }

    it('when the pod asks for less or tolerates more, but not when only its status changes', async () => {
      await cluster.start()
      await cluster.put(node('n1', { taints: [{ key: 'dedicated', value: 'db', effect: 'NoSchedule' }] }), pod('web'))
      assert.match(cluster.reason('web')!, /1 tainted dedicated=db:NoSchedule/)
      const changed = structuredClone(cluster.pod('web'))
      changed.spec.tolerations = [{ key: 'dedicated', operator: 'Exists' }]
      changed.metadata.generation = 2
      await cluster.put(changed)
      assert.equal(cluster.placeOf('web'), 'n1')
    })

    it('not on events that cannot help', async () => {
      await cluster.start()
      await cluster.put(node('n1', { cpu: '1' }), pod('big', { cpu: '2' }), pod('other'))
      const time = cluster.scheduler.why('default', 'big').time
      await clock.advance(60_000)
      const beat = node('n1', { cpu: '1' })
      beat.status.conditions![0]!.lastHeartbeatTime = '2026-01-01T00:01:00Z'
      await cluster.put(beat, pod('another'))
      assert.equal(cluster.scheduler.why('default', 'big').time, time)
    })

    it('once for a crowd of events, after a while', async () => {
      await cluster.start()
      await cluster.put(node('n1', { cpu: '1' }), pod('big', { cpu: '2' }))
      let tries = 0
      const plugins = {
        ...allPlugins,
        filters: [
          { name: 'Counter', eventsToRegister: [], prepareFilter: () => (tries++, undefined) },
          ...allPlugins.filters,
        ],
      }
      await cluster.stop()
      cluster = new TestCluster(clock, { plugins })
      await cluster.start()
      await cluster.put(node('n1', { cpu: '1' }), pod('big', { cpu: '2' }))
      for (let index = 0; index < 20; index++) await cluster.put(node(`small${index}`, { cpu: '1' }))
      assert.equal(tries, 1)
      await clock.advance(100)
      await cluster.settle()
      assert.equal(tries, 2)
    })
  })

  describe('when a bind fails', () => {
    it('gives the room back and tries again later', async () => {
      await cluster.start()
      cluster.failBind = () => new GantryError('Unavailable', 'the store is away')
      await cluster.put(node('n1', { cpu: '1' }), pod('a', { cpu: '1' }))
      assert.deepEqual([cluster.binds, cluster.placeOf('a')], [['a@n1'], ''])
      cluster.failBind = () => undefined
      await clock.advance(100)
      await cluster.settle()
      assert.equal(cluster.placeOf('a'), 'n1')
    })

    it('lets another have the room meanwhile', async () => {
      await cluster.start()
      cluster.failBind = (name) => (name === 'a' ? new GantryError('Conflict', 'changed') : undefined)
      await cluster.put(node('n1', { cpu: '1' }), pod('a', { cpu: '1' }), pod('b', { cpu: '1' }))
      // Each waits as long as chance says: in steps this small they do not come at once.
      for (let tries = 0; tries < 100; tries++) {
        await clock.advance(10)
        await cluster.settle()
      }
      assert.deepEqual([cluster.placeOf('a'), cluster.placeOf('b')], ['', 'n1'])
    })

    it('does not touch a pod of the same name made since', async () => {
      await cluster.start()
      let answer: (error: GantryError) => void = () => assert.fail('no bind is under way')
      const first = new Promise<GantryError>((resolve) => (answer = resolve))
      cluster.failBind = () => {
        cluster.failBind = () => undefined
        return first
      }
      await cluster.put(node('n1', { pods: '1' }), pod('a', { uid: 'first' }))
      await cluster.remove('Pod', 'a')
      await cluster.put(pod('a', { uid: 'second' }))
      assert.equal(cluster.placeOf('a'), 'n1')
      answer(new GantryError('NotFound', 'a is gone'))
      await cluster.put(pod('b'))
      await clock.advance(20_000)
      assert.deepEqual(cluster.binds, ['a@n1', 'a@n1'])
      assert.equal(cluster.reason('b'), '0/1 node fit: 1 full of pods')
    })

    it('has plugins release what they reserved', async () => {
      const reserved = new Set<string>()
      const keeper: ReservePlugin = {
        name: 'Keeper',
        eventsToRegister: ['pod-removed'],
        reserve: ({ metadata: { name } }) => {
          if (name === 'unwanted') return { reason: 'not kept', detail: 'is not kept' }
          reserved.add(name)
          return undefined
        },
        unreserve: ({ metadata: { name } }) => void reserved.delete(name),
      }
      cluster = new TestCluster(clock, { plugins: { ...allPlugins, reserves: [keeper] } })
      await cluster.start()
      cluster.failBind = (name) => (name === 'b' ? new GantryError('Conflict', 'changed') : undefined)
      await cluster.put(node('n1'), pod('a'), pod('b'), pod('unwanted'))
      assert.deepEqual([...reserved], ['a'])
      assert.equal(cluster.reason('unwanted'), '0/1 node fit: 1 not kept')
    })
  })

  it('doubts a bind that the informer never confirms', async () => {
    await cluster.stop()
    // The API says yes and writes nothing.
    const binds: string[] = []
    cluster = new TestCluster(clock, {
      api: {
        bind: async (_namespace, name) => (binds.push(name), pod(name)),
        mutate: () => assert.fail('nothing to write'),
      },
    })
    await cluster.start()
    await cluster.put(node('n1'), pod('a'))
    await clock.advance(29_000)
    assert.deepEqual(binds, ['a'])
    await clock.advance(2000)
    await cluster.settle()
    assert.deepEqual(binds, ['a', 'a'])
  })

  it('places the important first, then the old', async () => {
    await cluster.put(
      node('n1', { pods: '2' }),
      pod('young', { created: '2026-01-03T00:00:00Z' }),
      pod('old', { created: '2026-01-02T00:00:00Z' }),
      pod('important', { created: '2026-01-04T00:00:00Z', priority: 10 }),
    )
    await cluster.start()
    await cluster.settle()
    assert.deepEqual(cluster.binds, ['important@n1', 'old@n1'])
    assert.equal(cluster.reason('young'), '0/1 node fit: 1 full of pods')
  })

  it('stops writing when its term is over', async () => {
    await cluster.start()
    await cluster.store.commit([{ kind: 'delete', key: '/leader', expect: { is: 'any' } }])
    await cluster.put(node('n1'), pod('a'))
    assert.deepEqual(cluster.binds, ['a@n1'])
    assert.equal(cluster.placeOf('a'), '')
  })

  it('never puts more on a node than it has, whatever comes, goes and fails', async () => {
    const cpu = fc.constantFrom('100m', '300m', '500m', '1', '2')
    const step = fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({
          what: fc.constant('pods' as const),
          cpus: fc.array(cpu, { minLength: 1, maxLength: 8 }),
        }),
      },
      {
        weight: 1,
        arbitrary: fc.record({
          what: fc.constant('node' as const),
          name: fc.constantFrom('n1', 'n2', 'n3'),
          pods: fc.integer({ min: 1, max: 6 }),
        }),
      },
      { weight: 2, arbitrary: fc.record({ what: fc.constant('remove' as const), index: fc.nat() }) },
      {
        weight: 1,
        arbitrary: fc.record({ what: fc.constant('time' as const), millis: fc.integer({ min: 1, max: 5000 }) }),
      },
      { weight: 1, arbitrary: fc.record({ what: fc.constant('fail' as const), share: fc.constantFrom(0, 0.5) }) },
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 25 }), async (steps) => {
        const clock = new FakeClock()
        const cluster = new TestCluster(clock)
        await cluster.start()
        let made = 0
        try {
          for (const action of steps) {
            const pods = cluster.informer.lister('Pod').list()
            switch (action.what) {
              case 'pods':
                await cluster.put(...action.cpus.map((amount) => pod(`p${made++}`, { cpu: amount })))
                break
              // The number of cpus stays, so that what is bound stays within it.
              case 'node':
                await cluster.put(node(action.name, { cpu: '2', pods: String(100 + action.pods) }))
                break
              case 'remove':
                if (pods.length > 0) await cluster.remove('Pod', pods[action.index % pods.length]!.metadata.name)
                break
              case 'time':
                await clock.advance(action.millis)
                break
              case 'fail':
                cluster.failBind = (name) =>
                  Number(name.slice(1)) % 2 < action.share * 2 ? new GantryError('Unavailable', 'away') : undefined
            }
            for (const {
              metadata: { name },
              status,
            } of cluster.informer.lister('Node').list()) {
              const used = cluster.informer
                .lister('Pod')
                .byIndex('node', name)
                .reduce((sum, one) => sum + requestedAmounts(one).get('cpu')!, 0)
              assert.ok(used <= quantityMillis(status.allocatable!.cpu!), `${name} has ${used}m`)
            }
          }
          // Once nothing fails any more, what still waits is what really does not fit.
          cluster.failBind = () => undefined
          await clock.advance(60_000)
          await cluster.settle()
          const free = cluster.informer
            .lister('Node')
            .list()
            .map(
              ({ metadata: { name } }) =>
                2000 -
                cluster.informer
                  .lister('Pod')
                  .byIndex('node', name)
                  .reduce((sum, one) => sum + requestedAmounts(one).get('cpu')!, 0),
            )
          for (const waiting of cluster.informer.lister('Pod').byIndex('node', '')) {
            assert.ok(
              free.every((amount) => amount < requestedAmounts(waiting).get('cpu')!),
              `${waiting.metadata.name} waits though it fits`,
            )
          }
        } finally {
          await cluster.stop()
        }
      }),
      { numRuns: 60 },
    )
  }).timeout(60_000)
})
