import assert from 'node:assert/strict'
import { GantryError } from '../../../proto/base/errors.ts'
import { keyOf } from '../../../controller/runner/key.ts'
import { watchSource, runReconcilers, type Reconciler } from '../../../controller/runner/runner.ts'
import { FakeCluster, pod } from '../reconcile/fake.ts'

function reconciler(reconcile: (key: string) => Promise<number | undefined>): Reconciler {
  return {
    name: 'test',
    concurrency: 2,
    watches: [watchSource('Pod', (change) => [keyOf(change.cached.object)])],
    reconcile,
  }
}

describe('reconciler runner', () => {
  it('passes over what is there and what comes, and again when a pass asks for it', async () => {
    const cluster = new FakeCluster()
    const passes: string[] = []
    cluster.put(pod('a'))
    await cluster.running(
      [
        reconciler(async (key) => {
          passes.push(key)
          return key === 'default/b' && passes.length < 4 ? 5000 : undefined
        }),
      ],
      async () => {
        await cluster.settle()
        cluster.put(pod('b'))
        await cluster.settle()
        assert.deepEqual(passes, ['default/a', 'default/b'])
        await cluster.clock.advance(5000)
        assert.deepEqual(passes, ['default/a', 'default/b', 'default/b'])
      },
    )
  })

  it('repeats a pass that failed, later and later, without holding up others', async () => {
    const cluster = new FakeCluster()
    const passes: string[] = []
    cluster.put(pod('bad'))
    cluster.put(pod('good'))
    await cluster.running(
      [
        reconciler(async (key) => {
          passes.push(key)
          if (key === 'default/bad' && passes.filter((other) => other === key).length < 3)
            throw new GantryError('Unavailable', 'not yet')
          return undefined
        }),
      ],
      async () => {
        await cluster.settle()
        assert.deepEqual(passes, ['default/bad', 'default/good'])
        await cluster.clock.advance(60_000)
        assert.deepEqual(passes, ['default/bad', 'default/good', 'default/bad', 'default/bad'])
      },
    )
  })

  it('begins when the cache shows what was written before', async () => {
    const cluster = new FakeCluster()
    cluster.holdCache()
    cluster.put(pod('a'))
    const seen: number[] = []
    const controller = new AbortController()
    const ended = runReconcilers(
      [reconciler(async () => void seen.push(cluster.informer.revision) as undefined)],
      cluster.parts,
      controller.signal,
    )
    await cluster.settle()
    assert.deepEqual(seen, [])
    await cluster.releaseCache()
    assert.deepEqual(seen, [1])
    controller.abort()
    await ended
  })

  it('waits for a store that is away, and stops waiting when told to', async () => {
    for (const comesBack of [true, false]) {
      const cluster = new FakeCluster()
      cluster.put(pod('a'))
      const passes: string[] = []
      let away = true
      const parts = {
        ...cluster.parts,
        caughtUp: async () => {
          if (away) throw new GantryError('Unavailable', 'away')
        },
      }
      const controller = new AbortController()
      const ended = runReconcilers(
        [reconciler(async (key) => void passes.push(key) as undefined)],
        parts,
        controller.signal,
      )
      await cluster.clock.advance(60_000)
      assert.deepEqual(passes, [])
      if (comesBack) {
        away = false
        await cluster.clock.advance(60_000)
        assert.deepEqual(passes, ['default/a'])
      }
      controller.abort()
      await ended
    }
  })

  it('stops when told to, after the pass under way, and leaves no handler behind', async () => {
    const cluster = new FakeCluster()
    cluster.put(pod('a'))
    const passes: string[] = []
    let finish: (() => void) | undefined
    const controller = new AbortController()
    let over = false
    const ended = runReconcilers(
      [
        reconciler(async (key) => {
          passes.push(key)
          await new Promise<void>((resolve) => (finish = resolve))
          return undefined
        }),
      ],
      cluster.parts,
      controller.signal,
    ).then(() => void (over = true))
    await cluster.settle()
    controller.abort()
    await cluster.settle()
    assert.equal(over, false)
    finish!()
    await ended
    cluster.put(pod('b'))
    await cluster.settle()
    assert.deepEqual(passes, ['default/a'])
  })
})
