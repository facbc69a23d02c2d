import assert from 'node:assert/strict'
import type { AdmissionAttributes, AdmissionPlugin } from '../../../controller/api/contract.ts'
import { AdmissionResultCache, runAdmission } from '../../../controller/api/plugins.ts'
import { GantryError } from '../../../proto/base/errors.ts'

describe('what a remote plugin has answered within one write', () => {
  const attributes: AdmissionAttributes = {
    operation: 'CREATE',
    kind: 'Pod',
    namespace: 'default',
    name: 'web',
    subresource: 'eviction',
    object: undefined,
    oldObject: undefined,
    context: { fieldManager: 'test' },
  }
  const refusals: [string, () => void | Promise<void>][] = [
    [
      'thrown',
      () => {
        throw new GantryError('Forbidden', 'no')
      },
    ],
    ['rejected with', () => Promise.reject(new GantryError('Forbidden', 'no'))],
  ]
  for (const [how, validate] of refusals) {
    it(`holds for its further tries, a refusal that is ${how} as well`, async () => {
      let asked = 0
      const plugin: AdmissionPlugin = {
        name: 'Remote',
        remote: true,
        handles: () => true,
        validate: () => {
          asked++
          return validate()
        },
      }
      const write = new AdmissionResultCache()
      for (let tries = 0; tries < 3; tries++)
        await assert.rejects(async () => runAdmission([plugin], attributes, () => undefined, write), {
          code: 'Forbidden',
        })
      assert.equal(asked, 1)
      await assert.rejects(async () => runAdmission([plugin], attributes, () => undefined, new AdmissionResultCache()))
      assert.equal(asked, 2, 'another write')
    })
  }
})
