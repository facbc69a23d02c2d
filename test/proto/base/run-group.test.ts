import assert from 'node:assert/strict'
import { RunGroup } from '../../../proto/base/run-group.ts'

/** Runs until the signal is aborted. */
function untilStopped(ended?: () => void) {
  return (signal: AbortSignal): Promise<void> =>
    new Promise((resolve) =>
      signal.addEventListener(
        'abort',
        () => {
          ended?.()
          resolve()
        },
        { once: true },
      ),
    )
}

describe('RunGroup', () => {
  it('ends when one of its tasks ends', async () => {
    const group = new RunGroup()
    const ended: string[] = []
    group.add(untilStopped(() => ended.push('server')))
    group.add(async () => void ended.push('main'))
    await group.wait()
    assert.deepEqual(ended, ['main', 'server'])
  })

  it('fails with the first error and stops the others', async () => {
    const group = new RunGroup()
    let stopped = false
    group.add(untilStopped(() => (stopped = true)))
    group.add(() => Promise.reject(new Error('first')))
    await assert.rejects(group.wait(), /^Error: first$/)
    assert(stopped)
  })

  it('takes a task that throws before its first await for one that fails', async () => {
    const group = new RunGroup()
    group.add(() => {
      throw new Error('at once')
    })
    await assert.rejects(group.wait(), /at once/)
  })

  it('goes on after a spawned task has ended, but not after one has failed', async () => {
    const group = new RunGroup()
    group.add(untilStopped())
    let ended = false
    group.spawn(async () => void (ended = true))
    await new Promise(setImmediate)
    assert(ended && !group.signal.aborted)
    group.spawn(() => Promise.reject(new Error('spawned')))
    await assert.rejects(group.wait(), /spawned/)
  })

  it('does not take the stop itself for an error, but any other failure while stopping', async () => {
    const aborted = (signal: AbortSignal): Promise<void> =>
      new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
    const quiet = new RunGroup()
    quiet.add(aborted)
    await new Promise(setImmediate)
    quiet.stop()
    await quiet.wait()
    const loud = new RunGroup()
    loud.add(
      (signal) => new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('disk')))),
    )
    await new Promise(setImmediate)
    loud.stop()
    await assert.rejects(loud.wait(), /disk/)
  })

  it('stops with its parent, also one that has stopped already', async () => {
    const parent = new RunGroup()
    const child = new RunGroup(parent.signal)
    child.add(untilStopped())
    await new Promise(setImmediate)
    parent.stop()
    await child.wait()
    assert(new RunGroup(parent.signal).signal.aborted)
  })

  it('waits for tasks that tasks have added', async () => {
    const group = new RunGroup()
    const ended: string[] = []
    group.add(async () => {
      group.spawn(async () => {
        await new Promise(setImmediate)
        ended.push('inner')
      })
      ended.push('outer')
    })
    await group.wait()
    assert.deepEqual(ended, ['outer', 'inner'])
  })
})
