import assert from 'node:assert/strict'
import { NeverReportedNodes } from '../../../controller/nodehealth/never-reported.ts'
import { formatTime } from '../../../proto/base/time.ts'
import { SteppedControlPlane } from '../stepped-control-plane.ts'
import { node } from './nodes.ts'

describe('nodes that never reported', () => {
  let plane: SteppedControlPlane

  beforeEach(async () => {
    plane = await SteppedControlPlane.start()
  })
  afterEach(() => plane.stop())

  it('are told to be unknown once they had time to report, and those that report are left alone', async () => {
    plane.run(new NeverReportedNodes(plane.parts))
    const now = plane.clock.now()
    for (const name of ['made', 'late']) await plane.put(node(name, 'never', now))
    await plane.put(node('ready', 'ready', now))
    await plane.settle()
    const conditions = (name: string): string[] =>
      (plane.get('Node', name)!.status.conditions ?? []).map(({ type, status, reason, message }) =>
        [type, status, reason, message].filter(Boolean).join(' '),
      )
    await plane.pass(59_000)
    assert.deepEqual(conditions('made'), [])
    await plane.change('Node', 'late', (late) => void (late.status = node('late', 'ready', now).status))
    await plane.pass(2_000)
    assert.deepEqual(
      conditions('made'),
      ['Ready', 'MemoryPressure', 'DiskPressure', 'PIDPressure'].map(
        (type) => `${type} Unknown NodeStatusNeverUpdated Kubelet never posted node status.`,
      ),
    )
    assert.equal(plane.get('Node', 'made')!.status.conditions![0]!.lastHeartbeatTime, formatTime(now))
    assert.deepEqual(
      [conditions('late'), conditions('ready')],
      [['Ready True SessionOpen'], ['Ready True SessionOpen']],
    )
  })
})
