import assert from 'node:assert/strict'
import { MemoryStore } from '../../controller/store/memory.ts'
import { FakeClock } from '../../proto/base/clock.ts'
import { committed, put, storeSuite } from '../contract/store.ts'
import { LaggingStore } from './lagging-store.ts'

describe('a store that lags, while it is not held', () => {
  storeSuite(async () => {
    const clock = new FakeClock()
    const store = new MemoryStore(clock)
    return {
      store: new LaggingStore(store),
      compact: async (revision) => store.compact(revision),
      expireLeases: (seconds) => clock.advance(seconds * 1000),
    }
  })
})

describe('a store that is held', () => {
  it('shows commits to readers at once, and to watches one at a time when told to', async () => {
    const store = new LaggingStore(new MemoryStore(new FakeClock()))
    const stop = new AbortController()
    const told: number[] = []
    const watching = (async () => {
      for await (const { revision } of store.watch('/', 1, stop.signal)) told.push(revision)
    })()
    const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
    store.hold()
    assert.equal(store.deliverNext(), false)
    const revisions: number[] = []
    for (const key of ['/a', '/b', '/c', '/d']) revisions.push(await committed(store, put(key, 'x')))
    assert.equal((await store.get('/d'))?.revision, revisions[3])
    await turn()
    assert.deepEqual(told, [])
    for (const count of [1, 2]) {
      assert.equal(store.deliverNext(), true)
      await turn()
      assert.deepEqual(told, revisions.slice(0, count))
    }
    store.release()
    await turn()
    assert.deepEqual(told, revisions)
    store.hold()
    await committed(store, put('/e', 'x'))
    await turn()
    stop.abort()
    await watching
    assert.equal(store.deliverNext(), false)
    assert.deepEqual(told, revisions)
    await store.close()
  })
})
