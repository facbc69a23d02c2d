import assert from 'node:assert/strict'
import { NeverReportedNodes } from '../../../controller/nodehealth/never-reported.ts'
import { FakeCluster } from '../reconcile/fake.ts'
import { node } from './nodes.ts'

describe('nodes that never reported', () => {
  it('are told to be unknown once they had time to report, and those that report are left alone', async () => {
    const cluster = new FakeCluster()
    await cluster.running([new NeverReportedNodes(cluster.parts)], async () => {
      const now = cluster.clock.now()
      const made = node('made', 'never', now)
      made.metadata.creationTimestamp = '2026-01-01T00:00:00Z'
      const late = structuredClone(made)
      late.metadata.name = 'late'
      late.metadata.uid = 'late'
      cluster.put(made)
      cluster.put(late)
      cluster.put(node('ready', 'ready', now))
      await cluster.settle()
      const conditions = (name: string): string[] =>
        (cluster.get('Node', name, '')!.status.conditions ?? []).map(({ type, status, reason, message }) =>
          [type, status, reason, message].filter(Boolean).join(' '),
        )
      await cluster.clock.advance(Math.max(0, 59_000 - (now - Date.UTC(2026, 0, 1))))
      await cluster.settle()
      assert.deepEqual(conditions('made'), [])
      cluster.put({ ...late, status: node('late', 'ready', now).status })
      await cluster.clock.advance(2_000)
      await cluster.settle()
      assert.deepEqual(
        conditions('made'),
        ['Ready', 'MemoryPressure', 'DiskPressure', 'PIDPressure'].map(
          (type) => `${type} Unknown NodeStatusNeverUpdated Kubelet never posted node status.`,
        ),
      )
      assert.equal(cluster.get('Node', 'made', '')!.status.conditions![0]!.lastHeartbeatTime, '2026-01-01T00:00:00Z')
      assert.deepEqual(
        [conditions('late'), conditions('ready')],
        [['Ready True SessionOpen'], ['Ready True SessionOpen']],
      )
    })
  })
})
