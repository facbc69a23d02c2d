import assert from 'node:assert/strict'
import { FairQueue } from '../../../../controller/requests/fairness/fair-queue.ts'
import { FakeClock } from '../../../../proto/base/clock.ts'

const look = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('turns of the one thread', () => {
  let clock: FakeClock
  let turns: FairQueue
  beforeEach(() => {
    clock = new FakeClock()
    turns = new FairQueue(clock)
  })

  it('are there at once while little is to be done', async () => {
    for (let at = 0; at < 100; at++) assert.equal(turns.waitTurn('a'), undefined)
    await look()
    assert.equal(turns.waitTurn('a'), undefined)
    assert.equal(turns.waiting, 0)
  })

  it('go round the users, one between two looks at timers and connections', async () => {
    const order: string[] = []
    const work = async (user: string): Promise<void> => {
      await turns.waitTurn(user)
      order.push(user)
      await clock.advance(20)
    }
    let looks = 0
    let going = true
    const count = (): void => {
      looks++
      if (going) setImmediate(count)
    }
    // The first takes long: what comes with it waits.
    assert.equal(turns.waitTurn('hostile'), undefined)
    await clock.advance(20)
    const all = [...Array.from({ length: 50 }, () => work('hostile')), work('victim'), work('other'), work('victim')]
    assert.equal(turns.waiting, 53)
    count()
    await Promise.all(all)
    going = false
    assert.deepEqual(order.slice(0, 6), ['hostile', 'victim', 'other', 'hostile', 'victim', 'hostile'])
    assert.ok(looks >= 50, `${looks} looks for 53 pieces of work`)
  })

  it('begin together again once nobody waits', async () => {
    void turns.waitTurn('a')
    await clock.advance(20)
    await turns.waitTurn('a')
    await look()
    await look()
    for (let at = 0; at < 10; at++) assert.equal(turns.waitTurn('a'), undefined)
  })
})
