import assert from 'node:assert/strict'
import type { ClusterEvent } from '../../../controller/scheduler/framework.ts'
import { SchedulingQueue } from '../../../controller/scheduler/scheduling-queue.ts'
import { FakeClock } from '../../../proto/base/clock.ts'
import { seededRandom } from '../../../proto/base/random.ts'

const helped = (...events: ClusterEvent[]): ReadonlySet<ClusterEvent> => new Set(events)

describe('scheduling queue', () => {
  let clock: FakeClock
  let queue: SchedulingQueue

  beforeEach(() => {
    clock = new FakeClock()
    queue = new SchedulingQueue(clock, seededRandom(1))
  })
  afterEach(() => {
    queue.close()
    assert.equal(clock.pending, 0)
  })

  it('gives by priority, then age, then arrival', () => {
    queue.add('late', 0, '2026-01-02T00:00:00Z')
    queue.add('first', 0, '2026-01-01T00:00:00Z')
    queue.add('second', 0, '2026-01-01T00:00:00Z')
    queue.add('important', 5, '2026-01-03T00:00:00Z')
    queue.add('least', -1, '2026-01-01T00:00:00Z')
    assert.deepEqual(queue.take(3), ['important', 'first', 'second'])
    assert.deepEqual(queue.take(3), ['late', 'least'])
    assert.deepEqual(queue.take(3), [])
  })

  it('gives a pod once, and not again while it is placed', () => {
    queue.add('a', 0, '')
    queue.add('a', 0, '')
    assert.deepEqual(queue.take(10), ['a'])
    queue.add('a', 0, '')
    assert.equal(queue.state('a'), 'placing')
    assert.deepEqual(queue.take(10), [])
    queue.remove('a')
    queue.add('a', 0, '')
    assert.deepEqual(queue.take(10), ['a'])
  })

  it('gives what has become more important or was removed meanwhile as it is now', () => {
    for (const key of ['a', 'b', 'c', 'd']) queue.add(key, 0, '')
    queue.remove('b')
    queue.add('a', -1, '')
    queue.add('d', 5, '')
    queue.add('b', -2, '')
    assert.equal(queue.length, 4)
    assert.deepEqual([queue.take(3), queue.take(3), queue.length], [['d', 'c', 'a'], ['b'], 0])
  })

  it('wakes those whom an event helps', async () => {
    queue.add('room', 0, '')
    queue.add('node', 0, '')
    queue.take(2)
    queue.addUnschedulable('room', helped('pod-removed', 'node-added'))
    queue.addUnschedulable('node', helped('node-added'))
    await clock.advance(100)
    queue.moveToActive('pod-removed')
    assert.deepEqual([queue.state('room'), queue.state('node')], ['active', 'parked'])
    queue.moveToActive('node-added')
    assert.deepEqual(queue.take(2), ['room', 'node'])
  })

  it('makes those who failed often wait longer for the same help, at most 12 s', async () => {
    queue.add('a', 0, '')
    const waits: number[] = []
    for (let round = 0; round < 12; round++) {
      queue.take(1)
      queue.addUnschedulable('a', helped('node-added'))
      queue.moveToActive('node-added')
      assert.equal(queue.state('a'), 'backing-off')
      const before = clock.monotonic()
      while (queue.length === 0) await clock.advance(10)
      waits.push(clock.monotonic() - before)
    }
    assert.ok(waits[0]! <= 60 && waits[4]! > 500 && waits.every((wait) => wait <= 12_000), waits.join())
  })

  it('tries a changed pod at once, its failures forgotten', async () => {
    queue.add('a', 0, '')
    for (let round = 0; round < 8; round++) {
      queue.take(1)
      queue.retry('a')
      assert.equal(queue.state('a'), 'backing-off')
      queue.add('a', 0, '')
      assert.equal(queue.state('a'), 'active')
    }
    queue.take(1)
    queue.retry('a')
    await clock.advance(100)
    assert.equal(queue.state('a'), 'active')
  })

  it('resolves ready when something comes, and when it is to end', async () => {
    const end = new AbortController()
    const ready = queue.ready(end.signal)
    queue.add('a', 0, '')
    await ready
    await queue.ready(end.signal)
    queue.take(1)
    const stopped = queue.ready(end.signal)
    end.abort()
    await stopped
    assert.equal(queue.length, 0)
  })

  it('forgets what is removed, in every state', async () => {
    for (const key of ['active', 'placing', 'parked', 'backing']) queue.add(key, 0, '')
    queue.take(4)
    queue.addUnschedulable('parked', helped('node-added'))
    queue.retry('backing')
    queue.remove('active')
    queue.add('active', 0, '')
    for (const key of ['active', 'placing', 'parked', 'backing']) queue.remove(key)
    queue.moveToActive('node-added')
    await clock.advance(60_000)
    for (const key of ['parked', 'backing', 'active']) {
      queue.addUnschedulable(key, helped('node-added'))
      queue.retry(key)
      assert.equal(queue.state(key), undefined)
    }
    assert.deepEqual(queue.take(10), [])
  })
})
