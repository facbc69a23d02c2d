import assert from 'node:assert/strict'
import { controllerOf, controllerReference, isControlledBy, isOwnedBy } from '../../../proto/objects/owners.ts'
import type { OwnerReference } from '../../../proto/gen/types.ts'
import { pod } from './pods.ts'

const reference = (uid: string, fields: Partial<OwnerReference> = {}): OwnerReference => ({
  apiVersion: 'apps/v1',
  kind: 'ReplicaSet',
  name: uid,
  uid,
  ...fields,
})

describe('owners', () => {
  for (const [ownerReferences, controller, owned] of [
    [undefined, undefined, false],
    [[], undefined, false],
    [[reference('a')], undefined, true],
    [[reference('a', { controller: false })], undefined, true],
    [[reference('b'), reference('a', { controller: true })], 'a', true],
    [[reference('b', { controller: true }), reference('a')], 'b', true],
    [[reference('b', { controller: true })], 'b', false],
  ] as [OwnerReference[] | undefined, string | undefined, boolean][]) {
    it(`of ${JSON.stringify(ownerReferences?.map(({ uid, controller }) => [uid, controller]))}`, () => {
      const object = pod({ metadata: { ownerReferences } })
      assert.equal(controllerOf(object)?.uid, controller)
      assert.equal(isControlledBy(object, 'a'), controller === 'a')
      assert.equal(isOwnedBy(object, 'a'), owned)
    })
  }

  it('are referred to with group and version of their kind', () => {
    assert.deepEqual(controllerReference(pod()), {
      apiVersion: 'v1',
      kind: 'Pod',
      name: 'web',
      uid: 'uid',
      controller: true,
      blockOwnerDeletion: true,
    })
    const owned = pod({ metadata: { ownerReferences: [controllerReference(pod())] } })
    assert.ok(isControlledBy(owned, 'uid') && isOwnedBy(owned, 'uid'))
  })
})
