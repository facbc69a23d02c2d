import assert from 'node:assert/strict'
import { GantryError } from '../../../proto/base/errors.ts'
import { KeyedLock, Semaphore } from '../../../proto/base/semaphore.ts'

/** A promise that the test settles. */
function promise<T>(): { wait: Promise<T>; resolve: (value: T) => void; reject: (error: Error) => void } {
  let resolve!: (value: T) => void
  let reject!: (error: Error) => void
  const wait = new Promise<T>((yes, no) => ((resolve = yes), (reject = no)))
  return { wait, resolve, reject }
}

describe('turns', () => {
  it('lets so many in at once, the others in turn, and one who gives up not at all', async () => {
    const semaphore = new Semaphore(2)
    const jobs = [promise<void>(), promise<void>(), promise<void>()]
    const begun: number[] = []
    const runs = jobs.map((job, place) => semaphore.run(async () => (begun.push(place), job.wait)))
    const leaving = new AbortController()
    const left = semaphore.run(() => Promise.resolve(begun.push(99)), leaving.signal)
    leaving.abort()
    await assert.rejects(left, (error: unknown) => GantryError.is(error, 'Cancelled'))
    assert.deepEqual(begun, [0, 1])
    jobs[1]!.resolve()
    await runs[1]
    jobs[0]!.reject(new Error('x'))
    await assert.rejects(runs[0]!)
    jobs[2]!.resolve()
    await runs[2]
    assert.deepEqual(begun, [0, 1, 2])
  })

  it('keeps one key to one at a time', async () => {
    const lock = new KeyedLock()
    const first = promise<void>()
    const order: string[] = []
    const runs = [
      lock.run('a', async () => (await first.wait, order.push('a1'))),
      lock.run('a', () => Promise.resolve(order.push('a2'))),
      lock.run('b', () => Promise.resolve(order.push('b'))),
    ]
    await runs[2]
    first.resolve()
    await Promise.all(runs)
    assert.deepEqual(order, ['b', 'a1', 'a2'])
  })
})
