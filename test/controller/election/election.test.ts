import assert from 'node:assert/strict'
import { Election, ELECTION_KEY } from '../../../controller/election/election.ts'
import type { Term } from '../../../controller/store/contract.ts'
import { MemoryStore } from '../../../controller/store/memory.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { delay, FakeClock } from '../../../proto/base/clock.ts'
import { silentLogger } from '../../../proto/base/logger.ts'
import { seededRandom } from '../../../proto/base/random.ts'
import { failsWith, put, remove } from '../../contract/store.ts'

/** A store that can be cut off, as one member's connection is. */
class CutStore extends MemoryStore {
  away = false
  /** Milliseconds for an answer to a renewal. */
  slow = 0
  readonly #clock: FakeClock

  constructor(clock: FakeClock) {
    super(clock)
    this.#clock = clock
  }

  override async keepLease(leaseId: string): Promise<boolean> {
    if (this.away) throw new GantryError('Unavailable', 'cut off')
    if (this.slow > 0) await delay(this.#clock, this.slow)
    return super.keepLease(leaseId)
  }

  override async revokeLease(leaseId: string): Promise<void> {
    if (this.away) throw new GantryError('Unavailable', 'cut off')
    return super.revokeLease(leaseId)
  }

  override async grantLease(ttlSeconds: number): Promise<string> {
    if (this.away) throw new GantryError('Unavailable', 'cut off')
    return super.grantLease(ttlSeconds)
  }
}

interface Candidate {
  readonly election: Election
  readonly terms: Term[]
  readonly stop: () => void
  readonly running: Promise<void>
  leading: boolean
  /** Fake milliseconds at which each leadership ended. */
  readonly ended: number[]
}

describe('election', () => {
  let clock: FakeClock
  let store: CutStore
  let candidates: Candidate[]

  function run(name: string, nameIsOurs = false): Candidate {
    const end = new AbortController()
    const election = new Election({ store, clock, random: seededRandom(1), logger: silentLogger, name, nameIsOurs })
    const terms: Term[] = []
    const ended: number[] = []
    const candidate: Candidate = {
      election,
      terms,
      ended,
      leading: false,
      stop: () => end.abort(),
      running: election.run(end.signal, async (term, signal) => {
        terms.push(term)
        candidate.leading = true
        if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
        candidate.leading = false
        ended.push(clock.monotonic())
      }),
    }
    candidates.push(candidate)
    return candidate
  }

  beforeEach(() => {
    clock = new FakeClock()
    store = new CutStore(clock)
    candidates = []
  })
  afterEach(async () => {
    for (const { stop } of candidates) stop()
    await Promise.all(candidates.map(({ running }) => running))
    await clock.advance(10_000)
    assert.equal(clock.pending, 0, 'no timer is left')
  })

  it('lets one lead, and tells all who', async () => {
    const one = run('one')
    await clock.advance(0)
    const two = run('two')
    await clock.advance(60_000)
    assert.deepEqual([one.leading, two.leading], [true, false])
    assert.deepEqual([one.election.leader(), two.election.leader()], ['one', 'one'])
    assert.equal(one.terms.length, 1)
    assert.equal(one.terms[0]!.createRevision, (await store.get(ELECTION_KEY))!.createRevision)
  })

  it('hands over at once when the leader ends', async () => {
    const one = run('one')
    await clock.advance(0)
    const two = run('two')
    await clock.advance(10)
    one.stop()
    await one.running
    await clock.advance(0)
    assert.equal(two.leading, true)
    assert.equal(clock.monotonic(), 10)
    assert.equal(two.election.leader(), 'two')
    assert.equal(one.election.leader(), '')
  })

  it('stops leading before the lease can end when it cannot renew', async () => {
    const one = run('one')
    await clock.advance(2500)
    store.away = true
    await clock.advance(20_000)
    assert.deepEqual(one.ended, [2000 + 3500])
    assert.equal(await store.get(ELECTION_KEY), undefined)
    store.away = false
    await clock.advance(2000)
    assert.equal(one.leading, true)
    assert.equal(one.terms.length, 2)
  })

  it('goes on with a store whose answers take more than a second', async () => {
    const one = run('one')
    store.slow = 1300
    await clock.advance(30_000)
    assert.deepEqual([one.leading, one.terms.length], [true, 1])
    store.slow = 0
    await clock.advance(1300)
  })

  it('goes on over a short cut', async () => {
    const one = run('one')
    await clock.advance(2500)
    store.away = true
    await clock.advance(2000)
    store.away = false
    await clock.advance(20_000)
    assert.deepEqual([one.leading, one.terms.length], [true, 1])
  })

  it("stops when its key is another's", async () => {
    const one = run('one')
    await clock.advance(0)
    await store.commit([remove(ELECTION_KEY)])
    await store.commit([put(ELECTION_KEY, 'thief')])
    await clock.advance(0)
    assert.deepEqual([one.leading, one.election.leader()], [false, 'thief'])
    await store.commit([remove(ELECTION_KEY)])
    await clock.advance(0)
    assert.deepEqual([one.leading, one.terms.length], [true, 2])
    assert.equal((await store.commit([put('/a', '1')], one.terms[0])).outcome, 'deposed')
    assert.equal((await store.commit([put('/a', '1')], one.terms[1])).outcome, 'committed')
  })

  it('waits for the lease of a killed run, unless the name is known to be ours', async () => {
    const leaseId = await store.grantLease(5)
    await store.commit([
      { kind: 'put', key: ELECTION_KEY, value: Buffer.from('one'), expect: { is: 'absent' }, leaseId },
    ])
    const stranger = run('one')
    await clock.advance(4900)
    assert.equal(stranger.leading, false)
    await clock.advance(200)
    assert.equal(stranger.leading, true)
    stranger.stop()
    await stranger.running
    const again = await store.grantLease(5)
    await store.commit([
      { kind: 'put', key: ELECTION_KEY, value: Buffer.from('one'), expect: { is: 'absent' }, leaseId: again },
    ])
    const ours = run('one', true)
    await clock.advance(0)
    assert.equal(ours.leading, true)
  })

  it('passes on what the leader throws, and gives the leadership up', async () => {
    const election = new Election({ store, clock, random: seededRandom(1), logger: silentLogger, name: 'one' })
    const running = election.run(new AbortController().signal, async () => {
      throw new GantryError('Internal', 'a defect')
    })
    await assert.rejects(running, failsWith('Internal'))
    assert.equal(await store.get(ELECTION_KEY), undefined)
  })

  it('never lets two lead at once, whatever is cut and when', async () => {
    const random = seededRandom(7)
    const stores = ['a', 'b', 'c'].map((name) => {
      const own = Object.create(store) as CutStore
      const cut = { away: false }
      const through =
        <A extends unknown[], R>(method: (...args: A) => Promise<R>) =>
        async (...args: A): Promise<R> => {
          if (cut.away) throw new GantryError('Unavailable', 'cut off')
          return method.apply(store, args)
        }
      Object.assign(own, {
        get: through(store.get),
        list: through(store.list),
        commit: through(store.commit),
        keepLease: through(store.keepLease),
        grantLease: through(store.grantLease),
        revokeLease: through(store.revokeLease),
        watch: store.watch.bind(store),
      })
      return { name, own, cut }
    })
    let leading = 0
    let led = 0
    const end = new AbortController()
    const all = stores.map(({ name, own }) =>
      new Election({ store: own, clock, random, logger: silentLogger, name }).run(end.signal, async (_term, signal) => {
        leading++
        led++
        assert.equal(leading, 1)
        if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
        leading--
      }),
    )
    for (let step = 0; step < 300; step++) {
      const { cut } = stores[Math.floor(random.next() * stores.length)]!
      cut.away = !cut.away
      await clock.advance(random.next() * 4000)
    }
    for (const { cut } of stores) cut.away = false
    await clock.advance(20_000)
    assert.equal(leading, 1)
    assert.ok(led > 10, `only ${led} leaderships`)
    end.abort()
    await Promise.all(all)
  })
})
