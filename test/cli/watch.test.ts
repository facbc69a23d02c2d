import assert from 'node:assert/strict'
import type { ClusterClient } from '../../proto/client/cluster.ts'
import { watchWithRetry, observe } from '../../proto/client/follow.ts'
import { decodeJson } from '../../proto/codec/codec.ts'
import { GantryError, type ErrorCode } from '../../proto/base/errors.ts'
import { FakeClock } from '../../proto/base/clock.ts'
import type { Pod } from '../../proto/gen/types.ts'
import { pod } from './objects.ts'
import { withDeadline } from '../../proto/base/deadline.ts'
import type { Change } from '../../proto/client/cluster-options.ts'

/** A cluster whose watches are these, one after the other; a code is the error that ends one. */
function scripted(watches: readonly (Change<'Pod'> | ErrorCode)[][]): { cluster: ClusterClient; opened: () => number } {
  let opened = 0
  const cluster = {
    async *watch() {
      for (const item of watches[opened++] ?? []) {
        if (typeof item === 'string') throw new GantryError(item, 'scripted')
        yield item
      }
    },
  }
  return { cluster: cluster as unknown as ClusterClient, opened: () => opened }
}

const a: Pod = decodeJson('Pod', pod('a'))
const added: Change<'Pod'> = { type: 'ADDED', object: a }
const bookmark: Change<'Pod'> = { type: 'BOOKMARK' }

describe('following an object', () => {
  it('goes on after a lost connection and sees what went meanwhile', async () => {
    const clock = new FakeClock()
    const { cluster, opened } = scripted([[added, bookmark, 'Unavailable'], ['Unavailable'], [bookmark]])
    const states: (Pod | undefined)[] = []
    const seen = (async () => {
      for await (const state of observe(cluster, clock, 'Pod', 'default', 'a', new AbortController().signal)) {
        states.push(state)
        if (state === undefined) return
      }
    })()
    await clock.advance(2_000)
    await seen
    assert.deepEqual(states, [a, undefined])
    assert.equal(opened(), 3)
  })

  it('begins anew when history is compacted, and gives up on what trying again does not mend', async () => {
    const clock = new FakeClock()
    const { cluster } = scripted([
      [added, bookmark, 'Expired'],
      [added, bookmark, 'Forbidden'],
    ])
    const seen = (async () => {
      let states = 0
      for await (const _ of observe(cluster, clock, 'Pod', 'default', 'a', new AbortController().signal)) states++
      return states
    })()
    const refused = assert.rejects(seen, (error: GantryError) => error.code === 'Forbidden')
    await clock.advance(2_000)
    await refused
  })

  it('gives up on a controller that stays away', async () => {
    const clock = new FakeClock()
    const { cluster, opened } = scripted(Array.from({ length: 200 }, () => ['Unavailable' as const]))
    const refused = assert.rejects(
      (async () => {
        for await (const _ of observe(cluster, clock, 'Pod', 'default', 'a', new AbortController().signal))
          assert.fail('nothing can be seen')
      })(),
      (error: GantryError) => error.code === 'Unavailable',
    )
    await clock.advance(60_000)
    await refused
    assert.equal(opened(), 61)
  })
})

describe('following from a list', () => {
  const at = (type: 'ADDED' | 'MODIFIED' | 'DELETED', name: string, resourceVersion: string): Change<'Pod'> => ({
    type,
    object: { ...decodeJson('Pod', pod(name)), metadata: { ...a.metadata, name, resourceVersion } },
  })

  /** What is told until a watch is refused, when the list was of revision 5. */
  async function told(watches: readonly (Change<'Pod'> | ErrorCode)[][]): Promise<string[]> {
    const clock = new FakeClock()
    const seen: string[] = []
    const refused = assert.rejects(
      (async () => {
        for await (const change of watchWithRetry(
          scripted(watches).cluster,
          clock,
          'Pod',
          { namespace: 'default' },
          '5',
          new AbortController().signal,
        )) {
          seen.push('object' in change ? `${change.type} ${change.object.metadata.name}` : change.type)
        }
      })(),
      (error: GantryError) => error.code === 'Forbidden',
    )
    await clock.advance(2_000)
    await refused
    return seen
  }

  it('passes over the changes that the list showed, not over those of a commit told in part', async () => {
    const watches = [
      [at('MODIFIED', 'listed', '5'), at('DELETED', 'gone', '5'), at('ADDED', 'a', '6')],
      [at('ADDED', 'a', '6'), at('ADDED', 'b', '6'), 'Forbidden' as const],
    ]
    assert.deepEqual(await told(watches), ['ADDED a', 'ADDED a', 'ADDED b'])
  })

  it('shows objects older than the list when it has to begin anew', async () => {
    assert.deepEqual(await told([['Expired'], [at('ADDED', 'old', '2'), bookmark, 'Forbidden']]), [
      'RESTARTED',
      'ADDED old',
      'BOOKMARK',
    ])
  })
})

describe('a deadline', () => {
  it('ends what waits, with its own words, and leaves no timer', async () => {
    const clock = new FakeClock()
    const aborted = (signal: AbortSignal): Promise<never> =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('aborted'))))
    const late = assert.rejects(
      withDeadline(clock, 1_000, new AbortController().signal, () => 'too late', aborted),
      (error: GantryError) => error.code === 'DeadlineExceeded' && error.message === 'too late',
    )
    await clock.advance(1_000)
    await late
    assert.equal(
      await withDeadline(
        clock,
        1_000,
        new AbortController().signal,
        () => 'too late',
        async () => 5,
      ),
      5,
    )
    assert.equal(clock.pending, 0)
  })
})
