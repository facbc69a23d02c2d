import assert from 'node:assert/strict'
import { isLongRunning } from '../../../controller/requests/request-info.ts'

describe('requests that go on for as long as somebody wants', () => {
  for (const [verb, subresource, expected] of [
    ['watch', '', true],
    ['get', 'log', true],
    ['create', 'exec', true],
    ['create', 'attach', true],
    ['create', 'portforward', true],
    ['get', 'proxy', true],
    ['create', 'netcheck', true],
    ['create', 'session', true],
    ['create', 'stream', true],
    ['get', '', false],
    ['list', '', false],
    ['create', '', false],
    ['create', 'eviction', false],
    ['update', 'status', false],
    ['patch', 'scale', false],
    ['get', 'why', false],
    ['deletecollection', '', false],
  ] as const)
    it(`${verb}${subresource === '' ? '' : ` of ${subresource}`}: ${expected ? 'yes' : 'no'}`, () =>
      assert.equal(isLongRunning({ verb, subresource }), expected))

  it('are none of the paths beside the resources', () => assert.equal(isLongRunning({ verb: 'get' }), false))
})
