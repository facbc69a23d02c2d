import assert from 'node:assert/strict'
import { engineError, hasStatus } from '../../deploy/docker-engine.ts'
import { GantryError } from '../../proto/base/errors.ts'

describe('errors of a Docker engine', () => {
  it('are told apart by what it answers', () => {
    const refusal = (statusCode: number): Error =>
      Object.assign(new Error('(HTTP code) no'), { statusCode, json: { message: 'no such thing' } })
    const codes = [404, 409, 400, 500].map((status) => engineError(refusal(status), 'asking').code)
    assert.deepEqual(codes, ['NotFound', 'FailedPrecondition', 'InvalidArgument', 'Internal'])
    assert.equal(engineError(refusal(404), 'asking').message, 'asking: no such thing')
    assert.equal(
      engineError(Object.assign(new Error('refused'), { syscall: 'connect', code: 'ECONNREFUSED' }), 'asking').code,
      'Unavailable',
    )
    const own = new GantryError('Conflict', 'mine')
    assert.equal(engineError(own, 'asking'), own)
    assert.equal(hasStatus(refusal(404), 404, 409), true)
    assert.equal(hasStatus(new Error('other'), 404), false)
  })
})
