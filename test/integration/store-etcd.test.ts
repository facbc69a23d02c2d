import assert from 'node:assert/strict'
import { EtcdConnection } from '../../controller/store/etcd-connection.ts'
import { EtcdStore } from '../../controller/store/etcd.ts'
import type { WatchBatch } from '../../controller/store/contract.ts'
import { systemClock } from '../../proto/base/clock.ts'
import { systemRandom } from '../../proto/base/random.ts'
import { committed, failsWith, put, remove, storeSuite } from '../contract/store.ts'
import { eventually } from '../eventually.ts'
import { freePort } from './free-port.ts'
import { TestEtcd } from './store-etcd.ts'

describe('etcd store', () => {
  let etcd: TestEtcd
  let connection: EtcdConnection
  const compact = async (revision: number): Promise<void> =>
    void (await connection.call('KV', 'compact', { revision, physical: true }, 'write'))

  before(async () => {
    etcd = await TestEtcd.start()
    connection = new EtcdConnection({ endpoints: [etcd.endpoint], clock: systemClock })
  })
  after(async () => {
    connection.close()
    await etcd.remove()
  })

  const open = (timeout = 20_000, endpoints = [etcd.endpoint]): EtcdStore =>
    new EtcdStore({ endpoints, timeout, clock: systemClock }, systemRandom)

  // etcd itself lets a lease run out: nothing to do but to wait for the deletion.
  describe('suite', () => storeSuite(async () => ({ store: open(), compact, expireLeases: async () => undefined })))

  it('lists 10,000 objects of 1.5 kB, and pages over the message limit', async () => {
    const store = open(10_000)
    const value = 'x'.repeat(1500)
    for (let page = 0; page < 100; page++) {
      await committed(
        store,
        ...Array.from({ length: 100 }, (_, index) =>
          put(`/gantry/many/${String(page * 100 + index).padStart(5, '0')}`, value),
        ),
      )
    }
    const keys: string[] = []
    let page = await store.list('/gantry/many/')
    const { revision } = page
    for (;;) {
      keys.push(...page.entries.map(({ key }) => key))
      if (page.next === undefined) break
      page = await store.list('/gantry/many/', { after: page.next, revision })
      assert.equal(page.count, 10_000)
    }
    assert.equal(keys.length, 10_000)
    assert.deepEqual(keys, [...new Set(keys)].sort())
    const large = 'y'.repeat(1_400_000)
    for (let index = 0; index < 60; index++)
      await committed(store, put(`/gantry/large/${String(index).padStart(2, '0')}`, large))
    let count = 0
    for (let after: string | undefined; ;) {
      const found = await store.list('/gantry/large/', after === undefined ? {} : { after })
      count += found.entries.length
      if (found.next === undefined) break
      after = found.next
    }
    assert.equal(count, 60)
    await store.close()
  }).timeout(60_000)

  it('fails within its bound while etcd is away, comes back by itself, and goes on watching', async () => {
    const store = open(500)
    const start = await committed(store, put('/gantry/away/a', '1'))
    const end = new AbortController()
    const seen: string[] = []
    let arrived: () => void = () => undefined
    const all = new Promise<void>((resolve) => (arrived = resolve))
    const watching = (async () => {
      for await (const { events } of store.watch('/gantry/away/', start, end.signal)) {
        for (const { type, entry } of events) seen.push(`${type} ${entry.key}=${Buffer.from(entry.value).toString()}`)
        if (seen.length >= 3) arrived()
      }
    })()
    await committed(store, put('/gantry/away/a', '2'))
    await etcd.kill()
    await Promise.all([
      assert.rejects(store.commit([put('/gantry/away/lost', 'x')]), failsWith('Unavailable')),
      assert.rejects(store.get('/gantry/away/a'), failsWith('Unavailable')),
      assert.rejects(store.keepLease('7'), failsWith('Unavailable')),
    ])
    await etcd.start()
    const patient = open(10_000)
    await committed(patient, put('/gantry/away/b', '1'))
    await committed(patient, remove('/gantry/away/a'))
    await patient.close()
    await all
    await eventually(async () => assert.equal((await store.list('/gantry/away/')).count, 1))
    end.abort()
    await watching
    assert.deepEqual(seen, ['put /gantry/away/a=2', 'put /gantry/away/b=1', 'delete /gantry/away/a='])
    await store.close()
  })

  it('says Expired when compaction overtakes a watch that had lost its connection', async () => {
    const store = open()
    const start = await committed(store, put('/gantry/overtaken/a', '1'))
    const batches = store.watch('/gantry/overtaken/', start, new AbortController().signal)[Symbol.asyncIterator]()
    const two = await committed(store, put('/gantry/overtaken/a', '2'))
    assert.equal(((await batches.next()).value as WatchBatch).revision, two)
    await etcd.kill()
    await etcd.start()
    const other = open(10_000)
    await committed(other, put('/gantry/overtaken/a', '3'))
    // The watch reads on only now: what it was told in between is in its queue, so it must come out either whole or as
    // Expired.
    await compact(await committed(other, put('/gantry/overtaken/a', '4')))
    const rest: number[] = []
    try {
      while (rest.at(-1) !== two + 2) rest.push(((await batches.next()).value as WatchBatch).revision)
    } catch (error) {
      assert.ok(failsWith('Expired')(error))
      assert.deepEqual(rest, [])
    }
    await batches.return?.()
    await other.close()
    await store.close()
  })

  it('uses another endpoint when one does not answer', async () => {
    const store = open(3000, [`127.0.0.1:${await freePort()}`, etcd.endpoint])
    await committed(store, put('/gantry/second/a', '1'))
    assert.equal((await store.list('/gantry/second/')).count, 1)
    await store.close()
    await assert.rejects(store.get('/gantry/second/a'), failsWith('Unavailable'))
  })
})
