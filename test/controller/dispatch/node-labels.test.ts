import assert from 'node:assert/strict'
import { mergeLabels } from '../../../controller/dispatch/node-labels.ts'
import type { ObjectMeta } from '../../../proto/gen/types.ts'

function stored(labels: Record<string, string>, owners: Record<string, string[]>): ObjectMeta {
  return {
    name: 'n1',
    namespace: '',
    uid: 'u',
    resourceVersion: '1',
    labels,
    managedFields: Object.entries(owners).map(([manager, keys]) => ({
      manager,
      operation: 'Update',
      fieldsType: 'FieldsV1',
      fieldsV1: { 'f:metadata': { 'f:labels': Object.fromEntries(keys.map((key) => [`f:${key}`, {}])) } },
    })),
  }
}

describe('labels of a node', () => {
  it('on a bare node are what the agent states', () => {
    assert.deepEqual(mergeLabels({ name: 'n1', namespace: '', uid: 'u', resourceVersion: '1' }, { a: '1' }, 'm'), {
      a: '1',
    })
  })

  it('follow the agent where they are its own, and only there', () => {
    const before = stored(
      { own: '1', gone: '1', theirs: '1', 'kubernetes.io/os': 'other' },
      { m: ['own', 'gone'], user: ['theirs', 'kubernetes.io/os'] },
    )
    assert.deepEqual(mergeLabels(before, { own: '2', theirs: '2', new: '2', 'kubernetes.io/os': 'linux' }, 'm'), {
      own: '2',
      theirs: '1',
      new: '2',
      'kubernetes.io/os': 'linux',
    })
  })

  it("of nobody known are not the agent's to take away", () => {
    assert.deepEqual(mergeLabels(stored({ old: '1' }, {}), {}, 'm'), { old: '1' })
  })
})
