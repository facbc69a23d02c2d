import assert from 'node:assert/strict'
import { Channel } from '../../../proto/base/channel.ts'

describe('channel', () => {
  it('gives room once enough is taken', async () => {
    const channel = new Channel<number>()
    const log: string[] = []
    await channel.waitForRoom(1)
    for (const item of [1, 2, 3]) channel.push(item)
    const waits = [
      channel.waitForRoom(3).then(() => log.push('room for 3')),
      channel.waitForRoom(1).then(() => log.push('room for 1')),
    ]
    const items = channel[Symbol.asyncIterator]()
    for (const item of [1, 2, 3]) {
      log.push(`before ${item}`)
      assert.equal((await items.next()).value, item)
    }
    await Promise.all(waits)
    assert.deepEqual(log, ['before 1', 'room for 3', 'before 2', 'before 3', 'room for 1'])
  })

  it('lets nobody wait for room once it is closed', async () => {
    const channel = new Channel<number>()
    channel.push(1)
    const waiting = channel.waitForRoom(1)
    channel.close()
    await waiting
    await channel.waitForRoom(1)
    assert.equal(channel.push(2), false)
    assert.equal(channel.length, 1)
  })
})
