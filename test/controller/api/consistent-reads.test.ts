import assert from 'node:assert/strict'
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
    const reads = new ConsistentReads({ revision: () => Promise.resolve(newest) }, bench.informer)
    const found = reads.find('ConfigMap', 'default', 'c')
    await bench.api.create<'ConfigMap'>(configDraft('c', {}), context)
    assert.equal((await found)?.revision, newest)
    const ahead = new ConsistentReads({ revision: () => Promise.resolve(newest + 100) }, bench.informer)
    const failed = assert.rejects(ahead.current(), { code: 'Unavailable' })
    await bench.clock.advance(5_000)
    await failed
  })
})
