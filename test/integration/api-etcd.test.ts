import assert from 'node:assert/strict'
import { ClusterHandlers } from '../../controller/grpc/cluster.ts'
import { ConsistentReads } from '../../controller/api/consistent-reads.ts'
import { createParticipants } from '../../controller/participants.ts'
import { ObjectRegistry } from '../../controller/api/objects.ts'
import type { Requests } from '../../controller/requests/requests.ts'
import { ResourcesHandlers } from '../../controller/grpc/resources.ts'
import { StoreInformer } from '../../controller/informer/informer.ts'
import { EtcdConnection } from '../../controller/store/etcd-connection.ts'
import { EtcdStore } from '../../controller/store/etcd.ts'
import { GroupCommit } from '../../controller/store/group-commit.ts'
import { createAuthority, issue, type KeyPair } from '../../deploy/ca.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { connect, CONTROLLER_HOST, Server, type Connection } from '../../proto/rpc/rpc.ts'
import { decodeResource, encode } from '../../proto/codec/wire.ts'
import { systemClock as clock } from '../../proto/base/clock.ts'
import { silentLogger as logger } from '../../proto/base/logger.ts'
import { systemRandom as random } from '../../proto/base/random.ts'
import { RunGroup } from '../../proto/base/run-group.ts'
import type { Kind, ObjectBytes, Pod } from '../../proto/gen/types.ts'
import { TestEtcd } from './store-etcd.ts'
import { testRequests } from '../controller/requests/test-requests.ts'
import { until } from '../eventually.ts'

/** One replica of the API over a store of its own. */
class Replica {
  readonly store: EtcdStore
  readonly informer: StoreInformer
  readonly reads: ConsistentReads
  readonly api: ObjectRegistry
  readonly requests: Requests
  readonly group = new RunGroup()

  constructor(endpoint: string) {
    this.store = new EtcdStore({ endpoints: [endpoint], clock }, random)
    this.informer = new StoreInformer({ store: this.store, clock, random, logger })
    this.reads = new ConsistentReads(this.store, this.informer)
    this.api = new ObjectRegistry({
      reads: this.reads,
      informer: this.informer,
      commits: new GroupCommit(this.store),
      clock,
      random,
      participants: createParticipants({ ...this, random }),
    })
    this.requests = testRequests({
      informer: this.informer,
      reads: this.reads,
      api: this.api,
      clock,
      cluster: {
        version: '1.2.3',
        controller: 'c1',
        leader: () => 'c1',
        why: (namespace, pod) => ({ summary: `${namespace}/${pod}` }),
      },
      events: {
        async *read(query) {
          yield {
            apiVersion: 'v1',
            kind: 'Event',
            metadata: { name: 'e', namespace: query.namespace ?? '', uid: 'u', resourceVersion: '' },
            reason: `since ${query.since}`,
          }
        },
      },
    })
    this.group.add((signal) => this.informer.run(signal))
  }

  server(authority: KeyPair, certificate: KeyPair): Server {
    const tls = { ca: authority.cert, ...certificate }
    const server = new Server({ address: '127.0.0.1:0', tls })
    server.add('Resources', new ResourcesHandlers(this.requests))
    server.add('Cluster', new ClusterHandlers(this.requests))
    return server
  }

  async stop(): Promise<void> {
    this.group.stop()
    await this.group.wait()
    await this.store.close()
  }
}

