import assert from 'node:assert/strict'
import { FakeClock } from '../../../proto/base/clock.ts'
import { GantryError } from '../../../proto/base/errors.ts'
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

  /** Counts its questions; `lost` commits happen and are not answered. */
  class CountingStore extends MemoryStore {
    questions = 0
    lost = false

    override revision(): Promise<number> {
      this.questions++
      return super.revision()
    }

    override async commit(...write: Parameters<MemoryStore['commit']>): ReturnType<MemoryStore['commit']> {
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
    const second = await committed(store, remove('/gantry/a'), put('/elsewhere', 'in the same transaction'))
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

  it('passes on that the store is away while something is not known', async () => {
    await below.close()
    await assert.rejects(store.revision(), failsWith('Unavailable'))
  })
})
