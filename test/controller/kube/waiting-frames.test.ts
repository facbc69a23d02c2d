import assert from 'node:assert/strict'
import type { WatchFrame } from '../../../controller/kube/contract.ts'
import { WAITING_BYTES, WAITING_LIMIT, WaitingFrames } from '../../../controller/kube/resources/waiting-frames.ts'

const frame = (number: number): WatchFrame => ({ type: 'MODIFIED', object: number as never })

describe('frames that wait for a watcher', () => {
  it('come in their order, and are let go of by who is always a little behind', () => {
    const waiting = new WaitingFrames()
    let held = 0
    for (let number = 0; number < 5 * WAITING_LIMIT; number++) {
      assert.ok(waiting.push(frame(number), 1))
      if (number >= 2) assert.deepEqual(waiting.take(), frame(number - 2))
      held = Math.max(held, waiting.held)
    }
    assert.ok(held < WAITING_LIMIT / 5, String(held))
    assert.deepEqual(
      [waiting.take(), waiting.take(), waiting.take()],
      [frame(5 * WAITING_LIMIT - 2), frame(5 * WAITING_LIMIT - 1), undefined],
    )
  })

  it('are no more than a number, and no larger than memory is to be used for', () => {
    const [many, large] = [new WaitingFrames(), new WaitingFrames()]
    const fill = (waiting: WaitingFrames, bytes: number): number => {
      let count = 0
      while (waiting.push(frame(count), bytes)) count++
      return count
    }
    assert.equal(fill(many, 0), WAITING_LIMIT)
    assert.equal(fill(large, WAITING_BYTES / 8), 9)
    large.take()
    assert.ok(large.push(frame(9), 1))
    large.append(frame(10))
    large.clear()
    assert.equal(large.take(), undefined)
  })
})
