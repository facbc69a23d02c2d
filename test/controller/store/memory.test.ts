import assert from 'node:assert/strict'
import { MemoryStore } from '../../../controller/store/memory.ts'
import { FakeClock } from '../../../proto/base/clock.ts'
import { committed, failsWith, put, storeSuite } from '../../contract/store.ts'

describe('memory store', () => {
  storeSuite(async () => {
    const clock = new FakeClock()
    const store = new MemoryStore(clock)
    return {
      store,
      compact: async (revision) => store.compact(revision),
      expireLeases: (seconds) => clock.advance(seconds * 1000),
    }
  })

  it('compacts by itself what is older than it keeps', async () => {
    const store = new MemoryStore(new FakeClock(), 10)
    const first = await committed(store, put('/a', '0'))
    for (let index = 1; index <= 20; index++) await committed(store, put('/a', String(index)))
    await assert.rejects(store.list('/', { revision: first }), failsWith('Expired'))
    assert.equal((await store.list('/', { revision: (await store.revision()) - 9 })).count, 1)
  })

  it('fails Unavailable once closed, watches too', async () => {
    const clock = new FakeClock()
    const store = new MemoryStore(clock)
    await store.grantLease(5)
    const watching = (async () => {
      for await (const _ of store.watch('/', 1, new AbortController().signal)) assert.fail('nothing was written')
    })()
    await store.close()
    await assert.rejects(watching, failsWith('Unavailable'))
    await assert.rejects(store.get('/a'), failsWith('Unavailable'))
    assert.equal(clock.pending, 0)
  })
})
