import assert from 'node:assert/strict'
import { Authentication } from '../../../controller/kube/authentication.ts'
import { protocolsOf } from '../../../controller/kube/web-socket-protocols.ts'
import { GantryError } from '../../../proto/base/errors.ts'

describe('protocols of a WebSocket', () => {
  const authentication = new Authentication(
    [{ authenticate: (token) => Promise.resolve(token === 'a.secret+/' ? { name: 'anna', groups: [] } : undefined) }],
    { decide: () => ({ allowed: true }) },
  )
  const named = (token: string): string =>
    `v5.channel.k8s.io, base64url.bearer.authorization.k8s.io.${Buffer.from(token).toString('base64url')} ,chat`
  const identify = (headers: Record<string, string>): Promise<{ name: string }> =>
    authentication.identify({ headers, headersDistinct: {}, socket: { authorized: false } } as never)

  it('say who a browser is, which can send no other header', async () => {
    assert.equal((await identify({ upgrade: 'WebSocket', 'sec-websocket-protocol': named('a.secret+/') })).name, 'anna')
    for (const headers of [
      { 'sec-websocket-protocol': named('a.secret+/') },
      { upgrade: 'websocket', 'sec-websocket-protocol': named('wrong') },
      { upgrade: 'websocket', 'sec-websocket-protocol': 'chat' },
      { upgrade: 'websocket' },
    ]) {
      await assert.rejects(identify(headers as Record<string, string>), (thrown) =>
        GantryError.is(thrown, 'Unauthenticated'),
      )
    }
  })

  it('are, without that, what is asked for', () => {
    assert.deepEqual(protocolsOf({ 'sec-websocket-protocol': named('x') }), ['v5.channel.k8s.io', 'chat'])
    assert.deepEqual(protocolsOf({}), [])
  })
})
