import assert from 'node:assert/strict'
import { restartStuckMember } from '../../../controller/supervise/stuck-member.ts'
import { FakeClock } from '../../../proto/base/clock.ts'
import { silentLogger } from '../../../proto/base/logger.ts'
import { seededRandom } from '../../../proto/base/random.ts'

describe('a member of etcd without a leader', () => {
  let clock: FakeClock
  let healthy: boolean
  let reachable: boolean
  let starts: number[]
  let stop: AbortController
  let running: Promise<void>

  beforeEach(() => {
    clock = new FakeClock()
    healthy = true
    reachable = true
    starts = []
    stop = new AbortController()
    running = restartStuckMember(
      {
        healthy: () => Promise.resolve(healthy),
        majorityReachable: () => Promise.resolve(reachable),
        restart: () => void starts.push(clock.monotonic()),
      },
      { clock, random: seededRandom(1), logger: silentLogger },
      stop.signal,
    )
  })

  afterEach(async () => {
    stop.abort()
    await running
    assert.equal(clock.pending, 0)
  })

  it('is left alone while the others cannot be reached, and started anew soon after they can', async () => {
    await clock.advance(10_000)
    healthy = reachable = false
    await clock.advance(60_000)
    assert.deepEqual(starts, [])
    reachable = true
    await clock.advance(2_000)
    assert.equal(starts.length, 1)
  })

  it('is left alone for as long as an election may take', async () => {
    healthy = false
    await clock.advance(5_500)
    healthy = true
    await clock.advance(60_000)
    assert.deepEqual(starts, [])
  })

  it('is not started anew again before it could come to rest', async () => {
    healthy = false
    await clock.advance(60_000)
    assert.equal(starts.length, 3)
    for (const [index, at] of starts.entries()) if (index > 0) assert.ok(at - starts[index - 1]! >= 20_000)
  })
})
