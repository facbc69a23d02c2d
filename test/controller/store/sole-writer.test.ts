import assert from 'node:assert/strict'
import { FakeClock } from '../../../proto/base/clock.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import type { Operation } from '../../../controller/store/contract.ts'
import { MemoryStore } from '../../../controller/store/memory.ts'
import { SoleWriterStore } from '../../../controller/store/sole-writer.ts'
import { committed, failsWith, put, remove, storeSuite } from '../../contract/store.ts'

describe('store with a sole writer', () => {
  storeSuite(async () => {
    const clock = new FakeClock()
    const memory = new MemoryStore(clock)
    return {
      store: new SoleWriterStore(memory, '/gantry/test-'),
      compact: async (revision) => memory.compact(revision),
      expireLeases: (seconds) => clock.advance(seconds * 1000),
    }
  })

  /** Counts its questions; `lost` commits happen and are not answered, those while it is `away` do not happen. */
  class CountingStore extends MemoryStore {
    questions = 0
    lost = false
    away = false

    override revision(): Promise<number> {
      this.questions++
      return super.revision()
    }

    override async commit(...write: Parameters<MemoryStore['commit']>): ReturnType<MemoryStore['commit']> {
      if (this.away) throw new GantryError('Unavailable', 'away')
      const result = await super.commit(...write)
      if (this.lost) throw new GantryError('Unavailable', 'no answer')
      return result
    }
  }

  let below: CountingStore
  let store: SoleWriterStore

  beforeEach(() => {
    below = new CountingStore(new FakeClock())
    store = new SoleWriterStore(below)
  })

  /** What it says, and how many questions that took. */
  async function asked(): Promise<[number, number]> {
    const before = below.questions
    return [await store.revision(), below.questions - before]
  }

  it('asks once, and then knows what it has written', async () => {
    const earlier = await committed(below, put('/gantry/a', 'of an earlier process'))
    assert.deepEqual(await asked(), [earlier, 1])
    const first = await committed(store, put('/gantry/b', '1'))
    assert.deepEqual(await asked(), [first, 0])
    const second = await committed(
      store,
      remove('/gantry/a', { is: 'at', revision: earlier }),
      put('/elsewhere', 'in the same transaction'),
    )
    assert.deepEqual(await asked(), [second, 0])
  })

  it('asks again after a commit whose answer was lost', async () => {
    await asked()
    below.lost = true
    await assert.rejects(store.commit([put('/gantry/a', '1')]), failsWith('Unavailable'))
    below.lost = false
    const happened = (await below.get('/gantry/a'))!.revision
    assert.deepEqual(await asked(), [happened, 1])
    assert.deepEqual(await asked(), [happened, 0])
  })

  it('does not take an answer for settled that was asked for before a commit was lost', async () => {
    const asking = store.revision()
    below.lost = true
    await assert.rejects(store.commit([put('/gantry/a', '1')]), failsWith('Unavailable'))
    await asking
    assert.deepEqual(await asked(), [(await below.get('/gantry/a'))!.revision, 1])
  })

  it('asks after a commit that the watch of objects does not tell', async () => {
    await asked()
    const elsewhere = await committed(store, put('/leader', 'c1'))
    assert.deepEqual(await asked(), [elsewhere, 1])
  })

  it('knows what a conflict has shown', async () => {
    await asked()
    const other = await committed(below, put('/gantry/a', 'of nobody that is known'))
    const result = await store.commit([put('/gantry/a', 'mine', { is: 'absent' })])
    assert.equal(result.outcome, 'conflict')
    assert.deepEqual(await asked(), [other, 0])
  })

  describe('after a commit without an answer that happens later than the question about it', () => {
    let late: number
    const lost = async (operation: Operation): Promise<void> => {
      await committed(store, put('/gantry/a', 'there'))
      below.away = true
      await assert.rejects(store.commit([operation]), failsWith('Unavailable'))
      below.away = false
      assert.equal((await asked())[1], 1)
      late = await committed(below, operation)
    }

    it('asks when a conflict shows that something is gone', async () => {
      await lost(remove('/gantry/a'))
      const result = await store.commit([put('/gantry/a', 'mine', { is: 'at', revision: late - 1 })])
      assert.deepEqual(result, { outcome: 'conflict', conflicts: [{ index: 0, current: undefined }] })
      assert.deepEqual(await asked(), [late, 1])
      assert.deepEqual(await asked(), [late, 0])
    })

    it('asks when a conflict shows something elsewhere that it does not know of', async () => {
      await lost(put('/elsewhere/claim', 'of an object in the same commit'))
      const result = await store.commit([put('/elsewhere/claim', 'mine', { is: 'absent' })])
      assert.equal(result.outcome, 'conflict')
      assert.deepEqual(await asked(), [late, 1])
      assert.deepEqual(await asked(), [late, 0])
    })

    it('asks when something is read that it does not know of', async () => {
      await lost(put('/elsewhere/claim', 'of an object in the same commit'))
      assert.equal((await store.get('/elsewhere/claim'))!.revision, late)
      assert.deepEqual(await asked(), [late, 1])
      await store.get('/elsewhere/claim')
      assert.deepEqual(await asked(), [late, 0])
    })

    it('asks when something is listed that it does not know of', async () => {
      await lost(put('/elsewhere/claim', 'of an object in the same commit'))
      await store.list('/elsewhere/')
      assert.deepEqual(await asked(), [late, 1])
    })
  })

  it('asks after a deletion of what was not there, whose revision is that of something else', async () => {
    await asked()
    const elsewhere = await committed(below, put('/leader', 'c1'))
    await committed(store, remove('/gantry/gone'))
    // Told by a question, because the watch of objects is asked for progress then.
    assert.deepEqual(await asked(), [elsewhere, 1])
  })

  it('passes on that the store is away while something is not known', async () => {
    await below.close()
    await assert.rejects(store.revision(), failsWith('Unavailable'))
  })
})
