import assert from 'node:assert/strict'
import { GantryError } from '../../../proto/base/errors.ts'
import { ConsistentReads } from '../../../controller/api/consistent-reads.ts'
import { ApiBench, configDraft, context } from './bench.ts'

describe('ConsistentReads', () => {
  let bench: ApiBench
  beforeEach(async () => {
    bench = await ApiBench.start()
  })
  afterEach(() => bench.stop())

  it('shows every write that was acknowledged before', async () => {
    for (let index = 0; index < 50; index++) {
      const made = await bench.api.create<'ConfigMap'>(configDraft(`c${index}`, {}), context)
      const cached = await bench.reads.get('ConfigMap', 'default', `c${index}`)
      assert.equal(String(cached.revision), made.metadata.resourceVersion)
    }
  })

  it("waits until the cache has the store's newest revision, and fails when it does not come", async () => {
    const newest = bench.informer.revision + 1
    const reads = new ConsistentReads(storeAt(newest), bench.informer)
    const found = reads.find('ConfigMap', 'default', 'c')
    await bench.api.create<'ConfigMap'>(configDraft('c', {}), context)
    assert.equal((await found)?.revision, newest)
    const ahead = new ConsistentReads(storeAt(newest + 100), bench.informer)
    const failed = assert.rejects(ahead.current(), { code: 'Unavailable' })
    await bench.clock.advance(5_000)
    await failed
  })

  it('confirms that the store answers, also where its newest revision is known without a question', async () => {
    const away: ReadStore = { ...storeAt(bench.informer.revision), get: () => Promise.reject(unavailable) }
    const reads = new ConsistentReads(away, bench.informer)
    await reads.current()
    await assert.rejects(reads.confirmed(), unavailable)
    await bench.reads.confirmed()
  })
})

type ReadStore = ConstructorParameters<typeof ConsistentReads>[0]

const unavailable = new GantryError('Unavailable', 'the store is away')

function storeAt(revision: number): ReadStore {
  return { revision: () => Promise.resolve(revision), get: () => Promise.resolve(undefined) }
}
