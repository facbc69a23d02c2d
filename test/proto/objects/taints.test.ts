import assert from 'node:assert/strict'
import { formatTaint, repellingTaint, tolerationOf, tolerates } from '../../../proto/objects/taints.ts'
import type { Node, Taint, Toleration } from '../../../proto/gen/types.ts'
import { pod } from './pods.ts'

const TAINT: Taint = { key: 'disk', value: 'slow', effect: 'NoSchedule' }

const tolerating = (...tolerations: Toleration[]) => pod({ spec: { tolerations } })

describe('taints', () => {
  for (const [toleration, taint, expected] of [
    [{ key: 'disk', value: 'slow' }, TAINT, true],
    [{ key: 'disk', operator: 'Equal', value: 'slow', effect: 'NoSchedule' }, TAINT, true],
    [{ key: 'disk', value: 'slow', effect: 'NoExecute' }, TAINT, false],
    [{ key: 'disk', value: 'fast' }, TAINT, false],
    [{ key: 'disk' }, TAINT, false],
    [{ key: 'disk' }, { key: 'disk', effect: 'NoSchedule' }, true],
    [{ key: 'disk', value: '' }, { key: 'disk', effect: 'NoSchedule' }, true],
    [{ key: 'disk', operator: 'Exists' }, TAINT, true],
    [{ key: 'cpu', operator: 'Exists' }, TAINT, false],
    [{ operator: 'Exists' }, TAINT, true],
    [{ operator: 'Exists', effect: 'NoExecute' }, TAINT, false],
    [{ value: 'slow' }, TAINT, false],
    [{}, TAINT, false],
  ] as [Toleration, Taint, boolean][]) {
    it(`${formatTaint(taint)} is ${expected ? '' : 'not '}tolerated by ${JSON.stringify(toleration)}`, () =>
      assert.equal(tolerates(tolerating(toleration), taint), expected))
  }

  it('are covered by the first toleration that fits', () => {
    const first: Toleration = { operator: 'Exists', tolerationSeconds: 1 }
    assert.equal(tolerationOf(tolerating({ key: 'cpu' }, first, { ...first, tolerationSeconds: 2 }), TAINT), first)
  })

  it('repel a pod that does not tolerate one, unless they only prefer others', () => {
    const tainted = (...taints: Taint[]): Pick<Node, 'spec'> => ({ spec: { taints } })
    const execute: Taint = { key: 'gpu', effect: 'NoExecute' }
    assert.equal(repellingTaint(pod(), tainted({ ...TAINT, effect: 'PreferNoSchedule' }, execute)), execute)
    assert.equal(repellingTaint(pod(), tainted({ ...TAINT, effect: 'PreferNoSchedule' })), undefined)
    assert.equal(repellingTaint(tolerating({ key: 'disk', value: 'slow' }), tainted(TAINT)), undefined)
    assert.equal(repellingTaint(pod(), { spec: {} }), undefined)
  })

  it('are written as the command line reads them', () => {
    assert.equal(formatTaint(TAINT), 'disk=slow:NoSchedule')
    assert.equal(formatTaint({ key: 'gpu', value: '', effect: 'NoExecute' }), 'gpu:NoExecute')
  })
})
