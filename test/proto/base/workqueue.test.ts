import assert from 'node:assert/strict'
import fc from 'fast-check'
import { FakeClock } from '../../../proto/base/clock.ts'
import { seededRandom } from '../../../proto/base/random.ts'
import { WorkQueue } from '../../../proto/base/workqueue.ts'

/** A queue that runs, whose passes end when the test says so. */
class Bench {
  readonly clock = new FakeClock()
  readonly queue = new WorkQueue(this.clock, seededRandom(1), { first: 10, max: 100, jitter: 0 })
  readonly started: string[] = []
  readonly failures: [string, number][] = []
  readonly active = new Map<string, { resolve: () => void; reject: (error: unknown) => void }>()
  readonly #stop = new AbortController()
  readonly #running: Promise<void>

  constructor(concurrency = 1) {
    const pass = (key: string): Promise<void> => {
      assert(!this.active.has(key), `${key} is worked on twice at once`)
      assert(this.active.size < concurrency, 'too many at once')
      this.started.push(key)
      return new Promise((resolve, reject) => this.active.set(key, { resolve, reject }))
    }
    this.#running = this.queue.run(
      pass,
      (key, _error, failures) => void this.failures.push([key, failures]),
      this.#stop.signal,
      concurrency,
    )
  }

  async end(key: string, error?: unknown): Promise<void> {
    const { resolve, reject } = this.active.get(key)!
    this.active.delete(key)
    if (error === undefined) resolve()
    else reject(error)
    await this.clock.advance(0)
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    for (const { resolve } of this.active.values()) resolve()
    await this.#running
  }
}

describe('WorkQueue', () => {
  it('holds a key once, in the order of arrival', async () => {
    const bench = new Bench()
    for (const key of ['a', 'b', 'a', 'c', 'b']) bench.queue.add(key)
    await bench.clock.advance(0)
    for (const key of ['a', 'b', 'c']) await bench.end(key)
    assert.deepEqual(bench.started, ['a', 'b', 'c'])
    assert.equal(bench.queue.length, 0)
    await bench.stop()
  })

  it('brings a key that is added while it is worked on once more afterwards', async () => {
    const bench = new Bench(2)
    bench.queue.add('a')
    await bench.clock.advance(0)
    bench.queue.add('a')
    bench.queue.add('a')
    await bench.clock.advance(0)
    assert.deepEqual(bench.started, ['a'])
    await bench.end('a')
    assert.deepEqual(bench.started, ['a', 'a'])
    await bench.end('a')
    assert.equal(bench.active.size, 0)
    await bench.stop()
  })

  it('works on as many keys at once as it may', async () => {
    const bench = new Bench(2)
    for (const key of ['a', 'b', 'c']) bench.queue.add(key)
    await bench.clock.advance(0)
    assert.deepEqual([...bench.active.keys()], ['a', 'b'])
    assert.equal(bench.queue.length, 1)
    await bench.end('b')
    assert.deepEqual([...bench.active.keys()], ['a', 'c'])
    await bench.stop()
  })

  it('brings a failed key back with growing delays, which a success forgets', async () => {
    const bench = new Bench()
    bench.queue.add('a')
    await bench.clock.advance(0)
    for (const [failures, delay] of [
      [1, 10],
      [2, 20],
      [3, 40],
      [4, 80],
      [5, 100],
    ] as const) {
      await bench.end('a', new Error('no'))
      assert.deepEqual(bench.failures.at(-1), ['a', failures])
      await bench.clock.advance(delay - 1)
      assert.equal(bench.active.size, 0, `${delay} ms are not over`)
      await bench.clock.advance(1)
      assert.equal(bench.active.size, 1)
    }
    await bench.end('a')
    bench.queue.add('a')
    await bench.clock.advance(0)
    await bench.end('a', new Error('no'))
    assert.deepEqual(bench.failures.at(-1), ['a', 1])
    await bench.stop()
  })

  it('keeps the earliest of the times set for a key', async () => {
    const bench = new Bench()
    bench.queue.addAfter('a', 50)
    bench.queue.addAfter('a', 80)
    bench.queue.addAfter('a', 20)
    await bench.clock.advance(19)
    assert.deepEqual(bench.started, [])
    await bench.clock.advance(1)
    assert.deepEqual(bench.started, ['a'])
    await bench.end('a')
    await bench.clock.advance(100)
    assert.deepEqual(bench.started, ['a'])
    await bench.stop()
  })

  it('ends when it is stopped, after the pass under way, and takes nothing more', async () => {
    const bench = new Bench()
    for (const key of ['a', 'b']) bench.queue.add(key)
    bench.queue.addAfter('c', 10)
    await bench.clock.advance(0)
    await bench.stop()
    bench.queue.add('d')
    bench.queue.addAfter('e', 1)
    await bench.clock.advance(100)
    assert.deepEqual(bench.started, ['a'])
    assert.equal(bench.clock.pending, 0)
  })

  it('ends at once when it is stopped before it runs', async () => {
    const queue = new WorkQueue(new FakeClock(), seededRandom(1))
    queue.add('a')
    await queue.run(
      () => assert.fail('a pass was started'),
      () => assert.fail('a pass failed'),
      AbortSignal.abort(),
    )
  })

  it('loses no key, whatever happens in which order', async () => {
    const step = fc.oneof(
      fc.record({ add: fc.constantFrom('a', 'b', 'c') }),
      fc.record({ end: fc.nat(2), fails: fc.boolean() }),
      fc.record({ wait: fc.nat(60) }),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 40 }),
        fc.integer({ min: 1, max: 3 }),
        async (steps, concurrency) => {
          const bench = new Bench(concurrency)
          /** Keys added since their last pass began. */
          const owed = new Set<string>()
          let seen = 0
          const settle = async (millis: number): Promise<void> => {
            await bench.clock.advance(millis)
            for (; seen < bench.started.length; seen++) owed.delete(bench.started[seen]!)
          }
          for (const next of steps) {
            if ('add' in next) {
              await settle(0)
              owed.add(next.add)
              bench.queue.add(next.add)
            } else if ('end' in next) {
              const key = [...bench.active.keys()][next.end]
              if (key === undefined) continue
              if (next.fails) owed.add(key)
              await bench.end(key, next.fails ? new Error('no') : undefined)
            }
            await settle('wait' in next ? next.wait : 0)
          }
          for (let round = 0; round < 20 && (owed.size > 0 || bench.active.size > 0); round++) {
            for (const key of [...bench.active.keys()]) await bench.end(key)
            await settle(100)
          }
          assert.deepEqual([...owed], [])
          await bench.stop()
        },
      ),
      { numRuns: 60 },
    )
  })
})
