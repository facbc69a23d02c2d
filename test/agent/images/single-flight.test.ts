import assert from 'node:assert/strict'
import { Leases } from '../../../agent/images/leases.ts'
import { SingleFlight } from '../../../agent/images/single-flight.ts'
import { GantryError } from '../../../proto/base/errors.ts'

/** A promise that the test settles. */
function promise<T>(): { wait: Promise<T>; resolve: (value: T) => void; reject: (error: Error) => void } {
  let resolve!: (value: T) => void
  let reject!: (error: Error) => void
  const wait = new Promise<T>((yes, no) => ((resolve = yes), (reject = no)))
  return { wait, resolve, reject }
}

describe('shared work', () => {
  const never = new AbortController().signal

  it('is done once for all who wait, and anew afterwards', async () => {
    const work = new SingleFlight<number>()
    let runs = 0
    const job = promise<void>()
    const waiters = [1, 2, 3].map(() => work.run('key', never, async () => (await job.wait, ++runs)))
    job.resolve()
    assert.deepEqual(await Promise.all(waiters), [1, 1, 1])
    assert.equal(await work.run('key', never, () => Promise.resolve(++runs)), 2)
  })

  it('tells everybody of a failure, and forgets it', async () => {
    const work = new SingleFlight<number>()
    const fail = (): Promise<number> => Promise.reject(new GantryError('NotFound', 'no such thing'))
    const outcomes = await Promise.allSettled([work.run('key', never, fail), work.run('key', never, fail)])
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['rejected', 'rejected'],
    )
    assert.equal(await work.run('key', never, () => Promise.resolve(7)), 7)
  })

  it('is aborted only when the last waiter leaves; who comes then gets a new job', async () => {
    const work = new SingleFlight<string>()
    const leaving = [new AbortController(), new AbortController()]
    const signals: AbortSignal[] = []
    const job = (signal: AbortSignal): Promise<string> => {
      signals.push(signal)
      return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
    }
    const waiters = leaving.map(({ signal }) => work.run('key', signal, job))
    leaving[0]!.abort(new GantryError('Cancelled', 'first'))
    await assert.rejects(waiters[0]!, /first/)
    assert.equal(signals[0]!.aborted, false)
    leaving[1]!.abort(new GantryError('Cancelled', 'second'))
    const next = work.run('key', never, () => Promise.resolve('fresh'))
    await assert.rejects(waiters[1]!, /second/)
    assert.equal(signals[0]!.aborted, true)
    assert.equal(await next, 'fresh')
  })
})

describe('holds', () => {
  it('holds a name until the last hold is released', () => {
    const holds = new Leases()
    const [one, two] = [holds.acquire(['x', 'y']), holds.acquire(['x'])]
    one()
    one()
    assert.deepEqual([holds.has('x'), holds.has('y')], [true, false])
    two()
    assert.equal(holds.has('x'), false)
  })
})
