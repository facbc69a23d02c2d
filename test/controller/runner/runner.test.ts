import assert from 'node:assert/strict'
import { GantryError } from '../../../proto/base/errors.ts'
import { keyOf } from '../../../controller/runner/key.ts'
import { watchSource, runReconcilers, type Reconciler } from '../../../controller/runner/runner.ts'
import { pod } from '../objects.ts'
import { SteppedControlPlane } from '../stepped-control-plane.ts'

function reconciler(reconcile: (key: string) => Promise<number | undefined>): Reconciler {
  return {
    name: 'test',
    concurrency: 2,
    watches: [watchSource('Pod', (change) => [keyOf(change.cached.object)])],
    reconcile,
  }
}

describe('reconciler runner', () => {
  let plane: SteppedControlPlane
  let passes: string[]

  beforeEach(async () => {
    plane = await SteppedControlPlane.start()
    passes = []
  })
  afterEach(() => plane.stop())

  it('passes over what is there and what comes, and again when a pass asks for it', async () => {
    await plane.put(pod('a'))
    plane.run(
      reconciler(async (key) => {
        passes.push(key)
        return key === 'default/b' && passes.length < 3 ? 5000 : undefined
      }),
    )
    await plane.settle()
    await plane.put(pod('b'))
    await plane.settle()
    assert.deepEqual(passes, ['default/a', 'default/b'])
    await plane.pass(4999)
    assert.deepEqual(passes, ['default/a', 'default/b'])
    await plane.pass(1)
    assert.deepEqual(passes, ['default/a', 'default/b', 'default/b'])
  })

  it('repeats a pass that failed, later and later, without holding up others', async () => {
    await plane.put(pod('bad'))
    await plane.put(pod('good'))
    plane.run(
      reconciler(async (key) => {
        passes.push(key)
        if (key === 'default/bad' && passes.filter((other) => other === key).length < 3)
          throw new GantryError('Unavailable', 'not yet')
        return undefined
      }),
    )
    await plane.settle()
    assert.deepEqual(passes, ['default/bad', 'default/good'])
    await plane.pass(60_000)
    assert.deepEqual(passes, ['default/bad', 'default/good', 'default/bad', 'default/bad'])
  })

  it('begins when the cache shows what was written before', async () => {
    plane.holdCache()
    await plane.put(pod('a'))
    const made = await plane.put(pod('b'))
    const seen: number[] = []
    plane.run(reconciler(async () => void seen.push(plane.informer.revision) as undefined))
    await plane.settle()
    assert.ok(await plane.showNext())
    assert.deepEqual(seen, [])
    await plane.releaseCache()
    assert.deepEqual(seen, [Number(made.metadata.resourceVersion), Number(made.metadata.resourceVersion)])
  })

  for (const comesBack of [true, false]) {
    it(`waits for a store that is away ${comesBack ? 'until it is back' : 'and stops waiting when told to'}`, async () => {
      await plane.put(pod('a'))
      let away = true
      const parts = {
        ...plane.parts,
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
      await plane.pass(60_000)
      assert.deepEqual(passes, [])
      if (comesBack) {
        away = false
        await plane.pass(60_000)
        assert.deepEqual(passes, ['default/a'])
      }
      controller.abort()
      await ended
    })
  }

  it('stops when told to, after the pass under way, and leaves no handler behind', async () => {
    await plane.put(pod('a'))
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
      plane.parts,
      controller.signal,
    ).then(() => void (over = true))
    await plane.settle()
    controller.abort()
    await plane.settle()
    assert.equal(over, false)
    finish!()
    await ended
    await plane.put(pod('b'))
    await plane.settle()
    assert.deepEqual(passes, ['default/a'])
  })
})
