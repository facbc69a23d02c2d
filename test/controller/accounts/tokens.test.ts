import assert from 'node:assert/strict'
import { createPublicKey, verify } from 'node:crypto'
import { clusterSigningKey, SIGNING_KEY, SigningKey } from '../../../controller/accounts/signing-key.ts'
import { accountOf, accountUser, AccountTokens, type TokenSubject } from '../../../controller/accounts/tokens.ts'
import { MemoryStore } from '../../../controller/store/memory.ts'
import { FakeClock } from '../../../proto/base/clock.ts'
import { silentLogger } from '../../../proto/base/logger.ts'
import { seededRandom } from '../../../proto/base/random.ts'

const SUBJECT: TokenSubject = {
  namespace: 'shop',
  account: { name: 'web', uid: 'a1' },
  pod: { name: 'web-1', uid: 'p1' },
  node: { name: 'n1', uid: 'n1-uid' },
}
const ISSUER = 'https://kubernetes.default.svc.cluster.local'

describe('tokens of ServiceAccounts', () => {
  const random = seededRandom(1)
  let clock: FakeClock
  let key: SigningKey
  let tokens: AccountTokens

  beforeEach(() => {
    clock = new FakeClock()
    key = new SigningKey(SigningKey.make())
    tokens = new AccountTokens({ key, clusterDomain: 'cluster.local', clock, random })
  })

  const parts = (token: string): [header: object, claims: Record<string, unknown>] =>
    token
      .split('.')
      .slice(0, 2)
      .map((part) => JSON.parse(Buffer.from(part, 'base64url').toString()) as object) as never
  const forged = (token: string, header: object, claims: object, signature?: string): string => {
    const [own, given] = parts(token)
    const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
    return `${encode({ ...own, ...header })}.${encode({ ...given, ...claims })}.${signature ?? token.split('.')[2]!}`
  }

  it('have the claims that clients know, and are verified by the public key alone', () => {
    const { token, issued, expires } = tokens.issue(SUBJECT, [], 3607)
    const [header, claims] = parts(token)
    assert.deepEqual(header, { alg: 'ES256', kid: key.public.kid })
    const { jti, ...rest } = claims
    assert.match(String(jti), /^[0-9a-f-]{36}$/)
    const now = Math.floor(clock.now() / 1000)
    assert.deepEqual(rest, {
      aud: [ISSUER],
      exp: now + 3607,
      iat: now,
      nbf: now,
      iss: ISSUER,
      sub: 'system:serviceaccount:shop:web',
      'kubernetes.io': {
        namespace: 'shop',
        node: { name: 'n1', uid: 'n1-uid' },
        pod: { name: 'web-1', uid: 'p1' },
        serviceaccount: { name: 'web', uid: 'a1' },
      },
    })
    assert.deepEqual([issued, expires], [now * 1000, (now + 3607) * 1000])
    const [text, signature] = [token.slice(0, token.lastIndexOf('.')), token.slice(token.lastIndexOf('.') + 1)]
    const { kty, crv, x, y } = tokens.keys[0]!
    assert.ok(
      verify(
        'sha256',
        Buffer.from(text),
        { key: createPublicKey({ key: { kty, crv, x, y }, format: 'jwk' }), dsaEncoding: 'ieee-p1363' },
        Buffer.from(signature, 'base64url'),
      ),
    )
  })

  it('are good until their time is over, and say whose they are', () => {
    const { token } = tokens.issue(SUBJECT, ['vault'], 600)
    const verdict = tokens.verify(token)
    assert.ok(verdict.is === 'good')
    assert.deepEqual(
      [verdict.token.subject.account.name, verdict.token.subject.pod?.uid, verdict.token.audiences],
      ['web', 'p1', ['vault']],
    )
    clock.set(599_000)
    assert.equal(tokens.verify(token).is, 'good')
    clock.set(1_000)
    assert.deepEqual(tokens.verify(token), { is: 'bad', reason: 'the token has expired' })
  })

  it('hold on every controller, and on no other cluster', () => {
    const { token } = tokens.issue(SUBJECT, [], 600)
    assert.equal(new AccountTokens({ key, clusterDomain: 'cluster.local', clock, random }).verify(token).is, 'good')
    assert.equal(
      new AccountTokens({
        key: new SigningKey(SigningKey.make()),
        clusterDomain: 'cluster.local',
        clock,
        random,
      }).verify(token).is,
      'bad',
    )
    assert.equal(new AccountTokens({ key, clusterDomain: 'other.test', clock, random }).verify(token).is, 'foreign')
  })

  it('do not hold when anything about them was changed', () => {
    const { token } = tokens.issue(SUBJECT, [], 600)
    assert.equal(tokens.verify(token).is, 'good')
    const bad = [
      forged(token, {}, { sub: 'system:serviceaccount:kube-system:admin' }),
      forged(token, {}, { exp: 99_999_999_999 }),
      forged(token, {}, { 'kubernetes.io': { namespace: 'shop', serviceaccount: { name: 'admin', uid: 'a2' } } }),
      forged(token, { alg: 'none' }, {}),
      forged(token, { alg: 'none' }, {}, ''),
      forged(token, { alg: 'HS256' }, {}),
      forged(token, { kid: 'other' }, {}),
      forged(token, {}, {}, 'AAAA'),
      `${token.slice(0, -4)}AAAA`,
    ]
    for (const text of bad) assert.equal(tokens.verify(text).is, 'bad', text)
    for (const text of ['', 'x', 'a.b', 'a.b.c', `${token}.x`, Buffer.from('[]').toString('base64url').padEnd(3, '.')])
      assert.equal(tokens.verify(text).is, 'foreign', text)
  })

  it('name accounts as users, and only whole names', () => {
    assert.deepEqual(accountOf(accountUser('shop', 'web')), { namespace: 'shop', name: 'web' })
    for (const name of [
      '',
      'anna',
      'system:serviceaccount:',
      'system:serviceaccount:shop',
      'system:serviceaccount:shop:',
      'system:serviceaccount::web',
      'system:serviceaccount:shop:web:x',
      'x:system:serviceaccount:shop:web',
    ])
      assert.equal(accountOf(name), undefined, name)
  })

  it('are signed with one key, whichever controller makes it', async () => {
    const store = new MemoryStore(clock)
    const options = { clock, random, logger: silentLogger }
    const signal = new AbortController().signal
    const first = await clusterSigningKey(store, options, signal)
    const second = await clusterSigningKey(store, options, signal)
    assert.equal(second.public.kid, first.public.kid)
    assert.match(Buffer.from((await store.get(SIGNING_KEY))!.value).toString(), /BEGIN PRIVATE KEY/)
    await store.close()
  })
})
