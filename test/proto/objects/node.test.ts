import assert from 'node:assert/strict'
import { isCordoned, isNodeReady, readyCondition } from '../../../proto/objects/node.ts'
import type { Node, NodeCondition } from '../../../proto/gen/types.ts'

const status = (conditions?: NodeCondition[]): Pick<Node, 'status'> => ({ status: { conditions } })

describe('a node', () => {
  for (const [conditions, expected] of [
    [undefined, false],
    [[], false],
    [[{ type: 'MemoryPressure', status: 'True' }], false],
    [[{ type: 'Ready', status: 'True' }], true],
    [[{ type: 'Ready', status: 'False' }], false],
    [[{ type: 'Ready', status: 'Unknown' }], false],
  ] as [NodeCondition[] | undefined, boolean][]) {
    it(`that says ${JSON.stringify(conditions)} is ${expected ? '' : 'not '}ready`, () => {
      assert.equal(isNodeReady(status(conditions)), expected)
      assert.equal(
        readyCondition(status(conditions)),
        conditions?.find(({ type }) => type === 'Ready'),
      )
    })
  }

  it('is cordoned where it says so', () => {
    assert.deepEqual(
      [undefined, false, true].map((unschedulable) => isCordoned({ spec: { unschedulable } })),
      [false, false, true],
    )
  })
})
