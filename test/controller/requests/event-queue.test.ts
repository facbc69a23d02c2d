import assert from 'node:assert/strict'
import { EventQueue, MAX_QUEUED_BYTES, MAX_QUEUED_EVENTS } from '../../../controller/requests/event-queue.ts'
import type { ObjectEvent } from '../../../controller/requests/watch-event.ts'

const event = (number: number): ObjectEvent => ({ type: 'MODIFIED', cached: number as never })

describe('events that wait for a watcher', () => {
  it('come in their order, and are let go of by who is always a little behind', () => {
    const waiting = new EventQueue()
    let held = 0
    for (let number = 0; number < 5 * MAX_QUEUED_EVENTS; number++) {
      assert.ok(waiting.push(event(number), 1))
      if (number >= 2) assert.deepEqual(waiting.take(), event(number - 2))
      held = Math.max(held, waiting.held)
    }
    assert.ok(held < MAX_QUEUED_EVENTS / 5, String(held))
    assert.deepEqual(
      [waiting.take(), waiting.take(), waiting.take()],
      [event(5 * MAX_QUEUED_EVENTS - 2), event(5 * MAX_QUEUED_EVENTS - 1), undefined],
    )
  })

  it('are no more than a number, and no larger than memory is to be used for', () => {
    const [many, large] = [new EventQueue(), new EventQueue()]
    const fill = (waiting: EventQueue, bytes: number): number => {
      let count = 0
      while (waiting.push(event(count), bytes)) count++
      return count
    }
    assert.equal(fill(many, 0), MAX_QUEUED_EVENTS)
    assert.equal(fill(large, MAX_QUEUED_BYTES / 8), 9)
    large.take()
    assert.ok(large.push(event(9), 1))
    large.append(event(10))
    large.clear()
    assert.equal(large.take(), undefined)
  })
})
