/** What every StateStore does. Each run gets a fresh place; `open` may be called again to read what was written. */
import assert from 'node:assert/strict'
import type { PodRecord, StateStore } from '../../agent/state/contract.ts'
import { newRecord } from '../../agent/pods/plan/pod-state.ts'
import { makePod } from '../agent/fakes.ts'

const RANGES = {
  podCidrs: ['10.1.0.0/24', 'fd00:1::/64'],
  cluster: { podCidrs: ['10.0.0.0/8', 'fd00::/16'], serviceCidrs: ['10.96.0.0/16'], domain: 'cluster.local' },
}

export function agentStateSuite(
  name: string,
  place: () => Promise<{ open(): StateStore; remove(): Promise<void> }>,
): void {
  describe(`agent state: ${name}`, () => {
    let opened: Awaited<ReturnType<typeof place>>

    beforeEach(async () => {
      opened = await place()
    })

    afterEach(() => opened.remove())

    it('is empty at first', async () => {
      assert.deepEqual(await opened.open().load(), { pods: [], node: undefined, damaged: [] })
    })

    it('gives back what was written last', async () => {
      const store = opened.open()
      await store.load()
      const first = newRecord(makePod('web'), 1)
      await store.put(first)
      const record: PodRecord = { ...first, stage: { stage: 'tornDown' }, dead: ['c1'] }
      await store.put(record)
      await store.putNode({ ranges: RANGES })
      const { pods, node } = await opened.open().load()
      assert.deepEqual(pods, [JSON.parse(JSON.stringify(record))])
      assert.deepEqual(node, { ranges: RANGES })
    })

    it('writes the record as it was when asked, in order', async () => {
      const store = opened.open()
      await store.load()
      const record = { ...newRecord(makePod('web'), 0), dead: [''] }
      const writes = Array.from({ length: 20 }, (_, index) => {
        record.dead[0] = `c${index}`
        return store.put(record)
      })
      record.dead[0] = 'c99'
      await Promise.all(writes)
      assert.deepEqual((await opened.open().load()).pods[0]!.dead, ['c19'])
    })

    it('forgets what is removed, also twice', async () => {
      const store = opened.open()
      await store.load()
      await store.put(newRecord(makePod('web'), 0))
      await store.remove('uid-web')
      await store.remove('uid-web')
      assert.deepEqual((await opened.open().load()).pods, [])
    })
  })
}
