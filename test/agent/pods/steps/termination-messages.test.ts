import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { makeContainer, makePod, until } from '../../fakes.ts'
import { NodeFixture } from '../fixture.ts'

describe('termination messages', () => {
  let node: NodeFixture

  beforeEach(async () => {
    node = new NodeFixture()
    await node.start()
    await node.welcome()
    node.behaviour = ({ mounts }) => {
      writeFileSync(mounts.find(({ destination }) => destination === '/dev/termination-log')!.source, 'ü'.repeat(5000))
      return { exitAfter: 1, exitCode: 1 }
    }
  })

  afterEach(() => node.remove())

  async function messages(containers: number): Promise<string[]> {
    node.assignAll(
      makePod('web', {
        restartPolicy: 'Never',
        containers: Array.from({ length: containers }, (_, index) => makeContainer(`c${index}`)),
      }),
    )
    await until('it has failed', async () => (await node.clock.advance(10), node.status('web').phase === 'Failed'))
    return node.status('web').containerStatuses!.map(({ state }) => state?.terminated?.message ?? '')
  }

  it('have 4096 bytes at most', async () => {
    assert.deepEqual(await messages(1), ['ü'.repeat(2048)])
  })

  it('of a pod with many containers have 12 KiB together at most, and each its share', async () => {
    const told = await messages(9)
    assert.deepEqual(new Set(told), new Set(['ü'.repeat(682)]))
    assert.ok(Buffer.byteLength(told.join('')) <= 12 * 1024)
  })
})
