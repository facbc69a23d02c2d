import assert from 'node:assert/strict'
import { ConsistentReads } from '../../controller/api/consistent-reads.ts'
import { createParticipants } from '../../controller/participants.ts'
import { ObjectRegistry } from '../../controller/api/objects.ts'
import { StoreInformer } from '../../controller/informer/informer.ts'
import { EtcdStore } from '../../controller/store/etcd.ts'
import { GroupCommit } from '../../controller/store/group-commit.ts'
import type { GantryError } from '../../proto/base/errors.ts'
import { systemClock as clock } from '../../proto/base/clock.ts'
import { silentLogger as logger } from '../../proto/base/logger.ts'
import { seededRandom } from '../../proto/base/random.ts'
import { RunGroup } from '../../proto/base/run-group.ts'
import type { Service } from '../../proto/gen/types.ts'
import { TestEtcd } from './store-etcd.ts'

/** One controller's API over a connection of its own. All of them choose the same numbers. */
class Replica {
  readonly store: EtcdStore
  readonly reads: ConsistentReads
  readonly api: ObjectRegistry
  readonly #group = new RunGroup()

  constructor(endpoint: string) {
    const random = seededRandom(7)
    this.store = new EtcdStore({ endpoints: [endpoint], clock }, random)
    const informer = new StoreInformer({ store: this.store, clock, random, logger })
    this.reads = new ConsistentReads(this.store, informer)
    this.api = new ObjectRegistry({
      reads: this.reads,
      informer,
      commits: new GroupCommit(this.store),
      clock,
      random,
      participants: createParticipants({
        reads: this.reads,
        store: this.store,
        informer,
        random,
        serviceCidr: '10.96.0.0/24',
      }),
    })
    this.#group.add((signal) => informer.run(signal))
  }

  create(name: string, spec: object): Promise<Service> {
    return this.api.create<'Service'>(
      { kind: 'Service', metadata: { name, namespace: 'default' }, spec: { ports: [{ port: 80 }], ...spec } },
      { fieldManager: 'tester' },
    )
  }

  async stop(): Promise<void> {
    this.#group.stop()
    await this.#group.wait()
    await this.store.close()
  }
}

describe('addresses of Services on etcd', function () {
  this.timeout(60_000)
  let etcd: TestEtcd
  let replicas: Replica[]

  before(async () => {
    etcd = await TestEtcd.start()
    replicas = [0, 1, 2].map(() => new Replica(etcd.endpoint))
    await replicas[0]!.api.create({ kind: 'Namespace', metadata: { name: 'default' } }, { fieldManager: 'tester' })
    for (const { reads } of replicas) await reads.current()
  })

  after(async () => {
    for (const replica of replicas) await replica.stop()
    await etcd.remove()
  })

  it('are given once, though three controllers choose the same at once, and freed with their Service', async () => {
    const made = await Promise.all(
      Array.from({ length: 90 }, (_, index) => replicas[index % 3]!.create(`s${index}`, { type: 'NodePort' })),
    )
    const addresses = made.map(({ spec }) => spec.clusterIP)
    const ports = made.map(({ spec }) => spec.ports![0]!.nodePort)
    assert.deepEqual([new Set(addresses).size, new Set(ports).size], [90, 90])
    const one = await Promise.allSettled(
      replicas.map((replica, index) => replica.create(`asked${index}`, { clusterIP: '10.96.0.9' })),
    )
    assert.deepEqual(one.map(({ status }) => status).sort(), ['fulfilled', 'rejected', 'rejected'])
    for (const outcome of one)
      if (outcome.status === 'rejected')
        assert.match((outcome.reason as GantryError).message, /10\.96\.0\.9 is taken by Service default\/asked\d/)
    const claims = (await replicas[0]!.store.list('/gantry-allocations/')).entries.map(({ key }) =>
      key.slice('/gantry-allocations/'.length),
    )
    assert.deepEqual(
      claims.sort(),
      [
        ...addresses.map((address) => `address/${address}`),
        ...ports.map((port) => `nodeport/${port}`),
        'address/10.96.0.9',
      ].sort(),
    )
    const names = [
      ...made.map(({ metadata }) => metadata.name),
      ...one.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value.metadata.name] : [])),
    ]
    await Promise.all(
      names.map((name, index) =>
        replicas[(index + 1) % 3]!.api.delete('Service', 'default', name, {}, { fieldManager: 'tester' }),
      ),
    )
    assert.equal((await replicas[0]!.store.list('/gantry-allocations/')).count, 0)
  })
})
