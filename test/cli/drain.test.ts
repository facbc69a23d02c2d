import assert from 'node:assert/strict'
import { systemClock, type Clock } from '../../proto/base/clock.ts'
import { Console, NOW } from './console.ts'
import { node, pod } from './objects.ts'

const ASK_AGAIN = 5_000

/** The wait between two questions is none, but counted. */
class ImpatientConsole extends Console {
  waits = 0
  override readonly clock: Clock = {
    ...systemClock,
    now: () => NOW,
    after: (millis, call) => {
      if (millis === ASK_AGAIN) this.waits++
      return systemClock.after(millis === ASK_AGAIN ? 0 : millis, call)
    },
  }
}

describe('drain', () => {
  let console: ImpatientConsole
  const owned = {
    metadata: {
      ownerReferences: [{ apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'rs', uid: 'u', controller: true }],
    },
  }

  beforeEach(async () => {
    console = (await new ImpatientConsole().open()) as ImpatientConsole
    await console.server.put(node('n1'))
    for (const name of ['a', 'b', 'c']) await console.server.put(pod(name, owned))
  })
  afterEach(() => console.close())

  const evictions = (): string[] => console.server.calls.filter((call) => call.startsWith('evict')).sort()

  it('evicts, and asks again for pods that may not go now', async () => {
    console.server.refusedEvictions.set('b', ['the budget says no', 'still no'])
    const { exit, stdout, stderr } = await console.run('drain n1')
    assert.deepEqual([exit, console.waits], [0, 2])
    assert.match(
      stdout,
      /^node\/n1 cordoned\n(pod\/[ac] -n default evicted\n){2}pod\/b -n default evicted\nnode\/n1 drained\n$/,
    )
    assert.equal(
      stderr,
      'cannot be evicted yet, is asked again in 5s: pod/b -n default: the budget says no\ncannot be evicted yet, is asked again in 5s: pod/b -n default: still no\n',
    )
    assert.deepEqual(evictions(), ['evict Pod a', 'evict Pod b', 'evict Pod b', 'evict Pod b', 'evict Pod c'])
    assert.deepEqual(
      console.server.calls.filter((call) => call.startsWith('delete')),
      [],
    )
  })

  it('gives up in time, and says which pods may not go', async () => {
    console.server.refusedEvictions.set('b', Array<string>(100_000).fill('the budget says no'))
    const { exit, stdout, stderr } = await console.run('drain n1 --timeout=1s')
    assert.equal(exit, 4)
    assert.match(stderr, /\nerror: not evicted after 1s: pod\/b -n default: the budget says no\n$/)
    assert.doesNotMatch(stdout, /pod\/b|drained/)
    assert.equal(console.server.get('Pod', 'a'), undefined)
    assert.notEqual(console.server.get('Pod', 'b'), undefined)
  })

  it('tells a refusal at once when it only tries', async () => {
    console.server.refusedEvictions.set('b', ['the budget says no'])
    const { exit, stderr } = await console.run('drain n1 --dry-run=server')
    assert.deepEqual([exit === 0, stderr, console.waits], [false, 'error: the budget says no\n', 0])
  })
})
