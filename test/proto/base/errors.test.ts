import assert from 'node:assert/strict'
import { GantryError } from '../../../proto/base/errors.ts'

describe('errors of several bundles', () => {
  it('are known to each other, and subclasses stay apart', async () => {
    const other = (await import(
      `../../../proto/base/errors.ts?bundle=${process.pid}`
    )) as typeof import('../../../proto/base/errors.ts')
    const theirs = new other.GantryError('NotFound', 'none')
    assert.notEqual(other.GantryError, GantryError)
    assert.ok(
      theirs instanceof GantryError && GantryError.is(theirs, 'NotFound') && GantryError.from(theirs) === theirs,
    )
    class Special extends GantryError {}
    assert.ok(new Special('NotFound', 'x') instanceof Special && new Special('NotFound', 'x') instanceof GantryError)
    assert.ok(!(theirs instanceof Special) && !(new GantryError('NotFound', 'x') instanceof Special))
    for (const value of [undefined, null, 'x', {}, new Error('x')]) assert.ok(!(value instanceof GantryError))
  })
})
