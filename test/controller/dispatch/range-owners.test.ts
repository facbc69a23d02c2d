import assert from 'node:assert/strict'
import { RANGE_ANNOTATION, RangeOwners } from '../../../controller/dispatch/range-owners.ts'
import type { Node } from '../../../proto/gen/types.ts'

function node(name: string, podCIDR: string | undefined): Node {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, namespace: '', uid: name, resourceVersion: '1' },
    spec: { podCIDR },
    status: {},
  }
}

describe('owners of address ranges', () => {
  let owners: RangeOwners

  beforeEach(() => (owners = new RangeOwners()))

  function note(type: 'added' | 'modified' | 'deleted', name: string, range: string | undefined): void {
    owners.note({
      type,
      cached: { object: node(name, range), bytes: new Uint8Array(), revision: 1 },
      previous: undefined,
      revision: 1,
    })
  }

  it('gives a range to the first that has it', () => {
    note('added', 'a', 'r1')
    note('modified', 'b', 'r1')
    assert.deepEqual(
      [owners.has(node('a', 'r1')), owners.has(node('b', 'r1')), owners.has(node('b', undefined))],
      [true, false, false],
    )
    note('modified', 'b', 'r2')
    assert.deepEqual([owners.owner('r1'), owners.owner('r2')], ['a', 'b'])
  })

  it("counts a range that is only meant to be a node's", () => {
    const meant = {
      ...node('a', undefined),
      metadata: { ...node('a', undefined).metadata, annotations: { [RANGE_ANNOTATION]: 'r1' } },
    }
    owners.note({
      type: 'added',
      cached: { object: meant, bytes: new Uint8Array(), revision: 1 },
      previous: undefined,
      revision: 1,
    })
    note('added', 'b', 'r1')
    assert.deepEqual([owners.has(meant), owners.has(node('b', 'r1'))], [true, false])
    note('modified', 'a', 'r1')
    assert.equal(owners.has(node('a', 'r1')), true)
  })

  it('passes a range on when its owner leaves it, and frees it when nobody has it', () => {
    note('added', 'a', 'r1')
    note('added', 'b', 'r1')
    note('deleted', 'a', 'r1')
    assert.equal(owners.owner('r1'), 'b')
    note('modified', 'b', undefined)
    assert.deepEqual(owners.taken, [])
  })

  it('does not take a range from its owner when another that claims it goes', () => {
    note('added', 'a', 'r1')
    note('added', 'b', 'r1')
    note('deleted', 'b', 'r1')
    assert.equal(owners.owner('r1'), 'a')
  })

  it("has a node's ranges only when it has all of them", () => {
    const both = (name: string, first: string, second: string): Node => ({
      ...node(name, first),
      spec: { podCIDR: first, podCIDRs: [first, second] },
    })
    const take = (object: Node): void =>
      owners.note({
        type: 'modified',
        cached: { object, bytes: new Uint8Array(), revision: 1 },
        previous: undefined,
        revision: 1,
      })
    take(both('a', 'r1', 's1'))
    take(both('b', 'r2', 's1'))
    assert.deepEqual([owners.has(both('a', 'r1', 's1')), owners.has(both('b', 'r2', 's1'))], [true, false])
    take(both('b', 'r2', 's2'))
    assert.equal(owners.has(both('b', 'r2', 's2')), true)
    assert.deepEqual([...owners.taken].sort(), ['r1', 'r2', 's1', 's2'])
  })
})
