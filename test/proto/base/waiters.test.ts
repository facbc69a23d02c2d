import assert from 'node:assert/strict'
import { GantryError } from '../../../proto/base/errors.ts'
import { ConditionVariable } from '../../../proto/base/condition-variable.ts'

describe('waiters', () => {
  it('go on together, each once, and those who come later with the next time', async () => {
    const waiters = new ConditionVariable()
    const { signal } = new AbortController()
    const woken: string[] = []
    const wait = (name: string): Promise<unknown> => waiters.wait(signal).then(() => woken.push(name))
    const first = [wait('a'), wait('b')]
    waiters.broadcast()
    const later = wait('c')
    await Promise.all(first)
    assert.deepEqual(woken, ['a', 'b'])
    waiters.broadcast()
    await later
    assert.deepEqual(woken, ['a', 'b', 'c'])
  })

  it('leave when their signal is aborted, also before they came', async () => {
    const waiters = new ConditionVariable()
    const ending = new AbortController()
    const waiting = waiters.wait(ending.signal)
    ending.abort(new GantryError('DeadlineExceeded', 'late'))
    await assert.rejects(waiting, (thrown) => GantryError.is(thrown, 'DeadlineExceeded'))
    await assert.rejects(waiters.wait(ending.signal), (thrown) => GantryError.is(thrown, 'DeadlineExceeded'))
    await assert.rejects(waiters.wait(AbortSignal.abort('why')), (thrown) => GantryError.is(thrown, 'Cancelled'))
    waiters.broadcast()
  })
})
