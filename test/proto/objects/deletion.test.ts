import assert from 'node:assert/strict'
import fc from 'fast-check'
import { hasFinalizer, isDeleting, withFinalizer, withoutFinalizer } from '../../../proto/objects/deletion.ts'
import { pod } from './pods.ts'

describe('deletion', () => {
  it('has begun once the object says when it ends', () => {
    assert.equal(isDeleting(pod()), false)
    assert.equal(isDeleting(pod({ metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } })), true)
  })

  it('is held by finalizers: each once, the others untouched', () => {
    const names = fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd'))
    fc.assert(
      fc.property(fc.option(names, { nil: undefined }), fc.constantFrom('a', 'b'), (finalizers, one) => {
        const object = pod({ metadata: { finalizers } })
        assert.equal(hasFinalizer(object, one), (finalizers ?? []).includes(one))
        const added = pod({ metadata: { finalizers: withFinalizer(object, one) } })
        assert.ok(hasFinalizer(added, one))
        assert.deepEqual(withFinalizer(added, one), added.metadata.finalizers)
        assert.deepEqual(withoutFinalizer(added, one), withoutFinalizer(object, one))
        assert.ok(!withoutFinalizer(object, one).includes(one))
      }),
    )
  })
})
