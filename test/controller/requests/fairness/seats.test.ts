import assert from 'node:assert/strict'
import { SeatAllocator } from '../../../../controller/requests/fairness/seat-allocator.ts'
import { TooManyRequests } from '../../../../controller/requests/fairness/too-many-requests.ts'
import type { User } from '../../../../controller/api/contract.ts'

const LEVELS = {
  ordinary: { inFlight: 2, queueLength: 1, longRunning: 1 },
  system: { inFlight: 3, queueLength: 0, longRunning: 2 },
}
const ANNA = { name: 'anna', groups: [] }
const NODE = { name: 'system:node:n1', groups: ['system:nodes'] }
const ADMIN = { name: 'root', groups: ['system:masters'] }

function tooMany(work: () => unknown): void {
  assert.throws(work, (error) => error instanceof TooManyRequests && error.code === 'ResourceExhausted')
}

describe('seats of users', () => {
  let seats: SeatAllocator
  let left: AbortController
  beforeEach(() => {
    seats = new SeatAllocator(LEVELS)
    left = new AbortController()
  })

  const take = (user: User, isLong = false, key = user.name) => seats.take(key, user, isLong, left)

  it('are taken up to a number, then waited for in order, then refused', async () => {
    const first = await take(ANNA)!
    await take(ANNA)
    const third = Promise.resolve(take(ANNA)!)
    tooMany(() => take(ANNA))
    let seated = false
    void third.then(() => (seated = true))
    await Promise.resolve()
    assert.equal(seated, false)
    first()
    const release = await third
    // Two are under way again, and nobody waits.
    assert.ok(take(ANNA) instanceof Promise)
    release()
  })

  it("are each user's own, more for nodes, and none for administrators", () => {
    for (let at = 0; at < 2; at++) assert.equal(typeof take(ANNA), 'function')
    assert.equal(typeof take({ name: 'berta', groups: [] }), 'function')
    for (let at = 0; at < 3; at++) assert.equal(typeof take(NODE), 'function')
    tooMany(() => take(NODE))
    for (let at = 0; at < 100; at++) assert.equal(take(ADMIN), undefined)
  })

  it('of watches and the like are counted by themselves, and never waited for', () => {
    const release = take(ANNA, true)
    assert.equal(typeof release, 'function')
    tooMany(() => take(ANNA, true))
    for (let at = 0; at < 2; at++) assert.equal(typeof take(ANNA), 'function')
    ;(release as () => void)()
    assert.equal(typeof take(ANNA, true), 'function')
  })

  it('are not waited for by who went away', async () => {
    const first = await take(ANNA)!
    await take(ANNA)
    const third = Promise.resolve(take(ANNA)!)
    left.abort(new Error('gone'))
    await assert.rejects(third, /gone/)
    first()
    assert.equal(typeof take(ANNA), 'function')
  })

  it('of strangers are those of the address that they call from', () => {
    const stranger = { name: 'system:anonymous', groups: ['system:unauthenticated'] }
    assert.deepEqual(
      [
        SeatAllocator.keyOf(stranger, { peer: '10.0.0.1:1' }),
        SeatAllocator.keyOf(stranger, { peer: '10.0.0.1:2' }),
        SeatAllocator.keyOf(stranger, { peer: '::1:2' }),
        SeatAllocator.keyOf(ANNA, { peer: '10.0.0.1:1' }),
      ],
      ['stranger 10.0.0.1', 'stranger 10.0.0.1', 'stranger ::1', 'user anna'],
    )
  })
})
