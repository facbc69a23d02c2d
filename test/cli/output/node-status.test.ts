import assert from 'node:assert/strict'
import { columns, nodeStatus } from '../../../proto/objects/columns/columns.ts'
import { tableRow } from '../../../cli/output/rows.ts'
import { colorStatus } from '../../../proto/terminal/output/color.ts'
import { decodeJson } from '../../../proto/codec/codec.ts'
import type { JsonObject, Node } from '../../../proto/gen/types.ts'

const NOW = Date.UTC(2026, 0, 31, 12)
const SINCE = { lastHeartbeatTime: '2026-01-31T11:03:07Z' }

function make(conditions: JsonObject[], unschedulable = false): Node {
  return decodeJson('Node', {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'n1' },
    spec: unschedulable ? { unschedulable } : {},
    status: { conditions },
  })
}

const status = (node: Node, wide: boolean): string =>
  tableRow(
    node,
    { wide, namespaces: false, kinds: false, labels: false, labelColumns: [], color: (text) => text },
    NOW,
  )[columns.Node.findIndex(({ name }) => name === 'Status')]!

describe('node status', () => {
  const suspect = { type: 'Ready', status: 'Unknown', reason: 'NodeSuspect', ...SINCE }
  const lost = { type: 'Ready', status: 'Unknown', reason: 'NodeLost', ...SINCE }
  const held = { type: 'EvictionHeld', status: 'True' }
  for (const [expected, wide, node] of [
    ['Unknown', 'Unknown', make([])],
    ['Ready', 'Ready', make([{ type: 'Ready', status: 'True', ...SINCE }])],
    ['NotReady', 'NotReady', make([{ type: 'Ready', status: 'False', reason: 'Other' }])],
    ['NotReady', 'NotReady', make([{ type: 'Ready', status: 'Unknown', reason: 'Other' }])],
    ['Ready,SchedulingDisabled', 'Ready,SchedulingDisabled', make([{ type: 'Ready', status: 'True' }], true)],
    ['Suspect', 'Suspect since 11:03:07', make([suspect])],
    ['Lost', 'Lost since 11:03:07', make([lost])],
    ['Lost,EvictionHeld', 'Lost since 11:03:07,EvictionHeld', make([lost, held])],
    [
      'Lost,EvictionHeld,SchedulingDisabled',
      'Lost since 11:03:07,EvictionHeld,SchedulingDisabled',
      make([lost, held], true),
    ],
  ] as const) {
    it(`is ${wide}`, () =>
      assert.deepEqual([nodeStatus(node), status(node, false), status(node, true)], [expected, expected, wide]))
  }

  it('has the colour of its meaning', () => {
    const colors = { red: (text: string) => `red ${text}`, yellow: (text: string) => `yellow ${text}` }
    assert.deepEqual(
      ['Lost since 11:03:07', 'Suspect', 'Ready'].map((text) => colorStatus(text, colors as never)),
      ['red Lost since 11:03:07', 'yellow Suspect', 'Ready'],
    )
  })
})
