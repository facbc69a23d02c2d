import assert from 'node:assert/strict'
import fc from 'fast-check'
import { digestHex, formatReference, parseReference } from '../../../agent/images/reference.ts'
import { GantryError } from '../../../proto/base/errors.ts'

const DIGEST = `sha256:${'0a'.repeat(32)}`

describe('image references', () => {
  for (const [text, normal] of [
    ['busybox', 'docker.io/library/busybox:latest'],
    ['busybox:1.36', 'docker.io/library/busybox:1.36'],
    ['team/app', 'docker.io/team/app:latest'],
    ['docker.io/busybox', 'docker.io/library/busybox:latest'],
    ['index.docker.io/library/busybox:1', 'docker.io/library/busybox:1'],
    ['127.0.0.1:5000/app', '127.0.0.1:5000/app:latest'],
    ['localhost/app:v1', 'localhost/app:v1'],
    ['[::1]:5000/a/b', '[::1]:5000/a/b:latest'],
    ['quay.io/a/b-c/d__e.f:T_a.g-1', 'quay.io/a/b-c/d__e.f:T_a.g-1'],
    [`busybox@${DIGEST}`, `docker.io/library/busybox@${DIGEST}`],
    [`host:5000/a:v1@${DIGEST}`, `host:5000/a:v1@${DIGEST}`],
  ] as const) {
    it(`${text} is ${normal}`, () => {
      assert.equal(formatReference(parseReference(text)), normal)
      assert.equal(formatReference(parseReference(normal)), normal)
    })
  }

  for (const [text, reason] of [
    ['', /is empty/],
    ['App', /upper-case/],
    ['a//b', /not lower-case words/],
    ['a:', /tag ""/],
    ['a:-x', /tag "-x"/],
    [`a:${'x'.repeat(129)}`, /tag/],
    ['a@sha256:12', /digest "sha256:12"/],
    ['a@md5:12', /digest/],
    ['host:99999999/a', /registry/],
    ['-bad.host/a', /registry/],
    ['a/../b', /not lower-case words/],
    ['a b', /not lower-case words/],
    [`a/${'x'.repeat(300)}`, /255/],
    ['host:5000/', /not lower-case/],
  ] as const) {
    it(`refuses "${text.slice(0, 30)}"`, () => {
      assert.throws(
        () => parseReference(text),
        (error: unknown) =>
          GantryError.is(error, 'InvalidArgument') && reason.test(error.message) && error.details[0]?.value === text,
      )
    })
  }

  it('parses its own output, and never gives a path that leaves the repository', () => {
    const word = fc.stringMatching(/^[a-z0-9]{1,8}([._-][a-z0-9]{1,8})?$/)
    fc.assert(
      fc.property(
        fc.constantFrom('', 'h.io/', 'localhost/', '10.0.0.1:80/'),
        fc.array(word, { minLength: 1, maxLength: 4 }),
        fc.stringMatching(/^[\w][\w.-]{0,10}$/),
        (host, words, tag) => {
          const parsed = parseReference(`${host}${host === '' ? 'x/' : ''}${words.join('/')}:${tag}`)
          assert.deepEqual(parseReference(formatReference(parsed)), parsed)
        },
      ),
    )
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          assert.doesNotMatch(parseReference(text).repository, /\.\.|\/\/|^\/|[^a-z0-9._/-]/)
        } catch (error) {
          assert.ok(GantryError.is(error, 'InvalidArgument'))
        }
      }),
    )
  })

  it('gives a digest as hexadecimal digits only if it is one', () => {
    assert.equal(digestHex(DIGEST), '0a'.repeat(32))
    assert.throws(() => digestHex('sha256:../../x'), /not a sha256 digest/)
  })
})