describe('the API on etcd over mTLS', function () {
  this.timeout(60_000)
  const context = { fieldManager: 'tester' }
  let etcd: TestEtcd
  let one: Replica
  let two: Replica
  let server: Server
  let authority: KeyPair
  let address: string
  const connections: Connection[] = []

  async function as(commonName: string, organization: string): Promise<Connection> {
    const connection = connect(address, {
      ca: authority.cert,
      ...(await issue(authority, { commonName, organizations: [organization] }, clock.now())),
    })
    connections.push(connection)
    return connection
  }

  before(async () => {
    etcd = await TestEtcd.start()
    one = new Replica(etcd.endpoint)
    two = new Replica(etcd.endpoint)
    await Promise.all([one.informer.synced(), two.informer.synced()])
    await one.api.create<'Namespace'>({ kind: 'Namespace', metadata: { name: 'default' } }, context)
    await Promise.all([one.reads.current(), two.reads.current()])
    authority = await createAuthority('test', clock.now())
    server = one.server(
      authority,
      await issue(authority, { commonName: 'controller', hosts: ['127.0.0.1', CONTROLLER_HOST] }, clock.now()),
    )
    address = await server.start()
  })

  after(async () => {
    for (const connection of connections) connection.close()
    await server?.stop()
    await Promise.all([one?.stop(), two?.stop()])
    await etcd?.remove()
  })

  const pod = (name: string, more: object = {}): ObjectBytes => ({
    apiVersion: 'v1',
    kind: 'Pod',
    raw: encode('Pod', { metadata: { name, ...more }, spec: { containers: [{ name: 'main', image: 'busybox' }] } }),
  })
  const ref = (kind: Kind, name: string) => ({ apiVersion: 'v1', kind, namespace: 'default', name })
  const read = <K extends Kind>(bytes: ObjectBytes | undefined) => decodeResource(bytes!.kind as K, bytes!.raw)

  it('serves masters, refuses agents, and shows no secret to them', async () => {
    const anna = (await as('anna', 'system:masters')).client('Resources')
    const made = read<'Pod'>((await anna.create({ object: pod('web') })).object)
    assert.equal(made.metadata.managedFields?.[0]?.manager, 'anna')
    assert.deepEqual(read((await anna.get({ ref: ref('Pod', 'web') })).object), made)
    const node = await as('system:node:n1', 'system:nodes')
    await assert.rejects(
      node.client('Resources').get({ ref: ref('Secret', 's') }),
      (error: GantryError) =>
        error.code === 'Forbidden' && /system:node:n1/.test(error.message) && error.details[0]?.remedy !== '',
    )
    // Which version it is everybody may know, as at the path /version.
    assert.equal((await node.client('Cluster').version({})).version, '1.2.3')
    await assert.rejects(node.client('Cluster').why({ namespace: 'default', pod: 'web' }), { code: 'Forbidden' })
  })

  it('carries errors whole: stale resourceVersion, unknown field, too large, conflict of owners', async () => {
    const anna = (await as('anna', 'system:masters')).client('Resources')
    const first = read<'Pod'>((await anna.create({ object: pod('stale') })).object)
    await anna.patch({ ref: ref('Pod', 'stale'), type: 'MERGE', patch: '{"metadata":{"labels":{"a":"b"}}}' })
    await assert.rejects(
      anna.update({ object: { apiVersion: 'v1', kind: 'Pod', raw: encode('Pod', first) } }),
      (error: GantryError) =>
        error.code === 'Conflict' &&
        error.details[0]?.field === 'metadata.resourceVersion' &&
        error.details[0].remedy !== '',
    )
    await assert.rejects(
      anna.apply({
        ref: ref('Pod', 'x'),
        configuration: '{"apiVersion":"v1","kind":"Pod","spec":{"container":[]}}',
        options: { fieldManager: 'a' },
      }),
      (error: GantryError) => error.code === 'InvalidArgument' && /containers/.test(error.details[0]?.remedy ?? ''),
    )
    const large = {
      apiVersion: 'v1',
      kind: 'Pod',
      raw: encode('Pod', {
        metadata: { name: 'large' },
        spec: { containers: [{ name: 'main', image: 'busybox', args: ['x'.repeat(1_500_001)] }] },
      }),
    }
    await assert.rejects(anna.create({ object: large }), { code: 'ResourceExhausted' })
    const config = (value: string): string =>
      JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'owned' }, data: { key: value } })
    assert.equal(
      (
        await anna.apply({
          ref: ref('ConfigMap', 'owned'),
          configuration: config('1'),
          options: { fieldManager: 'first' },
        })
      ).outcome,
      'CREATED',
    )
    await assert.rejects(
      anna.apply({ ref: ref('ConfigMap', 'owned'), configuration: config('2'), options: { fieldManager: 'second' } }),
      (error: GantryError) =>
        error.code === 'Conflict' &&
        /data/.test(error.details[0]?.field ?? '') &&
        /first/.test(error.details[0]?.message ?? ''),
    )
    assert.equal(
      (
        await anna.apply({
          ref: ref('ConfigMap', 'owned'),
          configuration: config('2'),
          options: { fieldManager: 'second', force: true },
        })
      ).outcome,
      'CONFIGURED',
    )
  })

  it('shows on each replica at once what was written through the other', async () => {
    for (let index = 0; index < 30; index++) {
      const made = await one.api.create<'ConfigMap'>(
        { kind: 'ConfigMap', metadata: { name: `rw-${index}`, namespace: 'default' } },
        context,
      )
      assert.deepEqual(await two.api.get('ConfigMap', 'default', `rw-${index}`), made)
      const changed = await two.api.mutate(
        'ConfigMap',
        'default',
        `rw-${index}`,
        '',
        (config) => void (config.data = { a: 'b' }),
        context,
      )
      assert.deepEqual(await one.api.get('ConfigMap', 'default', `rw-${index}`), changed)
    }
  })

  it('loses no change when two replicas change one object at once', async () => {
    await one.api.create<'ConfigMap'>(
      { kind: 'ConfigMap', metadata: { name: 'shared', namespace: 'default' } },
      context,
    )
    const writers = Array.from({ length: 6 }, (_, index) =>
      (index % 2 === 0 ? one : two).api.mutate(
        'ConfigMap',
        'default',
        'shared',
        '',
        (config) => void (config.data = { ...config.data, [`k${index}`]: 'v' }),
        context,
      ),
    )
    await Promise.all(writers)
    assert.equal(Object.keys((await two.api.get('ConfigMap', 'default', 'shared')).data ?? {}).length, 6)
  })

  it('watches through the loss of etcd', async () => {
    const anna = (await as('anna', 'system:masters')).client('Resources')
    const stop = new AbortController()
    const told: string[] = []
    const watching = (async () => {
      for await (const { type, object } of anna.watch(
        { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', bookmarks: true },
        { signal: stop.signal },
      ))
        told.push(`${type} ${read(object).metadata.name}`)
    })()
    await until('the watch has begun', () => told.length === 1)
    const lease = (name: string) =>
      two.api.create<'Lease'>({ kind: 'Lease', metadata: { name, namespace: 'default' } }, context)
    await lease('before')
    await etcd.kill()
    await assert.rejects(lease('during'), { code: 'Unavailable' })
    await etcd.start()
    await until('writes succeed again', async () => {
      try {
        await lease('after')
        return true
      } catch (thrown) {
        if (GantryError.is(thrown, 'AlreadyExists')) return true
        if (!GantryError.is(thrown, 'Unavailable')) throw thrown
        return false
      }
    })
    await until('the watch tells of both', () => told.includes('ADDED after'))
    assert.deepEqual(
      told.filter((line) => line !== 'BOOKMARK '),
      ['ADDED before', 'ADDED after'],
    )
    stop.abort()
    await assert.rejects(watching, { code: 'Cancelled' })
  })

  it('answers for the cluster', async () => {
    const cluster = (await as('anna', 'system:masters')).client('Cluster')
    assert.deepEqual(await cluster.version({}), {
      version: '1.2.3',
      controller: 'c1',
      leader: 'c1',
      nodeVersion: process.version,
    })
    assert.equal((await cluster.why({ pod: 'web' })).summary, 'default/web')
    const events: string[] = []
    for await (const event of cluster.events({ namespace: 'team', since: '2026-01-01T00:00:00Z' }))
      events.push(`${read<'Event'>(event).metadata.namespace} ${read<'Event'>(event).reason}`)
    assert.deepEqual(events, ['team since 1767225600000'])
    await assert.rejects(cluster.why({}), { code: 'InvalidArgument' })
    await assert.rejects(
      (async () => {
        for await (const _ of cluster.events({ type: 'Odd' })) assert.fail('no event expected')
      })(),
      { code: 'InvalidArgument' },
    )
  })

  it('lists more than one message of etcd holds', async () => {
    const text = 'x'.repeat(1_500)
    for (let begin = 0; begin < 2_000; begin += 500) {
      await Promise.all(
        Array.from({ length: 500 }, (_, index) =>
          one.api.create<'Secret'>(
            { kind: 'Secret', metadata: { name: `s-${begin + index}`, namespace: 'default' }, stringData: { text } },
            context,
          ),
        ),
      )
    }
    const anna = (await as('anna', 'system:masters')).client('Resources')
    const names: string[] = []
    let token = ''
    do {
      const page: Awaited<ReturnType<typeof anna.list>> = await anna.list({
        apiVersion: 'v1',
        kind: 'Secret',
        continue: token,
      })
      names.push(...page.items.map((item) => read(item).metadata.name))
      token = page.continue
    } while (token !== '')
    assert.equal(new Set(names).size, 2_000)
    assert.equal(names.length, 2_000)
  })

  it('continues a list at whichever replica, as it was, until etcd is compacted', async () => {
    const team = 'pages'
    await one.api.create<'Namespace'>({ kind: 'Namespace', metadata: { name: team } }, context)
    const make = (name: string, value: string) =>
      one.api.create<'ConfigMap'>({ kind: 'ConfigMap', metadata: { name, namespace: team }, data: { value } }, context)
    for (let index = 0; index < 10; index++) await make(`c${index}`, 'old')
    const replicas = [one, two, new Replica(etcd.endpoint)]
    const late = replicas[2]!
    try {
      const list = (replica: Replica, token: string) =>
        new ResourcesHandlers(replica.requests).list(
          {
            apiVersion: 'v1',
            kind: 'ConfigMap',
            namespace: team,
            labelSelector: '',
            fieldSelector: '',
            limit: 2,
            continue: token,
          },
          { signal: new AbortController().signal, peer: '', user: { name: 'anna', groups: ['system:masters'] } },
        )
      const shown = ({ items = [] }: Awaited<ReturnType<typeof list>>): string[] =>
        items
          .map((item) => read<'ConfigMap'>(item as ObjectBytes))
          .map(({ metadata, data }) => `${metadata.name}=${data!.value}`)
      const first = await list(one, '')
      for (let index = 0; index < 10; index++) {
        // Between pages each object is changed, deleted, or made again.
        const name = `c${index}`
        if (index % 3 === 0) await two.api.delete('ConfigMap', team, name, {}, context)
        else
          await two.api.mutate('ConfigMap', team, name, '', (config) => void (config.data = { value: 'new' }), context)
      }
      await late.informer.synced() // only now: it knows nothing of what there was but by etcd
      const pages = [first]
      for (let token = first.continue!; token !== ''; token = pages.at(-1)!.continue!)
        pages.push(await list(replicas[pages.length % replicas.length]!, token))
      assert.deepEqual(
        pages.flatMap(shown),
        Array.from({ length: 10 }, (_, index) => `c${index}=old`),
      )
      assert.deepEqual(new Set(pages.map(({ resourceVersion }) => resourceVersion)), new Set([first.resourceVersion]))

      const connection = new EtcdConnection({ endpoints: [etcd.endpoint], clock })
      await connection.call('KV', 'compact', { revision: await one.store.revision(), physical: true }, 'write')
      connection.close()
      const other = new Replica(etcd.endpoint)
      replicas.push(other)
      await other.informer.synced()
      const expired = await list(other, first.continue!).then(
        () => assert.fail('etcd has forgotten it'),
        (thrown: unknown) => thrown as GantryError,
      )
      assert.equal(expired.code, 'Expired')
      assert.deepEqual(shown(await list(late, expired.details[0]!.value)), ['c2=new', 'c4=new'])
    } finally {
      await Promise.all(replicas.slice(2).map((replica) => replica.stop()))
    }
  })

  it("gives a pod's watcher what the control plane wrote: created, bound, running", async () => {
    const anna = (await as('anna', 'system:masters')).client('Resources')
    const list = await anna.list({ apiVersion: 'v1', kind: 'Pod' })
    const stop = new AbortController()
    const seen: Pod[] = []
    const watching = (async () => {
      for await (const { object } of anna.watch(
        { apiVersion: 'v1', kind: 'Pod', resourceVersion: list.resourceVersion, fieldSelector: 'metadata.name=path' },
        { signal: stop.signal },
      ))
        seen.push(read<'Pod'>(object))
    })()
    const made = read<'Pod'>((await anna.create({ object: pod('path') })).object)
    const bound = await two.api.bind('default', 'path', made.metadata.uid, 'n1', context)
    const running = await one.api.updateStatus<'Pod'>(
      { ...bound, status: { ...bound.status, phase: 'Running' } },
      context,
    )
    await until('all three are seen', () => seen.length === 3)
    assert.deepEqual(seen, [made, bound, running])
    stop.abort()
    await assert.rejects(watching, { code: 'Cancelled' })
  })
})
