import assert from 'node:assert/strict'
import { Election, ELECTION_KEY } from '../../controller/election/election.ts'
import type { Term } from '../../controller/store/contract.ts'
import { EtcdStore } from '../../controller/store/etcd.ts'
import { systemClock } from '../../proto/base/clock.ts'
import { silentLogger } from '../../proto/base/logger.ts'
import { systemRandom } from '../../proto/base/random.ts'
import { put } from '../contract/store.ts'
import { TestEtcd } from './store-etcd.ts'

interface Candidate {
  readonly store: EtcdStore
  readonly end: AbortController
  readonly running: Promise<void>
  /** The next term that begins. */
  next(): Promise<Term>
  /** Resolves when the leadership under way has ended. */
  ended(): Promise<void>
}

describe('election on etcd', () => {
  let etcd: TestEtcd
  const candidates: Candidate[] = []

  function run(name: string): Candidate {
    const store = new EtcdStore({ endpoints: [etcd.endpoint], timeout: 1000, clock: systemClock }, systemRandom)
    const end = new AbortController()
    const election = new Election({ store, clock: systemClock, random: systemRandom, logger: silentLogger, name })
    const terms: Term[] = []
    let begun: () => void = () => undefined
    let over = Promise.resolve()
    const running = election.run(end.signal, async (term, signal) => {
      let finish: () => void = () => undefined
      over = new Promise((resolve) => (finish = resolve))
      terms.push(term)
      begun()
      if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
      finish()
    })
    const candidate: Candidate = {
      store,
      end,
      running,
      async next() {
        if (terms.length === 0) await new Promise<void>((resolve) => (begun = resolve))
        return terms.shift()!
      },
      ended: () => over,
    }
    candidates.push(candidate)
    return candidate
  }

  before(async () => void (etcd = await TestEtcd.start()))
  after(async () => {
    for (const { end } of candidates) end.abort()
    await Promise.all(candidates.map(({ running }) => running))
    await Promise.all(candidates.map(({ store }) => store.close()))
    await etcd.remove()
  })

  it("hands over at once, and refuses the former leader's writes", async () => {
    const one = run('one')
    const first = await one.next()
    const two = run('two')
    one.end.abort()
    await one.running
    assert.notEqual(
      (await two.store.get(ELECTION_KEY))?.createRevision,
      first.createRevision,
      'its lease is not waited for',
    )
    const second = await two.next()
    assert.equal((await two.store.get(ELECTION_KEY))!.createRevision, second.createRevision)
    assert.equal((await two.store.commit([put('/gantry/x', '1')], first)).outcome, 'deposed')
    assert.equal((await two.store.commit([put('/gantry/x', '1')], second)).outcome, 'committed')
    two.end.abort()
    await two.running
  })

  it('stops leading while etcd is away, and leads again when it is back', async () => {
    const one = run('one')
    const first = await one.next()
    await etcd.kill()
    await one.ended()
    await etcd.start()
    const second = await one.next()
    assert.ok(second.createRevision > first.createRevision)
  })
})
