import assert from 'node:assert/strict'
import { kindPrefix, objectKey, parseKey } from '../../../controller/store/keys.ts'
import { resources } from '../../../proto/schema/schema.ts'
import type { Kind } from '../../../proto/gen/types.ts'

describe('store keys', () => {
  it('stand as /gantry/group/plural/namespace/name', () => {
    assert.equal(objectKey('Pod', 'default', 'web'), '/gantry/core/pods/default/web')
    assert.equal(objectKey('Node', '', 'n1'), '/gantry/core/nodes/-/n1')
    assert.equal(objectKey('Deployment', 'a', 'b'), '/gantry/apps/deployments/a/b')
    assert.equal(kindPrefix('Pod', 'default'), '/gantry/core/pods/default/')
  })

  it('are read back for every kind', () => {
    for (const { kind, namespaced } of resources) {
      const namespace = namespaced ? 'ns' : ''
      assert.deepEqual(parseKey(objectKey(kind as Kind, namespace, 'name')), { kind, namespace, name: 'name' })
    }
  })

  for (const key of [
    '/gantry/core/pods/default',
    '/gantry/core/pods/default/',
    '/gantry/core/pods//web',
    '/gantry/core/pods/-/web',
    '/gantry/core/nodes/default/n1',
    '/gantry/core/none/default/x',
    '/other/core/pods/default/web',
    '/gantry/core/pods/default/web/x',
    '',
  ]) {
    it(`are not ${JSON.stringify(key)}`, () => assert.equal(parseKey(key), undefined))
  }
})
