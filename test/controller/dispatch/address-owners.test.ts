import assert from 'node:assert/strict'
import { AddressOwners } from '../../../controller/dispatch/address-owners.ts'
import type { Node } from '../../../proto/gen/types.ts'

function node(name: string, addresses: readonly string[]): Node {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, namespace: '', uid: name, resourceVersion: '1' },
    spec: {},
    status: { addresses: addresses.map((address) => ({ type: 'InternalIP', address })) },
  }
}

describe('owners of addresses', () => {
  let owners: AddressOwners

  beforeEach(
    () => (owners = new AddressOwners(({ status }) => (status.addresses ?? []).map(({ address }) => address!))),
  )

  function note(type: 'added' | 'modified' | 'deleted', name: string, ...addresses: string[]): void {
    owners.note({
      type,
      cached: { object: node(name, addresses), bytes: new Uint8Array(), revision: 1 },
      previous: undefined,
      revision: 1,
    })
  }

  it('are the first that have them', () => {
    note('added', 'a', '10.0.0.1')
    note('modified', 'b', '10.0.0.1')
    assert.equal(owners.owner('10.0.0.1'), 'a')
    note('modified', 'b', '10.0.0.2')
    assert.deepEqual([owners.owner('10.0.0.1'), owners.owner('10.0.0.2')], ['a', 'b'])
  })

  it('pass an address on when they leave it, and free it when nobody has it', () => {
    note('added', 'a', '10.0.0.1')
    note('added', 'b', '10.0.0.1', '10.0.0.2')
    note('deleted', 'a', '10.0.0.1')
    assert.equal(owners.owner('10.0.0.1'), 'b')
    note('modified', 'b', '10.0.0.2')
    assert.deepEqual([owners.owner('10.0.0.1'), owners.owner('10.0.0.2')], [undefined, 'b'])
  })

  it('keep an address when another that claims it goes', () => {
    note('added', 'a', '10.0.0.1')
    note('added', 'b', '10.0.0.1')
    note('deleted', 'b', '10.0.0.1')
    assert.equal(owners.owner('10.0.0.1'), 'a')
  })
})
