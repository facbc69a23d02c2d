import assert from 'node:assert/strict'
import type { WatchFrame } from '../../../controller/kube/contract.ts'
import { MAX_QUEUED_BYTES, MAX_QUEUED_FRAMES, FrameQueue } from '../../../controller/kube/resources/frame-queue.ts'

const frame = (number: number): WatchFrame => ({ type: 'MODIFIED', object: number as never })

describe('frames that wait for a watcher', () => {
  it('come in their order, and are let go of by who is always a little behind', () => {
    const waiting = new FrameQueue()
    let held = 0
    for (let number = 0; number < 5 * MAX_QUEUED_FRAMES; number++) {
      assert.ok(waiting.push(frame(number), 1))
      if (number >= 2) assert.deepEqual(waiting.take(), frame(number - 2))
      held = Math.max(held, waiting.held)
    }
    assert.ok(held < MAX_QUEUED_FRAMES / 5, String(held))
    assert.deepEqual(
      [waiting.take(), waiting.take(), waiting.take()],
      [frame(5 * MAX_QUEUED_FRAMES - 2), frame(5 * MAX_QUEUED_FRAMES - 1), undefined],
    )
  })

  it('are no more than a number, and no larger than memory is to be used for', () => {
    const [many, large] = [new FrameQueue(), new FrameQueue()]
    const fill = (waiting: FrameQueue, bytes: number): number => {
      let count = 0
      while (waiting.push(frame(count), bytes)) count++
      return count
    }
    assert.equal(fill(many, 0), MAX_QUEUED_FRAMES)
    assert.equal(fill(large, MAX_QUEUED_BYTES / 8), 9)
    large.take()
    assert.ok(large.push(frame(9), 1))
    large.append(frame(10))
    large.clear()
    assert.equal(large.take(), undefined)
  })
})
