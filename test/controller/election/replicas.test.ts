import assert from 'node:assert/strict'
import { REPLICAS_PREFIX, StoreReplicas } from '../../../controller/election/replicas.ts'
import { MemoryStore } from '../../../controller/store/memory.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { delay, FakeClock } from '../../../proto/base/clock.ts'
import { silentLogger, type Logger } from '../../../proto/base/logger.ts'
import { seededRandom } from '../../../proto/base/random.ts'

/** A controller's own way to the store, which can be cut. */
class Line extends MemoryStore {
  away = false
  /** Milliseconds for an answer to a renewal. */
  slow = 0
  readonly #clock: FakeClock
  readonly #store: MemoryStore

  constructor(store: MemoryStore, clock: FakeClock) {
    super(clock)
    this.#clock = clock
    this.#store = store
  }

  #through<T>(call: () => Promise<T>): Promise<T> {
    return this.away ? Promise.reject(new GantryError('Unavailable', 'cut off')) : call()
  }

  override list: MemoryStore['list'] = (...args) => this.#through(() => this.#store.list(...args))
  override commit: MemoryStore['commit'] = (...args) => this.#through(() => this.#store.commit(...args))
  override grantLease: MemoryStore['grantLease'] = (...args) => this.#through(() => this.#store.grantLease(...args))
  override keepLease: MemoryStore['keepLease'] = (...args) =>
    this.#through(async () => {
      if (this.slow > 0) await delay(this.#clock, this.slow)
      return this.#store.keepLease(...args)
    })
  override revokeLease: MemoryStore['revokeLease'] = (...args) => this.#through(() => this.#store.revokeLease(...args))
  override watch: MemoryStore['watch'] = (...args) => this.#store.watch(...args)
}

describe('replicas', () => {
  let clock: FakeClock
  let store: MemoryStore
  let running: { stop: () => void; ended: Promise<void> }[]

  function run(
    name: string,
    address = `${name}:7443`,
    logger: Logger = silentLogger,
  ): { replicas: StoreReplicas; line: Line; changes: string[]; stop: () => void; ended: Promise<void> } {
    const line = new Line(store, clock)
    const end = new AbortController()
    const replicas = new StoreReplicas({
      store: line,
      clock,
      random: seededRandom(1),
      logger,
      name,
      address,
      kubeAddress: () => address.replace('7443', '6443'),
    })
    const changes: string[] = []
    replicas.on((changed) => changes.push(`${changed} ${replicas.addressOf(changed) ?? 'gone'}`))
    const one = { replicas, line, changes, stop: () => end.abort(), ended: replicas.run(end.signal) }
    running.push(one)
    return one
  }

  beforeEach(() => {
    clock = new FakeClock()
    store = new MemoryStore(clock)
    running = []
  })
  afterEach(async () => {
    for (const { stop } of running) stop()
    await Promise.all(running.map(({ ended }) => ended))
    await clock.advance(10_000)
    assert.equal(clock.pending, 0, 'no timer is left')
  })

  it('knows all that run, and their addresses', async () => {
    const one = run('one')
    await clock.advance(0)
    const two = run('two')
    await clock.advance(60_000)
    for (const { replicas } of [one, two]) {
      assert.deepEqual(
        ['one', 'two', 'three'].map((name) => replicas.present(name)),
        [true, true, false],
      )
      assert.equal(replicas.addressOf('two'), 'two:7443')
      assert.deepEqual([...replicas.kubeAddresses()].sort(), [
        ['one', 'one:6443'],
        ['two', 'two:6443'],
      ])
    }
    assert.deepEqual(one.changes, ['one one:7443', 'two two:7443'])
  })

  it('is gone at once after a stop', async () => {
    const one = run('one')
    const two = run('two')
    await clock.advance(100)
    two.stop()
    await two.ended
    await clock.advance(0)
    assert.equal(one.replicas.present('two'), false)
    assert.equal(one.changes.at(-1), 'two gone')
    assert.equal(clock.monotonic(), 100)
  })

  it('is gone 5 s after its last renewal when it cannot reach the store, and back when it can', async () => {
    const one = run('one')
    const two = run('two')
    await clock.advance(2500)
    two.line.away = true
    await clock.advance(4400)
    assert.equal(one.replicas.present('two'), true, '2.0 s + 5 s have not passed')
    await clock.advance(200)
    assert.equal(one.replicas.present('two'), false)
    two.line.away = false
    await clock.advance(1200)
    assert.equal(one.replicas.addressOf('two'), 'two:7443')
  })

  it('knows when it is cut off itself, before the others take it for gone', async () => {
    const one = run('one')
    let times = 0
    one.replicas.onPartitioned(() => times++)
    await clock.advance(2500)
    one.line.away = true
    await clock.advance(2400)
    assert.equal(one.replicas.isPartitioned, false)
    await clock.advance(200)
    assert.deepEqual([one.replicas.isPartitioned, times], [true, 1])
    one.line.away = false
    await clock.advance(1200)
    assert.deepEqual([one.replicas.isPartitioned, one.replicas.present('one'), times], [false, true, 1])
  })

  it('is cut off when it never reaches the store', async () => {
    const one = run('one')
    one.line.away = true
    await clock.advance(3000)
    assert.equal(one.replicas.isPartitioned, true)
  })

  it('stays over a short cut', async () => {
    const one = run('one')
    const two = run('two')
    await clock.advance(2500)
    two.line.away = true
    await clock.advance(3000)
    two.line.away = false
    await clock.advance(20_000)
    assert.deepEqual(one.changes, ['one one:7443', 'two two:7443'])
  })

  it('is not cut off by a store whose answers take more than a second', async () => {
    const one = run('one')
    let times = 0
    one.replicas.onPartitioned(() => times++)
    one.line.slow = 1300
    await clock.advance(30_000)
    assert.deepEqual([times, one.changes], [0, ['one one:7443']])
    one.line.slow = 0
    await clock.advance(1300)
  })

  it('takes the place of a run that was killed', async () => {
    const leaseId = await store.grantLease(5)
    await store.commit([
      {
        kind: 'put',
        key: `${REPLICAS_PREFIX}two`,
        value: Buffer.from('{"address":"old:1"}'),
        expect: { is: 'any' },
        leaseId,
      },
    ])
    const one = run('one')
    run('two')
    await clock.advance(6000)
    assert.equal(one.replicas.addressOf('two'), 'two:7443')
    assert.equal(one.changes.includes('two gone'), false)
  })

  it('says when another controller has its name', async () => {
    const errors: unknown[] = []
    run('one', 'a:1', {
      ...silentLogger,
      error: (fields: unknown) => void errors.push(fields),
      child: () => silentLogger,
    } as unknown as Logger)
    await clock.advance(0)
    run('one', 'b:1')
    await clock.advance(0)
    assert.equal(errors.length, 1)
    assert.equal((errors[0] as { other: string }).other, 'b:1')
  })
})
